/*
 * workers.c - what a worker thread does with one attempt
 */
#include "daemon/core/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stint/chan.h>
#include <stint/clock.h>
#include <stint/ctx.h>
#include <stint/pool.h>
#include "daemon/core/begin.h"
#include "daemon/handler/handler.h"
#include "daemon/obs/log.h"
#include "daemon/queue/lease.h"
#include "lib/base/cleanup.h"

/* More than is ever in flight, so that no one waits for room (dispatch.h). */
enum { CHANNEL_CAPACITY = 16384 };
enum { LEAVE_LOOK_MS = 20 };

struct workers {
	struct stint_pool *pool;
	struct stint_chan *jobs;
	struct stint_chan *outcomes;
	struct zygote *zygote;
	const char *name;
	size_t wanted; /* the loop's, as the next */
	size_t stuck;
	_Atomic size_t alive;  /* between start and stop */
	_Atomic bool has_news; /* the loop was told of progress and has not looked yet */
};

/* Whose progress is told. */
struct teller {
	struct workers *workers;
	struct attempt *attempt;
};

/* One worker's own: made in its thread, kept between attempts. */
struct worker {
	struct workers *workers;
	struct handler_slot *handler_slot;
	int number;
};

static int
worker_start(void *arg, size_t slot, void **ret_state)
{
	struct workers *w = arg;
	struct worker *me = calloc(1, sizeof *me);
	int r;

	if (!me)
		return -ENOMEM;
	me->workers = w;
	me->number = (int)slot;
	r = handler_slot_new(w->zygote, &me->handler_slot);
	if (r < 0) {
		free(me);
		return r;
	}
	*ret_state = me;
	atomic_fetch_add_explicit(&w->alive, 1, memory_order_relaxed);
	return 0;
}

static void
worker_stop(void *arg, void *state)
{
	struct workers *w = arg;
	struct worker *me = state;

	if (!me)
		return;
	handler_slot_free(me->handler_slot);
	free(me);
	atomic_fetch_sub_explicit(&w->alive, 1, memory_order_relaxed);
}

/* In the benchmark build a handler of this name does nothing, inside the daemon: what
 * is measured then is all but the handler. */
static bool
is_bench(const struct attempt *a)
{
#ifdef STINT_BENCH
	return !strcmp(a->handler->name, "bench");
#else
	(void)a;
	return false;
#endif
}

/* It never waits: there is at most one NULL in the channel. */
static void
on_progress(void *arg, const struct progress *progress)
{
	const struct teller *t = arg;
	struct attempt *const nobody = NULL;
	int r;

	attempt_report(t->attempt, progress);
	/* the release is for workers_listen(): who finds it set already may rely on the
	 * loop to find these news, too */
	if (atomic_exchange_explicit(&t->workers->has_news, true, memory_order_acq_rel))
		return;
	r = stint_chan_try_send(t->workers->outcomes, &nobody);
	(void)r; /* as in worker_run() */
}

static void
call_handler(struct worker *me, struct attempt *a, struct outcome *out)
{
	struct teller teller = {me->workers, a};
	struct allowance allowance;
	struct handler_call call = {.config = a->config,
		.conf = a->handler,
		.job = a->job,
		.queue = a->queue->name,
		.leased_at_ms = &a->leased_at_ms,
		.lease_hold_ms = lease_hold_ms(a->config->lease_ms),
		.lease_grace_ms = lease_grace_ms(a->config->lease_ms),
		.on_progress = on_progress,
		.arg = &teller};
	struct stint_ctx *ctx;

	if (!begin_attempt(a, out, &allowance))
		return;
	call.budget_ms = allowance.budget_ms;
	call.deadline_unix_ms = out->started_unix_ms + allowance.budget_ms;
	if (stint_ctx_with_timeout(a->ctx, allowance.budget_ms, &ctx) < 0)
		return outcome_fail(out, JOB_ERROR, "no memory for a context");
	if (a->handler->run) {
		a->in_thread.budget_ms = allowance.budget_ms;
		a->in_thread.ends_at_ms = stint_ctx_deadline(ctx);
		a->in_thread.is_by_deadline = allowance.is_by_deadline;
		attempt_enter(a);
	}
	if (!is_bench(a))
		handler_run(ctx, me->handler_slot, &call, out);
	stint_ctx_free(ctx);
	if (out->status == JOB_TIMEOUT && allowance.is_by_deadline)
		outcome_fail(out, JOB_CANCELLED, "its deadline passed while it ran");
}

/* A plugin in this thread: the attempt's own outcome is the loop's when it gives it up.
 * Return: false: so it has. */
static bool
call_in_thread(struct worker *me, struct attempt *a)
{
	struct outcome out;

	outcome_init(&out);
	out.started_unix_ms = a->outcome.started_unix_ms;
	call_handler(me, a, &out);
	if (attempt_leave(a)) {
		a->outcome = out;
		return true;
	}
	outcome_fini(&out);
	return false;
}

