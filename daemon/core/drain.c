/*
 * drain.c - the order of stopping, one state after the other
 */
#include "daemon/core/drain.h"

#include <stint/clock.h>
#include "daemon/handler/handler.h"
#include "daemon/obs/log.h"
#include "daemon/obs/notify.h"

enum {
	/* How often the drain looks whether the blocked read has come back, ... */
	TICK_MS = 100,
	/* ... and how much longer than this moment it asks the service manager to wait.
	 */
	EXTEND_MS = 10000,

	/* How long results wait at least: shutdown_timeout is for jobs, and may be 0. A
	 * lost read is compared for the last time within 3 s (fetch.c). */
	STORE_MIN_MS = 4000,
	/* When it is to be quick, a Redis that is there still gets this to answer. */
	STORE_HURRY_MS = 1000,
};

static bool
has_run_out(const struct drain *d)
{
	return dispatch_running_count(d->dispatch) == 0 && !d->ops->is_taking(d->arg);
}

static void
cancel(struct drain *d)
{
	log_warn("cancelling the jobs that still run",
		F_INT("jobs", dispatch_running_count(d->dispatch)));
	d->state = DRAIN_CANCELLED;
	d->until_ms = STINT_NEVER; /* kill_grace ends every handler */
	dispatch_cancel_all(
		d->dispatch, HANDLER_CAUSE_SHUTDOWN, "the daemon is shutting down");
}

static void
done(struct drain *d)
{
	const size_t left = commit_pending_count(d->commit);

	d->state = DRAIN_DONE;
	loop_timer_stop(&d->timer);
	if (left > 0)
		log_error("gave up waiting for redis: results lost, their jobs stay "
			  "pending",
			F_INT("jobs", left));
	else if (!d->is_sure)
		log_warn("gave up waiting for redis: jobs may stay pending until their "
			 "lease ends");
	d->ops->on_done(d->arg, left == 0);
}

static void
on_left(void *arg)
{
	done(arg);
}

static void
leave(struct drain *d)
{
	/* not asked again: what connects meanwhile would be in the way */
	d->is_sure = d->ops->is_settled(d->arg);
	if (!commit_is_ready(d->commit))
		return done(d);
	d->state = DRAIN_LEAVING;
	commit_leave(d->commit, on_left, d);
}

void
drain_poke(struct drain *d)
{
	switch (d->state) {
	case DRAIN_WAITING:
	case DRAIN_CANCELLED:
		if (!has_run_out(d))
			return;
		d->state = DRAIN_STORING;
		d->until_ms = STINT_NEVER;
		/* fall through */
	case DRAIN_STORING:
		if (d->ops->is_settled(d->arg))
			leave(d);
		return;
	default:
		return;
	}
}

/* Results wait for a Redis that is away, but not for ever; what may be held without
 * being known here, and is reclaimed by others otherwise, only for a moment. */
static void
bound_storing(struct drain *d)
{
	int64_t timeout_ms = STORE_MIN_MS;

	if (d->state != DRAIN_STORING || d->until_ms != STINT_NEVER)
		return;
	if (commit_pending_count(d->commit) > 0 && d->timeout_ms > timeout_ms)
		timeout_ms = d->timeout_ms;
	d->until_ms = stint_at_ms(timeout_ms);
}

static void
on_tick(void *arg)
{
	struct drain *d = arg;

	d->ops->unblock(d->arg);
	drain_poke(d);
	bound_storing(d);
	if (d->state == DRAIN_WAITING && stint_now_ms() >= d->until_ms)
		cancel(d);
	else if (d->state == DRAIN_STORING && stint_now_ms() >= d->until_ms)
		return commit_pending_count(d->commit) == 0 ? leave(d) : done(d);
	if (d->state == DRAIN_DONE)
		return;
	notify_extend_ms(EXTEND_MS);
	loop_timer_set(&d->timer, stint_at_ms(TICK_MS));
}

void
drain_begin(struct drain *d, int64_t timeout_ms)
{
	if (d->state != DRAIN_RUNNING)
		return;
	d->state = DRAIN_WAITING;
	d->timeout_ms = timeout_ms;
	d->until_ms = stint_at_ms(timeout_ms);
	d->ops->quiesce(d->arg);
	on_tick(d);
}

void
drain_hurry(struct drain *d)
{
	if (d->state == DRAIN_WAITING)
		cancel(d);
	else if (d->state == DRAIN_STORING)
		d->until_ms =
			stint_at_ms(commit_is_ready(d->commit) ? STORE_HURRY_MS : 0);
	drain_poke(d);
}

void
drain_init(struct drain *d)
{
	d->state = DRAIN_RUNNING;
	loop_timer_init(&d->timer, d->loop, on_tick, d);
}

void
drain_fini(struct drain *d)
{
	loop_timer_stop(&d->timer);
}
