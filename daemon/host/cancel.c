/*
 * cancel.c - hears a CANCEL while the plugin runs; see cancel.h
 *
 * Whoever has the job may touch it and its input, so there is no lock. While nobody
 * listens it lies in a channel, from which either side takes it:
 *
 *	main thread                                     task
 *	enters ── job ─────────────────────────────────▶ takes it after a moment, listens
 *	       ── entered: there is one ───────────────▶ begins that moment
 *	leaves ── takes it back, if it is still there
 *	       ── else left: it is over ───────────────▶ gives it back
 *	          waits for  ◀─────────────────── back ──
 *
 * While there is no job the task sleeps, and with many short ones it wakes a hundred
 * times a second.
 */
#include "daemon/host/cancel.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <stint/chan.h>
#include <stint/task.h>
#include <unistd.h>
#include "daemon/handler/frame.h"
#include "daemon/host/serve.h"
#include "lib/base/cleanup.h"

enum { READ_BYTES = 4096, KEPT_BYTES = 65536 };

struct cancel {
	int fd;
	struct stint_task *task;
	/* Each holds one event without content. */
	struct stint_chan *entered, *job, *left, *back;
	int left_fd; /* of `left` */

	/* theirs who has the job */
	struct stint_ctx *ctx;
	const struct bytes *id;
	bool is_deaf;  /* nothing more for this job: end of file, or another job */
	struct buf in; /* from the end of the job's frame on */
};

static void
end_ctx(struct stint_ctx *ctx, const struct bytes *reason)
{
	static const struct {
		const char *word;
		int code;
		const char *why;
	} reasons[] = {
		{"timeout", -ETIMEDOUT, "timed out"},
		{"shutdown", -ESHUTDOWN, "the daemon is shutting down"},
		{"lease", -EKEYEXPIRED, "somebody else may run it soon"},
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reason->n == strlen(reasons[i].word) &&
			memcmp(reason->p, reasons[i].word, reason->n) == 0)
			return stint_ctx_cancel_cause(
				ctx, reasons[i].code, reasons[i].why);
	stint_ctx_cancel_cause(ctx, -ECANCELED, "cancelled");
}

/* What has come so far. A JOB is for the main thread. */
static void
hear(struct cancel *c)
{
	struct frame f;
	ssize_t n;

	while ((n = frame_parse(c->in.data, c->in.len, &f)) > 0) {
		if (frame_is(&f, "JOB"))
			break;
		if (frame_is(&f, "CANCEL") && f.count >= 3 && f.string[1].n == c->id->n &&
			memcmp(f.string[1].p, c->id->p, c->id->n) == 0)
			end_ctx(c->ctx, &f.string[2]);
		buf_shift(&c->in, (size_t)n);
	}
	if (n < 0) {
		fputs("stint-host: descriptor 3: no frame\n", stderr);
		_exit(HOST_LOST); /* the plugin cannot be ended otherwise */
	}
	c->is_deaf |= n != 0;
}

/* There is something to read, or no more. */
static void
read_more(struct cancel *c)
{
	char *room = buf_room(&c->in, READ_BYTES);
	ssize_t n = room ? read(c->fd, room, READ_BYTES) : -1;

	if (n > 0)
		c->in.len += (size_t)n;
	else
		c->is_deaf = true; /* the main thread finds it again */
}

/* Until the job is over. */
static void
listen_for(struct cancel *c)
{
	int r;

	hear(c);
	while (stint_chan_try_recv(c->left, NULL) < 0) {
		struct pollfd p[] = {
			{.fd = c->left_fd, .events = POLLIN},
			{.fd = c->is_deaf ? -1 : c->fd, .events = POLLIN},
		};

		poll(p, ARRAY_LEN(p), -1);
		if (p[0].revents & POLLNVAL) { /* the plugin has closed it */
			r = stint_chan_recv(stint_ctx_background(), c->left, NULL);
			(void)r; /* it never ends */
			return;
		}
		if (p[1].revents) {
			read_more(c);
			hear(c);
		}
	}
}

/* There is room in all of them: no more than one job is about. */
static void
tell(struct stint_chan *ch)
{
	int r = stint_chan_try_send(ch, NULL);

	(void)r;
}

static int
listener(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct cancel *c = arg;

	(void)err;
	while (stint_chan_recv(ctx, c->entered, NULL) == 0) {
		/* without memory for it there is no such moment */
		if (stint_select_for(ctx, WATCH_AFTER_MS, NULL, 0) == -ECANCELED)
			break;
		if (stint_chan_try_recv(c->job, NULL) < 0)
			continue;
		listen_for(c);
		tell(c->back);
	}
	return 0;
}

void
cancel_enter(struct cancel *c, struct stint_ctx *ctx, const struct bytes *id,
	struct bytes rest)
{
	c->ctx = ctx;
	c->id = id;
	c->is_deaf = false;
	if (rest.n > 0)
		buf_add(&c->in, rest.p, rest.n);
	tell(c->job);
	tell(c->entered); /* if that was told already, the task is about to look */
}

void
cancel_leave(struct cancel *c, struct buf *ret)
{
	struct buf old = *ret;
	int r = stint_chan_try_recv(c->job, NULL);

	if (r < 0) {
		tell(c->left);
		r = stint_chan_recv(stint_ctx_background(), c->back, NULL);
		(void)r; /* it never ends */
	}
	*ret = c->in;
	buf_reset(&old, KEPT_BYTES);
	c->in = old;
}

static int
start(struct cancel *c)
{
	int r = stint_chan_new(0, 1, &c->entered);

	if (r == 0)
		r = stint_chan_new(0, 1, &c->job);
	if (r == 0)
		r = stint_chan_new(0, 1, &c->left);
	if (r == 0)
		r = stint_chan_new(0, 1, &c->back);
	if (r < 0)
		return r;
	c->left_fd = stint_chan_recv_fd(c->left);
	if (c->left_fd < 0)
		return c->left_fd;
	return stint_task_start(stint_ctx_background(), "cancel", listener, c, &c->task);
}

int
cancel_new(int fd, struct cancel **ret)
{
	struct cancel *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return -ENOMEM;
	c->fd = fd;
	r = start(c);
	if (r < 0) {
		cancel_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void
cancel_free(struct cancel *c)
{
	struct stint_err none; /* it does not fail */

	if (!c)
		return;
	stint_task_stop(c->task, &none);
	stint_chan_free(c->entered);
	stint_chan_free(c->job);
	stint_chan_free(c->left);
	stint_chan_free(c->back);
	buf_fini(&c->in);
	free(c);
}
