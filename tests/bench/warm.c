/*
 * warm.c - jobs a second through processes that stay
 *
 *	warm bare|shared|handler SLOTS JOBS PROGRAM [ARGUMENT...]
 *	warm echo
 *
 * One thread per slot, each with a process of its own and one job at a time: JOBS for
 * each, with PAYLOAD_BYTES that come back. `handler` goes through handler_run(), as a
 * worker of the daemon does; `bare` writes the same frame to the same kind of pipe and
 * reads the answer, and nothing else: no time-out, no cancel, no log. `echo` is the
 * process: what it does costs both the same.
 *
 * A worker process has a session of its own, so that of `bare` has one, too: where the
 * kernel schedules by sessions (sched(7), autogroup), it takes longer to switch between
 * two of them. How much longer, `shared` shows: `bare` with all in one session.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <unistd.h>
#include "daemon/handler/handler.h"
#include "daemon/handler/zygote.h"
#include "lib/base/cleanup.h"
#include "tests/bench/bench.h"

enum {
	IN_FD = 3,
	OUT_FD = 4,
	WARM_UP = 200, /* jobs that do not count */
	FRAME_BYTES = 4096,
	TIMEOUT_MS = 30000,
	SLOTS_MAX = 256,
};

struct lane {
	pthread_t thread;
	char **program;
	long jobs;
	bool is_shared; /* bare: the session is ours */
	struct zygote *zygote;
	struct config *config;
	int64_t begun_ns; /* by itself: who starts them may not be running by then */
	int64_t ended_ns;
};

static pthread_barrier_t begin;

/* All lanes are warm. */
static void
start_clock(struct lane *lane)
{
	pthread_barrier_wait(&begin);
	lane->begun_ns = now_ns();
}

/* ---- the process ---- */

/* The strings of a whole frame; the caller has seen that it is one. */
static size_t
split(char *at, char *string[64], size_t bytes[64])
{
	size_t count = strtoul(at + 1, &at, 10);

	for (size_t i = 0; i < count; i++) {
		bytes[i] = strtoul(at + 3, &at, 10);
		string[i] = at + 2;
		at += 2 + bytes[i];
	}
	return count;
}

/* A job of this benchmark arrives in one piece: it is far below PIPE_BUF. */
static void
echo(void)
{
	static const char ready[] = "*2\r\n$5\r\nREADY\r\n$1\r\n1\r\n";
	char in[FRAME_BYTES], out[FRAME_BYTES], *string[64];
	size_t bytes[64];
	ssize_t n;

	if (write(OUT_FD, ready, sizeof ready - 1) < 0)
		err(1, "write");
	while ((n = read(IN_FD, in, sizeof in - 1)) > 0) {
		in[n] = '\0';
		if (split(in, string, bytes) < 5)
			errx(1, "not a job");
		n = snprintf(out, sizeof out,
			"*3\r\n$2\r\nOK\r\n$%zu\r\n%.*s\r\n$%zu\r\n%.*s\r\n", bytes[1],
			(int)bytes[1], string[1], bytes[4], (int)bytes[4], string[4]);
		if (write(OUT_FD, out, (size_t)n) != n)
			err(1, "write");
	}
}

/* ---- bare ---- */

static void
spawn(const struct lane *lane, int *ret_to, int *ret_from)
{
	posix_spawn_file_actions_t actions;
	char **program = lane->program;
	posix_spawnattr_t attr;
	int to[2], from[2];
	pid_t pid;

	/* high numbers: 3 and 4 are the process' */
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		err(1, "pipe");
	*ret_to = fcntl(to[1], F_DUPFD_CLOEXEC, 10);
	*ret_from = fcntl(from[0], F_DUPFD_CLOEXEC, 10);
	int theirs_in = fcntl(to[0], F_DUPFD_CLOEXEC, 10);
	int theirs_out = fcntl(from[1], F_DUPFD_CLOEXEC, 10);
	for (int i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs_in, IN_FD);
	posix_spawn_file_actions_adddup2(&actions, theirs_out, OUT_FD);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, lane->is_shared ? 0 : POSIX_SPAWN_SETSID);
	if (posix_spawnp(&pid, program[0], &actions, &attr, program, environ) != 0)
		errx(1, "%s cannot be started", program[0]);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	close(theirs_in);
	close(theirs_out);
}

