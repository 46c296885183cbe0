/*
 * warm.c - one job on a worker process
 *
 *	give       the frame JOB, as much as the pipe takes
 *	watch      the rest of it, frames, what it prints; CANCEL when the context ends
 *	conclude   what the answer means, or that there was none
 *
 * A job that a warm process answers soon costs three system calls: write, poll, read
 * (and one before, when the process was idle: is it fit?). So for the first moment only
 * its pipes are looked at; the context's descriptor, which would have to be made for each
 * job, comes after that.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "daemon/handler/ending.h"
#include "daemon/handler/keeping.h"
#include "daemon/handler/limits.h"
#include "daemon/handler/warm.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"
#include "lib/wire/resp.h"

enum {
	/* Until the context is looked at; so much later it may be heeded. More than the
	 * kernel's tick, or each job would set the timer hardware: with 1 ms, two slots
	 * did 130,000 jobs a second, with 10 ms 210,000. */
	FIRST_MS = 10,
	LOOK_MS = 100,      /* at a context that has no descriptor */
	TRIES_MAX = 3,      /* at finding a process that takes the job */
	READS_MAX = 64,     /* in a row: who writes without end must not keep us from
			     * the context */
	SHORT_BYTES = 4096, /* a read of less leaves nothing behind */
};

enum { CANCEL = WARM_JOB_PARTS, PART_COUNT };

/* What has become of the job. The first reason stays. */
enum verdict {
	PENDING,
	ANSWERED_OK,
	ANSWERED_NO,
	ENDED,  /* its process closed the pipe */
	BROKEN, /* its process broke the protocol */
	OUTPUT_OVER,
	KILLED, /* it did not heed the end of the context in time */
};

struct errand {
	struct stint_ctx *ctx;
	struct warm *w;
	const struct handler_call *call;
	struct outcome *out;
	struct worker_log_of of;
	struct iovec part[PART_COUNT]; /* what is yet to be written */
	size_t said_bytes;             /* what was written */
	size_t need_bytes;             /* of the frame that has begun */
	int frame_count;               /* heard since we last looked */
	struct progress progress;      /* the newest, not told yet, */
	bool has_progress;             /* if this is set */
	enum verdict verdict;
	const char *broken;  /* how */
	bool is_cancelled;   /* the context has ended, and the process was told */
	int64_t asked_at_ms; /* with is_cancelled */
	int64_t kill_at_ms;
};

/* ---- give ---- */

static int64_t
remaining_ms(const struct errand *e, bool was_idle)
{
	int64_t left_ms;

	if (was_idle) /* it has only just begun */
		return e->call->budget_ms;
	left_ms = stint_ctx_deadline(e->ctx) - stint_now_ms();
	return left_ms > 0 ? left_ms : 0;
}

static bool
has_more_to_say(const struct errand *e)
{
	/* each part is written after the one before it */
	return e->part[WARM_JOB_TAIL].iov_len > 0 || e->part[CANCEL].iov_len > 0;
}

/* Write as much as the pipe takes. That nobody reads any more is seen by the other. */
static void
say(struct errand *e)
{
	while (has_more_to_say(e)) {
		ssize_t n = writev(e->w->in_fd, e->part, PART_COUNT);

		if (n < 0)
			return;
		e->said_bytes += (size_t)n;
		for (int i = 0; n > 0; i++) {
			size_t m = e->part[i].iov_len;

			if (m == 0)
				continue; /* an empty payload is nowhere */
			if ((size_t)n < m)
				m = (size_t)n;
			e->part[i].iov_base = (char *)e->part[i].iov_base + m;
			e->part[i].iov_len -= m;
			n -= (ssize_t)m;
		}
	}
}

/* ---- watch ---- */

static void
settle(struct errand *e, enum verdict verdict, const char *broken)
{
	e->verdict = verdict;
	e->broken = broken;
}

static bool
is_output_over(const struct errand *e, size_t n)
{
	return n > (size_t)e->call->conf->output_limit_bytes;
}

