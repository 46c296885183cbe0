/*
 * dispatch.c - jobs to the workers and back
 *
 *	intake ─▶ fresh ─ flush ─▶ workers ─▶ collect ─▶ flight_end()
 *	   │        ▲                  └─ waits too long, or drain: handed back
 *	   └─▶ line ┘ of a handler at its limit (lanes.h)
 *	   └─▶ put aside
 */
#include "daemon/core/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <stint/clock.h>
#include "daemon/core/lanes.h"
#include "daemon/core/stuck.h"
#include "lib/base/cleanup.h"

enum {
	/* Prefetch is bounded in time: what the pool will begin within this time, ... */
	PREFETCH_US = 10000,
	/* ... and in number, for handlers that take next to no time. */
	PREFETCH_MAX = 512,
	/* A job that has been waiting this long behind slow ones goes back: a worker
	 * elsewhere may begin it sooner, and here there is no credit until one is free.
	 */
	STALE_MS = 100,

	/* Above this nothing is fetched; the channels have room for four times as many.
	 */
	IN_FLIGHT_MAX = 4096 + 4096,

	BATCH = 256, /* moved through a channel at once */

	/* How many more are read at once while all that comes is put aside. */
	SKIM_MAX = 64,
};

struct dispatch {
	struct dispatch_opts o;
	struct attempt_list fresh; /* came since the last flush */
	size_t fresh_count;
	size_t out_count; /* with the workers, begun or not */
	struct lanes *lanes;
	bool is_quiet;
	size_t skimmed; /* were put aside since one came that could run */

	int64_t run_us; /* moving average of how long a job runs; 0: nothing known */
	int64_t last_collect_ms;
	struct loop_watch outcomes_watch;
	struct loop_timer stale_timer;
	struct stuck *stuck;
};

/* ---- to the workers ---- */

static size_t
prefetch(const struct dispatch *d, size_t workers)
{
	int64_t n;

	if (d->run_us == 0)
		return 0; /* nothing has run yet: slow, for all we know */
	n = (int64_t)workers * PREFETCH_US / d->run_us;
	return n > PREFETCH_MAX ? PREFETCH_MAX : (size_t)n;
}

static void
put_aside(struct dispatch *d, struct attempt *a)
{
	aside_note(a->queue, a->handler->name);
	flight_put_aside(d->o.flight, a);
}

static void
add_fresh(struct dispatch *d, struct attempt *a)
{
	TAILQ_INSERT_TAIL(&d->fresh, a, link);
	d->fresh_count++;
}

void
dispatch_add(struct dispatch *d, struct attempt *a)
{
	const bool is_behind = aside_has(a->queue, a->handler->name);

	/* from now on it can be ended early: a context of its own, no parent, so that
	 * workers do not meet in one lock */
	if (stint_ctx_with_cancel(stint_ctx_background(), &a->ctx) < 0)
		return flight_hand_back(d->o.flight, a);
	switch (lanes_add(d->lanes, a, is_behind)) {
	case LANES_RUN:
		d->skimmed = 0;
		return add_fresh(d, a);
	case LANES_WAIT:
		if (d->is_quiet && lanes_remove(d->lanes, a))
			put_aside(d, a);
		return;
	case LANES_ASIDE:
		d->skimmed++;
		return put_aside(d, a);
	}
}

/* Of those that wait for their handler: as many as workers will begin soon. */
static void
add_waiting(struct dispatch *d)
{
	const size_t workers = workers_count(d->o.workers);
	const size_t wanted = workers + prefetch(d, workers);
	struct attempt *a;

	while (d->out_count + d->fresh_count < wanted && (a = lanes_next(d->lanes)))
		add_fresh(d, a);
}

/* No worker has begun them. Those of handlers with a limit keep their place. */
static void
return_unbegun(struct dispatch *d, struct attempt **list, size_t n)
{
	for (size_t i = n; i-- > 0;)
		if (list[i]->lane)
			lanes_put_back(d->lanes, list[i]);
	for (size_t i = 0; i < n; i++)
		if (!list[i]->line)
			flight_hand_back(d->o.flight, list[i]);
}