/* Return: false: it has been given up, and is the loop's to free. */
static bool
call(struct worker *me, struct attempt *a)
{
	if (a->handler->run)
		return call_in_thread(me, a);
	call_handler(me, a, &a->outcome);
	return true;
}

static void
worker_run(void *arg, void *state, void *item)
{
	struct workers *w = arg;
	struct worker *me = state;
	struct attempt *a;
	int64_t started_us;
	int r;

	memcpy(&a, item, sizeof a);
	started_us = stint_now_us();
	a->outcome.started_unix_ms = stint_unix_ms();
	log_debug("job starts", F_INT("worker", me->number), F_ATTEMPT(a));
	atomic_store_explicit(&a->started_at_ms, started_us / 1000, memory_order_relaxed);
	atomic_store_explicit(&a->slot, me->number, memory_order_relaxed);
	if (call(me, a)) {
		a->run_us = stint_now_us() - started_us;
		a->outcome.finished_unix_ms = stint_unix_ms();
		if (a->outcome.status != JOB_HANDED_BACK)
			attempt_tell(a, w->name);
	}
	/* cannot fail: the channel is never closed, and the background never ends */
	r = stint_chan_send(stint_ctx_background(), w->outcomes, &a);
	(void)r;
}

static const struct stint_pool_ops worker_ops = {
	.start = worker_start,
	.run = worker_run,
	.stop = worker_stop,
};

static void
workers_freep(struct workers **w)
{
	workers_free(*w);
}

int
workers_new(size_t concurrency, struct zygote *zygote, const char *name,
	struct workers **ret, struct stint_err *err)
{
	cleanup(workers_freep) struct workers *w = calloc(1, sizeof *w);
	int r;

	if (!w)
		return stint_err_set(err, -ENOMEM, "workers: no memory");
	w->zygote = zygote;
	w->name = name;
	w->wanted = concurrency;
	r = stint_chan_new(sizeof(struct attempt *), CHANNEL_CAPACITY, &w->jobs);
	if (r == 0)
		r = stint_chan_new(
			sizeof(struct attempt *), CHANNEL_CAPACITY, &w->outcomes);
	if (r == 0)
		r = stint_chan_recv_fd(w->outcomes);
	if (r < 0)
		return stint_err_wrap(err, r, "workers");
	r = stint_pool_new("worker", concurrency, w->jobs, &worker_ops, w, &w->pool, err);
	if (r < 0)
		return stint_err_wrap(err, r, "workers");
	*ret = take_ptr(w);
	return 0;
}

void
workers_free(struct workers *w)
{
	if (!w)
		return;
	stint_pool_free(w->pool);
	stint_chan_free(w->jobs);
	stint_chan_free(w->outcomes);
	free(w);
}

int
workers_resize(struct workers *w, size_t concurrency, struct stint_err *err)
{
	w->wanted = concurrency;
	return stint_pool_resize(w->pool, w->wanted + w->stuck, err);
}

int
workers_set_stuck(struct workers *w, size_t stuck, struct stint_err *err)
{
	w->stuck = stuck;
	return stint_pool_resize(w->pool, w->wanted + w->stuck, err);
}

void
workers_leave(struct workers *w)
{
	struct stint_ctx *moment;
	bool is_last = false;
	int r;

	for (;;) {
		if (stint_ctx_with_timeout(
			    stint_ctx_background(), LEAVE_LOOK_MS, &moment) < 0)
			return;
		r = stint_pool_stop(moment, w->pool);
		stint_ctx_free(moment);
		if (r == 0 || is_last)
			return;
		/* once more, to join those that are ending just now */
		is_last =
			atomic_load_explicit(&w->alive, memory_order_relaxed) <= w->stuck;
	}
}

/* A thread may be given back, or have been, without being counted so yet. */
static size_t
without_stuck(const struct workers *w, size_t n)
{
	return n > w->stuck ? n - w->stuck : 0;
}

size_t
workers_count(const struct workers *w)
{
	return without_stuck(w, stint_pool_size(w->pool));
}

size_t
workers_busy(const struct workers *w)
{
	return without_stuck(w, stint_pool_busy(w->pool));
}

static size_t
count_or_none(int r)
{
	return r > 0 ? (size_t)r : 0;
}

size_t
workers_push(struct workers *w, struct attempt **attempts, size_t n)
{
	return count_or_none(stint_chan_try_send_many(w->jobs, attempts, n));
}

size_t
workers_take_back(struct workers *w, struct attempt **ret, size_t n)
{
	return count_or_none(stint_chan_try_recv_many(w->jobs, ret, n));
}

size_t
workers_collect(struct workers *w, struct attempt **ret, size_t n)
{
	return count_or_none(stint_chan_try_recv_many(w->outcomes, ret, n));
}

void
workers_listen(struct workers *w)
{
	/* acquire: all news of which nobody was told are there to be found */
	atomic_exchange_explicit(&w->has_news, false, memory_order_acq_rel);
}

int
workers_fd(struct workers *w)
{
	return stint_chan_recv_fd(w->outcomes);
}