static bool
is_own_id(const struct errand *e, const struct bytes *id)
{
	const struct bytes *own = &e->call->job->id;

	return id->n == own->n && memcmp(id->p, own->p, own->n) == 0;
}

static void
take_answer(struct errand *e, const struct frame *f)
{
	const struct bytes *text = &f->string[2];
	int shown;

	if (f->count < 3)
		return settle(e, BROKEN, "sent a malformed frame");
	if (!is_own_id(e, &f->string[1]))
		return settle(e, BROKEN, "answered a job that it does not have");
	if (e->part[WARM_JOB_TAIL].iov_len > 0)
		return settle(e, BROKEN, "answered before it had read the job");
	if (frame_is(f, "OK") && is_output_over(e, text->n))
		return settle(e, OUTPUT_OVER, NULL);
	if (frame_is(f, "OK")) {
		buf_add(&e->out->output, text->p, text->n);
		return settle(e, ANSWERED_OK, NULL);
	}
	settle(e, ANSWERED_NO, NULL);
	shown = text->n < OUTCOME_ERROR_BYTES ? (int)text->n : OUTCOME_ERROR_BYTES;
	outcome_fail(e->out, JOB_ERROR, "%.*s", shown, text->p);
	e->out->for_good = frame_is(f, "FAIL");
}

/* One that makes no sense is ignored. */
static void
take_progress(struct errand *e, const struct frame *f)
{
	if (f->count < 3 || !is_own_id(e, &f->string[1]))
		return;
	if (progress_set(&e->progress, f->string[2],
		    f->count > 3 ? f->string[3] : (struct bytes){"", 0}))
		e->has_progress = true;
}

/* Verbs of a later version are not for us. */
static void
take_frame(struct errand *e, const struct frame *f)
{
	if (frame_is(f, "PROGRESS"))
		return take_progress(e, f);
	if (frame_is(f, "OK") || frame_is(f, "ERROR") || frame_is(f, "FAIL"))
		take_answer(e, f);
}

/* The frames that are there. What comes behind an answer is left for later. */
static void
hear(struct errand *e)
{
	struct buf *in = &e->w->in;
	struct frame f;
	size_t at = 0;
	ssize_t n = 1; /* nothing has begun */

	while (e->verdict == PENDING && in->len > at &&
		(n = frame_parse(in->data + at, in->len - at, &f)) > 0) {
		take_frame(e, &f);
		e->frame_count++;
		at += (size_t)n;
	}
	if (e->verdict == PENDING && n < 0)
		settle(e, BROKEN,
			n == -EMSGSIZE ? "sent a frame that is too large"
				       : "sent a malformed frame");
	/* known from its announcement: it need not come */
	if (e->verdict == PENDING && n == 0 && f.count == 2 && frame_is(&f, "OK") &&
		is_output_over(e, f.next_bytes))
		settle(e, OUTPUT_OVER, NULL);
	e->need_bytes = e->verdict == PENDING && n == 0 ? f.need_bytes : 0;
	buf_shift(in, at);
	if (e->has_progress && e->call->on_progress)
		e->call->on_progress(e->call->arg, &e->progress);
	e->has_progress = false;
}

/* Read until there is a frame, or nothing more for now. */
static void
listen_to(struct errand *e)
{
	int r = 1;

	for (int i = 0; e->verdict == PENDING && r == 1 && i < READS_MAX; i++) {
		size_t had = e->w->in.len;

		r = warm_fill(e->w, e->need_bytes);
		if (r == 0)
			return settle(e, ENDED, NULL);
		if (r < 0 && r != -EAGAIN)
			return settle(
				e, BROKEN, "sent a frame that there is no memory for");
		if (r == 1 && e->w->in.len >= e->need_bytes)
			hear(e);
		if (e->w->in.len < had + SHORT_BYTES)
			return; /* most answers come in one piece: then that was all */
	}
}

