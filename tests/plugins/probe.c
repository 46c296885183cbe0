/*
 * probe.c - a plugin whose every job says how it shall behave
 *
 * The payload is the name of a function below, then a blank and its argument.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <stint/stint.h>

struct call {
	struct stint_ctx *ctx;
	const struct stint_job *job;
	struct stint_reply *reply;
	const char *arg; /* a NUL stands behind it */
	size_t arg_len;
};

static void
make_file(const char *path)
{
	FILE *f = fopen(path, "w");

	if (f)
		fclose(f);
}

static void
sleep_ms(long ms)
{
	poll(NULL, 0, (int)ms);
}

/* ---- what a job can ask for ---- */

static int
echo(const struct call *c)
{
	return stint_reply_write(c->reply, c->arg, c->arg_len);
}

static int
pid(const struct call *c)
{
	return stint_reply_printf(c->reply, "%d", getpid());
}

/* All that it is told. */
static int
job(const struct call *c)
{
	const struct stint_job *j = c->job;
	int64_t left_ms = stint_ctx_deadline(c->ctx) - stint_now_ms();
	size_t len = 99;

	stint_reply_printf(c->reply, "%s %s %s %d %s", j->id, j->queue, j->handler,
		j->attempt, j->traceparent ? j->traceparent : "-");
	for (size_t i = 0; i < j->field_count; i++)
		stint_reply_printf(c->reply, " %s=%s/%zu", j->fields[i].name,
			j->fields[i].value, j->fields[i].value_len);
	if (stint_job_field(j, "x-none", &len) || len != 99)
		return stint_reply_fail(c->reply, "x-none is there");
	if (j->field_count > 0 &&
		stint_job_field(j, j->fields[0].name, NULL) != j->fields[0].value)
		return stint_reply_fail(c->reply, "its first field is not found");
	if (llabs((long long)(j->deadline_unix_ms - stint_unix_ms() - left_ms)) > 500)
		return stint_reply_fail(c->reply, "two deadlines");
	return stint_reply_printf(c->reply, " left=%" PRId64, left_ms);
}

static int
fail(const struct call *c)
{
	return stint_reply_fail(c->reply, "never: %s", c->arg);
}

static int
error(const struct call *c)
{
	fprintf(stderr, "why it failed\n");
	return stint_reply_error(c->reply, "no luck: %s", c->arg);
}

/* An error that was told stands. */
static int
contradicts(const struct call *c)
{
	stint_reply_write(c->reply, "output", 6);
	stint_reply_error(c->reply, "it did not work");
	return 0;
}

static int
returns(const struct call *c)
{
	stint_reply_write(c->reply, "output", 6);
	return atoi(c->arg);
}

static int
length(const struct call *c)
{
	return stint_reply_printf(c->reply, "%zu", c->arg_len);
}

static int
big(const struct call *c)
{
	size_t n = strtoul(c->arg, NULL, 10);
	char *p = malloc(n);
	int r;

	memset(p, 'x', n);
	r = stint_reply_write(c->reply, p, n);
	free(p);
	return r;
}

/* It does not look at what write says. */
static int
too_much(const struct call *c)
{
	char text[1000];

	memset(text, 'y', sizeof text);
	for (int i = 0; i < 100; i++)
		stint_reply_write(c->reply, text, sizeof text);
	return stint_reply_printf(c->reply, "%s", "end");
}

static int
prints(const struct call *c)
{
	printf("%s\n", c->arg);
	printf("half a line");
	fprintf(stderr, "err %s\n", c->arg);
	return stint_reply_printf(c->reply, "printed");
}

static int
environment(const struct call *c)
{
	const char *value = getenv(c->arg);

	return stint_reply_printf(c->reply, "%s", value ? value : "(none)");
}

static int
progress(const struct call *c)
{
	for (int i = -50; i <= 150; i += 50)
		stint_reply_progress(c->reply, i, "working");
	return stint_reply_printf(c->reply, "done");
}

/* The same, and stay where it can be seen. */
static int
progress_until(const struct call *c)
{
	int r = progress(c);

	stint_reply_progress(c->reply, 40, "still\tworking");
	while (access(c->arg, F_OK) < 0)
		sleep_ms(5);
	return r;
}

/* ---- ends ---- */

static int
segfault(const struct call *c)
{
	(void)c;
	raise(SIGSEGV);
	return 0;
}

static int
aborts(const struct call *c)
{
	(void)c;
	fprintf(stderr, "last words\n");
	abort();
}