static void *
bare(void *arg)
{
	struct lane *lane = arg;
	char frame[FRAME_BYTES], answer[FRAME_BYTES], payload[PAYLOAD_BYTES + 1] = "";
	int to, from, n;

	memset(payload, 'x', PAYLOAD_BYTES);
	n = snprintf(frame, sizeof frame,
		"*7\r\n$3\r\nJOB\r\n$3\r\n1-0\r\n$1\r\n1\r\n$5\r\n30000\r\n$%d\r\n%s\r\n"
		"$5\r\nqueue\r\n$7\r\ndefault\r\n",
		PAYLOAD_BYTES, payload);
	spawn(lane, &to, &from);
	if (read(from, answer, sizeof answer) <= 0)
		errx(1, "not READY");
	for (long i = -WARM_UP; i < lane->jobs; i++) {
		if (i == 0)
			start_clock(lane);
		if (write(to, frame, (size_t)n) != n ||
			read(from, answer, sizeof answer) < PAYLOAD_BYTES)
			err(1, "the process");
	}
	lane->ended_ns = now_ns();
	close(to);
	close(from);
	return NULL;
}

/* ---- handler ---- */

static void
run_one(struct handler_slot *slot, const struct handler_call *call)
{
	struct stint_ctx *ctx;
	struct outcome out;

	outcome_init(&out);
	if (stint_ctx_with_timeout(stint_ctx_background(), TIMEOUT_MS, &ctx) < 0)
		errx(1, "no memory");
	handler_run(ctx, slot, call, &out);
	stint_ctx_free(ctx);
	if (out.status != JOB_OK || out.output.len != PAYLOAD_BYTES)
		errx(1, "a job ended otherwise: %s", out.error);
	outcome_fini(&out);
}

static void *
handler(void *arg)
{
	struct lane *lane = arg;
	char payload[PAYLOAD_BYTES];
	const struct bytes fields[] = {
		{"handler", 7}, {"w", 1}, {"payload", 7}, {payload, sizeof payload}};
	struct handler_slot *slot;

	memset(payload, 'x', sizeof payload);
	struct job *job = job_new("1-0", fields, 4);
	if (!job || handler_slot_new(lane->zygote, &slot) < 0)
		errx(1, "no memory");
	const struct handler_call call = {.config = lane->config,
		.conf = config_handler(lane->config, "w", 1),
		.job = job,
		.queue = "default",
		.budget_ms = TIMEOUT_MS};
	for (long i = -WARM_UP; i < lane->jobs; i++) {
		if (i == 0)
			start_clock(lane);
		run_one(slot, &call);
	}
	lane->ended_ns = now_ns();
	handler_slot_free(slot);
	free(job);
	return NULL;
}

static struct config *
make_config(char **program)
{
	struct buf text = {0}, faults = {0};
	struct config *config;

	buf_str(&text, "handlers: { w: { worker: [");
	for (char **p = program; *p; p++)
		buf_fmt(&text, "'%s',", *p);
	buf_str(&text, "] } }");
	if (config_load(NULL, buf_cstr(&text), &config, &faults) < 0)
		errx(1, "%s", buf_cstr(&faults));
	buf_fini(&text);
	buf_fini(&faults);
	return config;
}

static double
measure(const struct lane *model, void *(*run)(void *), long slots)
{
	static struct lane lanes[SLOTS_MAX];
	int64_t begun_ns = INT64_MAX, ended_ns = 0;

	pthread_barrier_init(&begin, NULL, (unsigned)slots);
	for (long i = 0; i < slots; i++) {
		lanes[i] = *model;
		if (pthread_create(&lanes[i].thread, NULL, run, &lanes[i]) != 0)
			errx(1, "no thread");
	}
	for (long i = 0; i < slots; i++) {
		pthread_join(lanes[i].thread, NULL);
		if (lanes[i].begun_ns < begun_ns)
			begun_ns = lanes[i].begun_ns;
		if (lanes[i].ended_ns > ended_ns)
			ended_ns = lanes[i].ended_ns;
	}
	return (double)(slots * model->jobs) * 1e9 / (double)(ended_ns - begun_ns);
}

int
main(int argc, char **argv)
{
	struct lane model = {.program = argv + 4};
	struct stint_err error;
	double rate;

	if (argc == 2 && strcmp(argv[1], "echo") == 0) {
		echo();
		return 0;
	}
	if (argc < 5)
		errx(2, "usage: warm bare|shared|handler SLOTS JOBS PROGRAM "
			"[ARGUMENT...]");
	long slots = parse_count(argv[2]);
	if (slots > SLOTS_MAX)
		errx(2, "at most %d slots", SLOTS_MAX);
	model.jobs = parse_count(argv[3]);
	signal(SIGPIPE, SIG_IGN);
	model.is_shared = strcmp(argv[1], "shared") == 0;
	if (strcmp(argv[1], "handler") != 0) {
		rate = measure(&model, bare, slots);
	} else {
		if (zygote_start(&(struct cgroup){.lock_fd = -1}, &model.zygote, &error) <
			0)
			errx(1, "%s", error.msg);
		model.config = make_config(model.program);
		rate = measure(&model, handler, slots);
		config_unref(model.config);
		zygote_stop(model.zygote);
	}
	printf("{\"jobs_per_s\": %.0f}\n", rate);
	return 0;
}