static const char *
cancel_word(struct stint_ctx *ctx)
{
	switch (stint_ctx_cause(ctx, NULL)) {
	case -ETIMEDOUT:
		return "timeout";
	case HANDLER_CAUSE_SHUTDOWN:
		return "shutdown";
	case HANDLER_CAUSE_LEASE:
		return "lease";
	default:
		return "cancelled";
	}
}

/* The context may have ended, and what it has ended may need more than a hint. */
static void
heed_ctx(struct errand *e)
{
	struct buf *cancel = &e->w->cancel;

	if (!e->is_cancelled && stint_ctx_err(e->ctx) < 0) {
		e->is_cancelled = true;
		e->asked_at_ms = stint_now_ms();
		e->kill_at_ms = stint_at_ms(e->call->conf->kill_grace_ms);
		buf_reset(cancel, WARM_KEPT_BYTES);
		resp_cmd(cancel, 3);
		resp_str(cancel, "CANCEL");
		resp_bulk(cancel, e->call->job->id.p, e->call->job->id.n);
		resp_str(cancel, cancel_word(e->ctx));
		if (!cancel->failed)
			e->part[CANCEL] = (struct iovec){cancel->data, cancel->len};
		say(e);
	}
	if (e->is_cancelled && ending_kill_at_ms(e->call, e->asked_at_ms,
				       e->kill_at_ms) <= stint_now_ms())
		settle(e, KILLED, NULL);
}

/* One wait. @done_fd negative: the context has none. */
static void
step(struct errand *e, int done_fd, int wait_ms)
{
	struct warm *w = e->w;
	struct pollfd p[] = {
		{.fd = w->out_fd, .events = POLLIN},
		{.fd = w->log.fd[WORKER_STDOUT], .events = POLLIN},
		{.fd = w->log.fd[WORKER_STDERR], .events = POLLIN},
		{.fd = has_more_to_say(e) ? w->in_fd : -1, .events = POLLOUT},
		{.fd = e->is_cancelled ? -1 : done_fd, .events = POLLIN},
	};

	e->frame_count = 0;
	if (poll(p, ARRAY_LEN(p), wait_ms) <= 0)
		return;
	/* first what it printed: that was before it answered */
	if (p[1].revents)
		worker_log_read(&w->log, WORKER_STDOUT, &e->of);
	if (p[2].revents)
		worker_log_read(&w->log, WORKER_STDERR, &e->of);
	if (p[3].revents & POLLOUT)
		say(e);
	if (p[0].revents)
		listen_to(e);
	else if (p[3].revents & POLLERR)
		settle(e, BROKEN, "closed descriptor 3");
	/* maybe only the first was there when we looked: it may have printed since */
	if (e->frame_count > 1)
		worker_log_drain(&w->log, &e->of);
}

static void
watch(struct errand *e)
{
	int done_fd, wait_ms;

	step(e, -1, FIRST_MS);
	if (e->verdict != PENDING)
		return;
	done_fd = stint_ctx_done_fd(e->ctx);
	while (heed_ctx(e), e->verdict == PENDING) {
		wait_ms = ending_poll_ms(
			ending_kill_at_ms(e->call, e->asked_at_ms, e->kill_at_ms));
		if (done_fd < 0 && (wait_ms < 0 || wait_ms > LOOK_MS))
			wait_ms = LOOK_MS;
		step(e, done_fd, wait_ms);
	}
}

/* ---- conclude ---- */

/* Has its process not taken a byte of the job? Then what has ended it, or what it said,
 * has to do with the time before, and the job can have another one. */
static bool
is_untouched(const struct errand *e)
{
	int unread = 0;

	return !e->is_cancelled && (e->verdict == ENDED || e->verdict == BROKEN) &&
	       ioctl(e->w->in_fd, FIONREAD, &unread) == 0 &&
	       (size_t)unread == e->said_bytes;
}

