/*
 * serve.c - jobs from descriptor 3, answers to descriptor 4; see serve.h
 *
 * The frames are those of every worker process (lib/sdk/FRAMES.md). A job's strings stay
 * where they were read: each gets its NUL where its CR was.
 */
#include "daemon/host/serve.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "daemon/handler/frame.h"
#include "daemon/host/cancel.h"
#include "lib/base/cleanup.h"
#include "lib/plugin/reply.h"
#include "lib/wire/resp.h"

enum {
	IN_FD = 3,
	OUT_FD = 4,
	READ_BYTES = 65536,
	KEPT_BYTES = 65536,
	DIGITS_MAX = 18, /* of a number that fits int64_t */
};

/* Of an answer, beside the id, its length and the output. */
#define OUTPUT_HEAD_BYTES (sizeof "*3\r\n$2\r\nOK\r\n$\r\n\r\n$12345678\r\n\r\n" - 1)

struct server {
	stint_plugin_fn run;
	struct cancel *cancel;
	struct buf in;
	struct buf out; /* the head of an answer */
	struct stint_reply reply;
	struct bytes id; /* of the job that runs */
	struct stint_field fields[FRAME_STRINGS_MAX / 2];
	bool is_cut; /* an answer could not be written: the daemon is gone */
};

/* ---- saying ---- */

static void
write_all(struct server *s, struct iovec *part, int count)
{
	while (count > 0 && !s->is_cut) {
		ssize_t n = writev(OUT_FD, part, count);

		if (n < 0 && errno != EINTR)
			s->is_cut = true;
		for (; count > 0 && n >= (ssize_t)part->iov_len; part++, count--)
			n -= (ssize_t)part->iov_len;
		if (count > 0 && n > 0) {
			part->iov_base = (char *)part->iov_base + n;
			part->iov_len -= (size_t)n;
		}
	}
}

/* One line stays one line. */
static void
say_text(struct server *s, const char *verb, char *text)
{
	struct iovec part;

	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	buf_reset(&s->out, KEPT_BYTES);
	resp_cmd(&s->out, 3);
	resp_str(&s->out, verb);
	resp_bulk(&s->out, s->id.p, s->id.n);
	resp_str(&s->out, text);
	part = (struct iovec){s->out.data, s->out.len};
	write_all(s, &part, 1);
}

static void
say_ok(struct server *s, const struct buf *output)
{
	static char end[] = "\r\n";

	buf_reset(&s->out, KEPT_BYTES);
	resp_cmd(&s->out, 3);
	resp_str(&s->out, "OK");
	resp_bulk(&s->out, s->id.p, s->id.n);
	buf_fmt(&s->out, "$%zu\r\n", output->len);
	struct iovec part[] = {
		{s->out.data, s->out.len}, {output->data, output->len}, {end, 2}};
	write_all(s, part, ARRAY_LEN(part));
}

static void
on_progress(void *arg, int percent, const char *note)
{
	struct server *s = arg;
	struct iovec part;

	buf_reset(&s->out, KEPT_BYTES);
	resp_cmd(&s->out, 4);
	resp_str(&s->out, "PROGRESS");
	resp_bulk(&s->out, s->id.p, s->id.n);
	resp_int(&s->out, percent);
	resp_str(&s->out, note);
	part = (struct iovec){s->out.data, s->out.len};
	write_all(s, &part, 1);
}

static void
answer(struct server *s)
{
	static char over[] = "output over 64MiB";

	/* what it printed belongs to this job */
	fflush(stdout);
	switch (s->reply.end) {
	case REPLY_OK:
		return say_ok(s, &s->reply.output);
	case REPLY_ERROR:
		return say_text(s, "ERROR", s->reply.error);
	case REPLY_FAIL:
		return say_text(s, "FAIL", s->reply.error);
	case REPLY_OVER:
		return say_text(s, "ERROR", over);
	}
}

/* ---- a job ---- */

/* Strings of a frame are followed by CR LF, in memory that is ours. */
static char *
terminate(const struct bytes *b)
{
	char *p = (char *)(uintptr_t)b->p;

	p[b->n] = '\0';
	return p;
}

static void
take_field(struct server *s, struct stint_job *job, const char *name, const char *value,
	size_t n)
{
	if (strcmp(name, "queue") == 0)
		job->queue = value;
	else if (strcmp(name, "traceparent") == 0)
		job->traceparent = value;
	else if (strncmp(name, "x-", 2) == 0)
		s->fields[job->field_count++] = (struct stint_field){name, value, n};
}

/* Digits alone. -1: it is something else. */
static int64_t
number_of(const struct bytes *b)
{
	const char *text = terminate(b);

	if (b->n == 0 || b->n > DIGITS_MAX || strspn(text, "0123456789") != b->n)
		return -1;
	return strtoll(text, NULL, 10);
}