void
dispatch_flush(struct dispatch *d)
{
	struct attempt *batch[BATCH];
	struct attempt *a;
	size_t n, pushed;

	add_waiting(d);
	do {
		n = 0;
		for (a = TAILQ_FIRST(&d->fresh); a && n < BATCH;
			a = TAILQ_FIRST(&d->fresh)) {
			TAILQ_REMOVE(&d->fresh, a, link);
			batch[n++] = a;
			if (a->handler->run)
				stuck_watch(d->stuck);
		}
		pushed = n > 0 ? workers_push(d->o.workers, batch, n) : 0;
		d->out_count += pushed;
		d->fresh_count -= n;
		return_unbegun(d, batch + pushed, n - pushed);
	} while (n == BATCH);
	if (d->out_count > workers_count(d->o.workers))
		loop_timer_set_earlier(&d->stale_timer, stint_at_ms(STALE_MS));
}

/* ---- how much to fetch ---- */

size_t
dispatch_credit(const struct dispatch *d)
{
	const size_t workers = workers_count(d->o.workers);
	size_t ahead, wanted;

	if (flight_count(d->o.flight) - lanes_waiting_count(d->lanes) >= IN_FLIGHT_MAX)
		return 0;
	ahead = prefetch(d, workers);
	wanted = workers + ahead;
	if (d->out_count >= wanted)
		return 0;
	/* while all are busy anyway, a read is worth its while only if it brings much */
	if (d->out_count >= workers && wanted - d->out_count < ahead / 2)
		return 0;
	return wanted - d->out_count + (d->skimmed < SKIM_MAX ? d->skimmed : SKIM_MAX);
}

struct aside_room
dispatch_room(const struct dispatch *d, const struct queue *q, const char *handler)
{
	struct aside_room room = {0};

	if (!lanes_has_limit(d->lanes, q, handler, &room.count))
		room.count = dispatch_credit(d);
	return room;
}

/* ---- back from the workers ---- */

static void
on_outcome(struct dispatch *d, struct attempt *a)
{
	d->out_count--;
	lanes_end(d->lanes, a);
	/* A mean over about 16 jobs; at least 1, since 0 stands for "not known". */
	if (d->run_us == 0)
		d->run_us = a->run_us;
	d->run_us += (a->run_us - d->run_us) / 16;
	d->run_us = d->run_us > 0 ? d->run_us : 1;
	flight_end(d->o.flight, a);
}

static void
on_outcomes(void *arg)
{
	struct dispatch *d = arg;
	struct attempt *batch[BATCH];
	size_t n, ended = 0;

	/* One batch per turn: others (replies, timers) must have theirs, too. The
	 * channel's descriptor stays readable as long as there is more. */
	n = workers_collect(d->o.workers, batch, BATCH);
	for (size_t i = 0; i < n; i++) {
		ended += batch[i] != NULL;
		if (batch[i] && batch[i]->is_kept)
			stuck_return(d->stuck, batch[i]);
		else if (batch[i])
			on_outcome(d, batch[i]);
	}
	if (ended < n)
		d->o.on_news(d->o.arg);
	if (ended == 0)
		return;
	d->last_collect_ms = stint_now_ms();
	if (lanes_waiting_count(d->lanes) > 0)
		dispatch_flush(d);
	d->o.on_change(d->o.arg);
}

/* Its plugin keeps its thread, but the job is over, and so for its handler's limit. */
static void
on_given_up(void *arg, struct attempt *a)
{
	struct dispatch *d = arg;

	d->out_count--;
	lanes_end(d->lanes, a);
	flight_conclude(d->o.flight, a);
	d->o.on_stuck(d->o.arg, stuck_count(d->stuck));
	if (lanes_waiting_count(d->lanes) > 0)
		dispatch_flush(d);
	d->o.on_change(d->o.arg);
}