/* The process is of no more use: end it, and say why unless the job has an answer. */
static void
conclude_loss(struct errand *e)
{
	enum warm_end how = e->verdict == ENDED ? WARM_LET_EXIT : WARM_KILL;
	struct keeper_reply reply = {0};
	struct outcome *out = e->out;
	char text[ENDING_TEXT_BYTES];
	int r = warm_end(e->w, how, &e->of, &reply);

	if (r > 0 || (r == 0 && e->verdict == KILLED))
		ending_status(&reply, out);
	if (e->verdict == OUTPUT_OVER)
		outcome_fail(out, JOB_ERROR, "output over %s (output_limit)",
			units_format_size(e->call->conf->output_limit_bytes, text));
	else if (r < 0)
		outcome_fail(out, JOB_CRASHED, "its supervisor was killed");
	else if (r == 0)
		outcome_fail(out, JOB_CRASHED, "its process %s",
			e->broken ? e->broken : "closed descriptor 4");
	else
		outcome_fail(out, JOB_CRASHED, "its process ended: %s",
			ending_text(out, text));
	if (r > 0 && e->verdict == ENDED)
		limits_told(&reply, e->call->conf, out);
	out->for_good = e->verdict == OUTPUT_OVER;
	if (!e->is_cancelled && (e->verdict == ENDED || e->verdict == BROKEN))
		warm_died(e->w, out->error);
}

static void
conclude(struct errand *e)
{
	const bool is_ok = e->verdict == ANSWERED_OK;

	if (is_ok || e->verdict == ANSWERED_NO)
		warm_release(e->w, &e->of);
	else
		conclude_loss(e);
	if (has_more_to_say(e)) /* half a CANCEL, maybe, would spoil the next frame */
		warm_retire(e->w);
	/* it knows its deadline: it may fail by it before we have looked at ours */
	if (e->is_cancelled || (e->verdict == ANSWERED_NO && stint_ctx_err(e->ctx) < 0)) {
		e->out->for_good = false; /* it says nothing about the job */
		ending_conclude(e->ctx, e->call, is_ok, e->out);
	} else if (is_ok && e->out->output.failed) {
		outcome_fail(e->out, JOB_ERROR, "no memory for its output");
	}
}

/* Return: true: the job is over; false: its process was unfit, it has lost nothing. */
static bool
run_once(struct stint_ctx *ctx, struct handler_slot *slot, struct warm *w,
	const struct handler_call *call, struct outcome *out)
{
	struct errand e = {.ctx = ctx,
		.w = w,
		.call = call,
		.out = out,
		.of = {call->conf->name, call->job, call->queue, out},
		.kill_at_ms = STINT_NEVER};
	int r;

	r = warm_prepare(ctx, slot, w, call, out);
	if (r < 0)
		return true;
	r = warm_build_job(w, call, remaining_ms(&e, r == 1), e.part);
	if (r < 0) {
		outcome_fail(out, JOB_ERROR, "%s",
			r == -EMSGSIZE ? "with its payload it is more than a worker "
					 "takes (64MiB)"
				       : "no memory to give it to its process");
		out->for_good = r == -EMSGSIZE;
		warm_release(w, &e.of);
		return true;
	}
	if (call->conf->limits.cpu_ms)
		keeping_tell(w->keeper_fd, KEEPER_RENEW, 0);
	say(&e);
	watch(&e);
	if (is_untouched(&e)) {
		struct keeper_reply reply;

		warm_end(
			w, e.verdict == ENDED ? WARM_LET_EXIT : WARM_KILL, &e.of, &reply);
		return false;
	}
	conclude(&e);
	return true;
}

void
warm_run(struct stint_ctx *ctx, struct handler_slot *slot,
	const struct handler_call *call, struct outcome *out)
{
	struct warm *w = warm_of(slot, call);

	if (!w)
		return outcome_fail(out, JOB_ERROR, "no memory for its process");
	for (int i = 0; i < TRIES_MAX; i++)
		if (run_once(ctx, slot, w, call, out))
			return;
	outcome_fail(out, JOB_CRASHED, "its processes end before they take it");
	warm_died(w, out->error);
}