/* Return: the time that it has; -1: it is no job. */
static int64_t
fill_job(struct server *s, const struct frame *f, struct stint_job *job)
{
	const char *handler = getenv("STINT_HANDLER");
	int64_t attempt, remaining_ms;

	/* id, attempt, time, payload, and pairs of a name and a value */
	if (f->count < 5 || f->count % 2 == 0)
		return -1;
	attempt = number_of(&f->string[2]);
	remaining_ms = number_of(&f->string[3]);
	if (attempt < 0 || attempt > INT_MAX || remaining_ms < 0)
		return -1;

	s->id = f->string[1];
	*job = (struct stint_job){.id = terminate(&f->string[1]),
		.queue = "",
		.handler = handler ? handler : "",
		.attempt = (int)attempt,
		.deadline_unix_ms = stint_unix_ms() + remaining_ms,
		.payload = terminate(&f->string[4]),
		.payload_len = f->string[4].n,
		.fields = s->fields};
	for (size_t i = 5; i + 1 < f->count; i += 2)
		take_field(s, job, terminate(&f->string[i]), terminate(&f->string[i + 1]),
			f->string[i + 1].n);
	return remaining_ms;
}

static void
reset_reply(struct server *s)
{
	struct buf output = s->reply.output;

	buf_reset(&output, KEPT_BYTES);
	size_t head_bytes = OUTPUT_HEAD_BYTES + s->id.n;

	for (size_t n = s->id.n; n > 0; n /= 10)
		head_bytes++;
	reply_init(&s->reply, FRAME_BYTES_MAX - head_bytes);
	s->reply.output = output;
	s->reply.on_progress = on_progress;
	s->reply.arg = s;
}

/* @n: bytes of its frame, which is the first in s->in. */
static int
run_job(struct server *s, const struct frame *f, size_t n, struct stint_err *err)
{
	static char no_context[] = "no memory for a context";
	const struct bytes rest = {s->in.data + n, s->in.len - n};
	struct stint_job job;
	struct stint_ctx *ctx;
	int64_t remaining_ms;

	remaining_ms = fill_job(s, f, &job);
	if (remaining_ms < 0)
		return stint_err_set(err, -EPROTO, "descriptor 3: a JOB that is none");
	reset_reply(s);
	if (stint_ctx_with_timeout(stint_ctx_background(), remaining_ms, &ctx) < 0) {
		say_text(s, "ERROR", no_context);
		buf_shift(&s->in, n);
		return 0;
	}
	cancel_enter(s->cancel, ctx, &s->id, rest);
	reply_settle(&s->reply, s->run(ctx, &job, &s->reply));
	answer(s);
	cancel_leave(s->cancel, &s->in);
	stint_ctx_free(ctx);
	return 0;
}

/* ---- hearing ---- */

/* Return: 1; 0: end of file; -errno. */
static int
fill(struct server *s, size_t need_bytes, struct stint_err *err)
{
	size_t more = READ_BYTES;
	ssize_t n;
	char *room;

	if (need_bytes > s->in.len + more)
		more = need_bytes - s->in.len;
	room = buf_room(&s->in, more);
	if (!room)
		return stint_err_set(err, -ENOMEM, "no memory for a job");
	do
		n = read(IN_FD, room, more);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return stint_err_set(err, -errno, "descriptor 3: %s", strerror(errno));
	s->in.len += (size_t)n;
	if (n == 0 && s->in.len > 0)
		return stint_err_set(err, -EPROTO, "descriptor 3: half a frame");
	return n > 0;
}

static int
hear(struct server *s, struct stint_err *err)
{
	struct frame f;
	ssize_t n;
	int r;

	for (;;) {
		n = frame_parse(s->in.data, s->in.len, &f);
		if (n < 0)
			return stint_err_set(err, (int)n, "descriptor 3: no frame");
		r = 1;
		if (n == 0)
			r = fill(s, f.need_bytes, err);
		else if (frame_is(&f, "JOB"))
			r = run_job(s, &f, (size_t)n, err);
		else /* a CANCEL that comes late, or a verb of a later version */
			buf_shift(&s->in, (size_t)n);
		if (r < 0 || (n == 0 && r == 0))
			return r;
		if (s->is_cut)
			return stint_err_set(err, -EPIPE, "descriptor 4 was closed");
	}
}

int
serve(stint_plugin_fn run, struct stint_err *err)
{
	static char ready[] = "*2\r\n$5\r\nREADY\r\n$1\r\n1\r\n";
	struct iovec part = {ready, sizeof ready - 1};
	struct server s = {.run = run};
	int r = cancel_new(IN_FD, &s.cancel);

	if (r < 0)
		return stint_err_set(err, r, "no thread: %s", strerror(-r));
	write_all(&s, &part, 1);
	r = hear(&s, err);
	cancel_free(s.cancel);
	reply_fini(&s.reply);
	buf_fini(&s.in);
	buf_fini(&s.out);
	return r;
}