void
dispatch_take_back(struct dispatch *d)
{
	struct attempt *batch[BATCH];
	size_t n;

	while ((n = workers_take_back(d->o.workers, batch, BATCH)) > 0) {
		d->out_count -= n;
		return_unbegun(d, batch, n);
	}
}

void
dispatch_put_aside(struct dispatch *d, const struct queue *q)
{
	struct attempt *a;

	while ((a = lanes_pop(d->lanes, q)))
		put_aside(d, a);
}

void
dispatch_set_quiet(struct dispatch *d, bool is_quiet)
{
	d->is_quiet = is_quiet;
	if (is_quiet)
		dispatch_put_aside(d, NULL);
}

bool
dispatch_remove(struct dispatch *d, struct attempt *a)
{
	return lanes_remove(d->lanes, a);
}

static void
on_stale(void *arg)
{
	struct dispatch *d = arg;

	/* Had the loop no time for so long, jobs have ended that it does not know of. */
	on_outcomes(d);
	if (d->out_count <= workers_count(d->o.workers))
		return;
	if (stint_now_ms() - d->last_collect_ms < STALE_MS)
		return loop_timer_set(&d->stale_timer, d->last_collect_ms + STALE_MS);
	/* the average did not see this coming: no prefetch until it has learnt */
	d->run_us = (int64_t)workers_count(d->o.workers) * PREFETCH_US + 1;
	dispatch_take_back(d);
	d->o.on_change(d->o.arg);
}

/* ---- from outside ---- */

void
dispatch_cancel_all(struct dispatch *d, int code, const char *why)
{
	struct attempt *a;

	TAILQ_FOREACH (a, flight_list(d->o.flight), in_flight)
		if (a->ctx)
			stint_ctx_cancel_cause(a->ctx, code, why);
}

int
dispatch_set_config(struct dispatch *d, const struct config *config)
{
	return lanes_set_config(d->lanes, config, flight_list(d->o.flight));
}

bool
dispatch_is_limited(const struct dispatch *d)
{
	return lanes_is_limited(d->lanes);
}

size_t
dispatch_waiting_count(const struct dispatch *d)
{
	return lanes_waiting_count(d->lanes);
}

void
dispatch_log(const struct dispatch *d)
{
	lanes_log(d->lanes);
}

size_t
dispatch_running_count(const struct dispatch *d)
{
	return d->out_count;
}

size_t
dispatch_stuck_count(const struct dispatch *d)
{
	return stuck_count(d->stuck);
}

int64_t
dispatch_run_us(const struct dispatch *d)
{
	return d->run_us;
}

static void
dispatch_freep(struct dispatch **d)
{
	dispatch_free(*d);
}

int
dispatch_new(const struct dispatch_opts *opts, struct dispatch **ret)
{
	cleanup(dispatch_freep) struct dispatch *d = calloc(1, sizeof *d);
	struct stuck_opts stuck = {.loop = opts->loop,
		.workers = opts->workers,
		.flight = opts->flight,
		.on_given_up = on_given_up,
		.arg = d};
	int r;

	if (!d)
		return -ENOMEM;
	d->o = *opts;
	TAILQ_INIT(&d->fresh);
	loop_timer_init(&d->stale_timer, opts->loop, on_stale, d);
	r = lanes_new(&d->lanes);
	if (r == 0)
		r = stuck_new(&stuck, &d->stuck);
	if (r < 0)
		return r;
	r = loop_watch_start(&d->outcomes_watch, opts->loop, workers_fd(opts->workers),
		on_outcomes, d);
	if (r < 0)
		return r;
	*ret = take_ptr(d);
	return 0;
}

void
dispatch_free(struct dispatch *d)
{
	if (!d)
		return;
	loop_watch_stop(&d->outcomes_watch);
	loop_timer_stop(&d->stale_timer);
	lanes_free(d->lanes);
	stuck_free(d->stuck);
	free(d);
}