static int
exits(const struct call *c)
{
	exit(atoi(c->arg));
}

static int
spins(const struct call *c)
{
	volatile int for_ever = 1;

	make_file(c->arg);
	while (for_ever)
		;
	return 0;
}

static int
stops_itself(const struct call *c)
{
	(void)c;
	raise(SIGSTOP);
	return 0;
}

static int
closes_all(const struct call *c)
{
	(void)c;
	for (int fd = 0; fd < 64; fd++)
		close(fd);
	sleep_ms(60000);
	return 0;
}

static int
kills_keeper(const struct call *c)
{
	(void)c;
	kill(getppid(), SIGKILL); /* its keeper */
	sleep_ms(60000);
	return 0;
}

/* ---- contexts ---- */

/* Answers once its context has ended, with the reason. */
static int
heeds(const struct call *c)
{
	struct pollfd p = {.fd = stint_ctx_done_fd(c->ctx), .events = POLLIN};
	struct stint_err cause;

	make_file(c->arg);
	poll(&p, 1, -1);
	stint_ctx_cause(c->ctx, &cause);
	fprintf(stderr, "told: %s, %s\n",
		stint_ctx_err(c->ctx) == -ETIMEDOUT ? "timeout" : "cancel", cause.msg);
	return stint_ctx_err(c->ctx);
}

/* Is done all the same. */
static int
finishes(const struct call *c)
{
	make_file(c->arg);
	while (stint_ctx_err(c->ctx) == 0)
		sleep_ms(1);
	return stint_reply_printf(c->reply, "done");
}

/* Until there is a file of this name with ".go" behind it, whatever happens. */
static int
ignores(const struct call *c)
{
	char go[512];

	snprintf(go, sizeof go, "%s.go", c->arg);
	make_file(c->arg);
	while (access(go, F_OK) < 0)
		sleep_ms(5);
	/* what it was given is still there */
	return stint_reply_printf(
		c->reply, "%s %s %s", c->job->id, c->job->queue, c->arg);
}

/* ---- the library: that of the host, in one copy ---- */

static int
deliver(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	int number = 42;

	(void)err;
	return stint_chan_send(ctx, arg, &number);
}

/* A task under the job's context, and a channel between. */
static int
library(const struct call *c)
{
	struct stint_chan *numbers;
	struct stint_task *task;
	struct stint_err result;
	int number = 0, r;

	r = stint_chan_new(sizeof(int), 0, &numbers);
	if (r < 0)
		return r;
	r = stint_task_start(c->ctx, "deliver", deliver, numbers, &task);
	if (r == 0) {
		r = stint_chan_recv(c->ctx, numbers, &number);
		stint_task_stop(task, &result);
	}
	stint_chan_free(numbers);
	return r < 0 ? r : stint_reply_printf(c->reply, "%d", number);
}

/* In a wait of the library, under the job's context. */
static int
waits(const struct call *c)
{
	struct stint_chan *never;
	int r;

	make_file(c->arg);
	r = stint_chan_new(sizeof(int), 0, &never);
	if (r < 0)
		return r;
	r = stint_chan_recv(c->ctx, never, NULL);
	stint_chan_free(never);
	return r;
}

static const struct {
	const char *name;
	int (*fn)(const struct call *c);
} functions[] = {
	{"echo", echo},
	{"pid", pid},
	{"job", job},
	{"fail", fail},
	{"error", error},
	{"contradicts", contradicts},
	{"returns", returns},
	{"length", length},
	{"big", big},
	{"too-much", too_much},
	{"prints", prints},
	{"environment", environment},
	{"progress", progress},
	{"progress-until", progress_until},
	{"segfault", segfault},
	{"aborts", aborts},
	{"exits", exits},
	{"spins", spins},
	{"stops-itself", stops_itself},
	{"closes-all", closes_all},
	{"kills-keeper", kills_keeper},
	{"heeds", heeds},
	{"finishes", finishes},
	{"ignores", ignores},
	{"library", library},
	{"waits", waits},
};

static int
probe(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	const char *payload = (const char *)job->payload;
	size_t name_len = strcspn(payload, " ");
	size_t at = name_len < job->payload_len ? name_len + 1 : name_len;
	const struct call call = {ctx, job, reply, payload + at, job->payload_len - at};

	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if (strlen(functions[i].name) == name_len &&
			memcmp(functions[i].name, payload, name_len) == 0)
			return functions[i].fn(&call);
	return stint_reply_fail(reply, "no such function");
}
STINT_PLUGIN(probe);
