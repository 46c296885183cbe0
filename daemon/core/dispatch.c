/*
 * dispatch.c - jobs in flight
 *
 *	fetch ─▶ add ─┬─ malformed, unknown, too large ──────────▶ rejected ─┐
 *	              ├─ unknown, to be waited for ─▶ parked ─▶ handed back ─┤
 *	              └─▶ fresh ─ flush ─▶ workers ─▶ collect ───────────────┴─▶ commit
 *	                                     └─ waits too long, or drain: handed back ─▶
 */
#include "daemon/core/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"

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

	/* A job of an unknown handler is held for this long before it goes back, so that
	 * daemons that do not know it do not play ball with it. */
	PARK_MS = 500,
	PARKED_MAX = 1024,

	BATCH = 256, /* moved through a channel at once */
};

struct dispatch {
	struct dispatch_opts o;
	struct config *config;
	bool is_draining;

	struct attempt_list in_flight;
	size_t in_flight_count;
	struct attempt_list fresh;  /* came with this read */
	struct attempt_list parked; /* unknown handlers, by due_at_ms */
	size_t parked_count;
	size_t out_count; /* with the workers, begun or not */

	int64_t run_us; /* moving average of how long a job runs; 0: nothing known */
	int64_t last_collect_ms;
	struct loop_watch outcomes_watch;
	struct loop_timer stale_timer;
	struct loop_timer park_timer;
	struct dispatch_counts counts;
};

/* ---- in ---- */

static void
to_commit(struct dispatch *d, struct attempt *a)
{
	atomic_store_explicit(&a->slot, ATTEMPT_ENDED, memory_order_relaxed);
	commit_add(d->o.commit, a);
}

static void
finish(struct dispatch *d, struct attempt *a)
{
	a->outcome.finished_unix_ms = stint_unix_ms();
	if (a->outcome.status != JOB_HANDED_BACK)
		attempt_tell(a, d->o.name);
	to_commit(d, a);
}

static void
hand_back(struct dispatch *d, struct attempt *a)
{
	a->outcome.status = JOB_HANDED_BACK;
	finish(d, a);
}

/* No handler of that name here: refuse, or let another daemon try. */
static void
add_unknown(struct dispatch *d, struct attempt *a)
{
	const int64_t wait_ms = d->config->unknown_handler_ms;
	const int64_t age_ms = stint_unix_ms() - a->job->submitted_unix_ms;

	if (wait_ms == 0 || age_ms >= wait_ms) {
		outcome_fail(&a->outcome, JOB_REJECTED, "unknown handler \"%s\"",
			a->job->handler.p);
		return finish(d, a);
	}
	if (d->parked_count >= PARKED_MAX)
		return hand_back(d, a);
	a->due_at_ms = stint_at_ms(PARK_MS);
	TAILQ_INSERT_TAIL(&d->parked, a, link);
	d->parked_count++;
	loop_timer_set_earlier(&d->park_timer, a->due_at_ms);
}

static void
add_attempt(struct dispatch *d, struct attempt *a)
{
	const struct job *job = a->job;
	const int64_t limit = a->handler ? a->handler->payload_limit_bytes
					 : d->config->default_payload_limit_bytes;
	char text[UNITS_TEXT_BYTES];

	if (job->fault[0] != '\0') {
		outcome_fail(&a->outcome, JOB_REJECTED, "%s", job->fault);
		return finish(d, a);
	}
	if ((int64_t)job->payload.n > limit) {
		outcome_fail(&a->outcome, JOB_REJECTED,
			"payload of %zu bytes, more than %s (payload_limit)",
			job->payload.n, units_format_size(limit, text));
		return finish(d, a);
	}
	if (d->is_draining)
		return hand_back(d, a);
	if (!a->handler)
		return add_unknown(d, a);
	TAILQ_INSERT_TAIL(&d->fresh, a, link);
}

void
dispatch_add(struct dispatch *d, struct queue *q, struct job *job)
{
	struct attempt *a = attempt_new(job, q, d->config);

	if (!a) {
		/* It stays in the pending list of this consumer. */
		log_error("no memory for a job", F_STR("queue", q->name));
		return;
	}
	TAILQ_INSERT_TAIL(&d->in_flight, a, in_flight);
	d->in_flight_count++;
	add_attempt(d, a);
}

void
dispatch_flush(struct dispatch *d)
{
	struct attempt *batch[BATCH];
	struct attempt *a;
	size_t n, pushed;

	do {
		n = 0;
		for (a = TAILQ_FIRST(&d->fresh); a && n < BATCH;
			a = TAILQ_FIRST(&d->fresh)) {
			TAILQ_REMOVE(&d->fresh, a, link);
			batch[n++] = a;
		}
		pushed = n > 0 ? workers_push(d->o.workers, batch, n) : 0;
		d->out_count += pushed;
		for (size_t i = pushed; i < n; i++)
			hand_back(d, batch[i]);
	} while (n == BATCH);
	if (d->out_count > workers_count(d->o.workers))
		loop_timer_set_earlier(&d->stale_timer, stint_at_ms(STALE_MS));
	commit_poke(d->o.commit);
}

/* ---- how much to fetch ---- */

static size_t
prefetch(const struct dispatch *d, size_t workers)
{
	int64_t n;

	if (d->run_us == 0)
		return 0; /* nothing has run yet: slow, for all we know */
	n = (int64_t)workers * PREFETCH_US / d->run_us;
	return n > PREFETCH_MAX ? PREFETCH_MAX : (size_t)n;
}

size_t
dispatch_credit(const struct dispatch *d)
{
	const size_t workers = workers_count(d->o.workers);
	size_t ahead, wanted;

	if (d->is_draining || !commit_is_open(d->o.commit) ||
		d->in_flight_count >= IN_FLIGHT_MAX || d->parked_count >= PARKED_MAX)
		return 0;
	ahead = prefetch(d, workers);
	wanted = workers + ahead;
	if (d->out_count >= wanted)
		return 0;
	/* while all are busy anyway, a read is worth its while only if it brings much */
	if (d->out_count >= workers && wanted - d->out_count < ahead / 2)
		return 0;
	return wanted - d->out_count;
}

bool
dispatch_is_known(const struct dispatch *d, const struct queue *q, const char *entry_id)
{
	const struct attempt *a;

	TAILQ_FOREACH (a, &d->in_flight, in_flight)
		if (a->queue == q && !strcmp(a->job->entry_id, entry_id))
			return true;
	return false;
}

/* ---- back from the workers ---- */

static void
on_outcome(struct dispatch *d, struct attempt *a)
{
	d->out_count--;
	/* A mean over about 16 jobs; at least 1, since 0 stands for "not known". */
	if (d->run_us == 0)
		d->run_us = a->run_us;
	d->run_us += (a->run_us - d->run_us) / 16;
	d->run_us = d->run_us > 0 ? d->run_us : 1;
	to_commit(d, a);
}

static void
on_outcomes(void *arg)
{
	struct dispatch *d = arg;
	struct attempt *batch[BATCH];
	size_t n;

	/* One batch per turn: others (replies, timers) must have theirs, too. The
	 * channel's descriptor stays readable as long as there is more. */
	n = workers_collect(d->o.workers, batch, BATCH);
	for (size_t i = 0; i < n; i++)
		on_outcome(d, batch[i]);
	if (n == 0)
		return;
	d->last_collect_ms = stint_now_ms();
	commit_poke(d->o.commit);
	d->o.on_change(d->o.arg);
}

/* Take back what no worker has begun. */
static void
take_back(struct dispatch *d)
{
	struct attempt *batch[BATCH];
	size_t n;

	while ((n = workers_take_back(d->o.workers, batch, BATCH)) > 0) {
		d->out_count -= n;
		for (size_t i = 0; i < n; i++)
			hand_back(d, batch[i]);
	}
	commit_poke(d->o.commit);
}

static void
on_stale(void *arg)
{
	struct dispatch *d = arg;

	if (d->out_count <= workers_count(d->o.workers))
		return;
	if (stint_now_ms() - d->last_collect_ms >= STALE_MS) {
		/* the average did not see this coming: no prefetch until it has learnt */
		d->run_us = (int64_t)workers_count(d->o.workers) * PREFETCH_US + 1;
		take_back(d);
	} else {
		loop_timer_set(&d->stale_timer, d->last_collect_ms + STALE_MS);
	}
}

static void
on_parked_due(void *arg)
{
	struct dispatch *d = arg;
	const int64_t now = stint_now_ms();
	struct attempt *a;

	while ((a = TAILQ_FIRST(&d->parked)) && (d->is_draining || a->due_at_ms <= now)) {
		TAILQ_REMOVE(&d->parked, a, link);
		d->parked_count--;
		hand_back(d, a);
	}
	if (a)
		loop_timer_set(&d->park_timer, a->due_at_ms);
	commit_poke(d->o.commit);
	d->o.on_change(d->o.arg);
}

/* ---- stored ---- */

static void
log_result(const struct attempt *a, enum finish_answer answer, int flags)
{
	const struct job *job = a->job;
	const char *handler = job->handler.p ? job->handler.p : "";

	if (answer == FINISH_LOST)
		log_warn("result dropped: the job is not held by this daemon any more",
			F_STR("job", job->id.p), F_STR("queue", a->queue->name));
	else if (answer == FINISH_DUPLICATE)
		log_warn("result dropped: there was one for this id, it stands",
			F_STR("job", job->id.p), F_STR("queue", a->queue->name));
	else if (a->outcome.status != JOB_OK && a->outcome.status != JOB_HANDED_BACK)
		log_info("job failed", F_STR("job", job->id.p),
			F_STR("queue", a->queue->name), F_STR("handler", handler),
			F_STR("status", job_status_name(a->outcome.status)),
			F_STR("error", a->outcome.error));
	if (flags & FINISH_NO_REPLY)
		log_warn("reply could not be added, its key is no stream",
			F_STR("job", job->id.p), F_STR("reply_to", job->reply_to.p));
	if (flags & FINISH_NO_LETTER)
		log_warn("dead letter could not be added, its key is no stream",
			F_STR("job", job->id.p), F_STR("queue", a->queue->name));
}

void
dispatch_done(struct dispatch *d, struct attempt *a, enum finish_answer answer, int flags)
{
	/* the answer to the first sending was lost; it was carried out */
	if (a->is_sent_again)
		answer = FINISH_RECORDED;
	if (answer != FINISH_RECORDED || flags != 0 || a->outcome.status != JOB_OK)
		log_result(a, answer, flags);
	if (a->outcome.status == JOB_HANDED_BACK) {
		d->counts.handed_back++;
	} else if (answer == FINISH_RECORDED) {
		d->counts.done++;
		d->counts.failed += a->outcome.status != JOB_OK;
	}
	TAILQ_REMOVE(&d->in_flight, a, in_flight);
	d->in_flight_count--;
	attempt_free(a);
}

/* ---- from outside ---- */

void
dispatch_drain(struct dispatch *d)
{
	d->is_draining = true;
	take_back(d);
	on_parked_due(d);
}

size_t
dispatch_running_count(const struct dispatch *d)
{
	return d->out_count;
}

struct dispatch_counts
dispatch_counts(const struct dispatch *d)
{
	return d->counts;
}

void
dispatch_log_state(const struct dispatch *d)
{
	const int64_t now = stint_now_ms();
	const struct attempt *a;

	log_info("state", F_INT("workers", workers_count(d->o.workers)),
		F_INT("busy", workers_busy(d->o.workers)),
		F_INT("in_flight", d->in_flight_count),
		F_INT("unstored", commit_pending_count(d->o.commit)),
		F_INT("done", d->counts.done), F_INT("failed", d->counts.failed),
		F_INT("handed_back", d->counts.handed_back), F_INT("run_us", d->run_us));
	TAILQ_FOREACH (a, &d->in_flight, in_flight) {
		const int slot = atomic_load_explicit(&a->slot, memory_order_relaxed);
		const int64_t at =
			atomic_load_explicit(&a->started_at_ms, memory_order_relaxed);

		if (slot < 0)
			log_info(slot == ATTEMPT_WAITS ? "job waits"
						       : "job ended, not stored yet",
				F_STR("job", a->job->id.p),
				F_STR("queue", a->queue->name));
		else
			log_info("job runs", F_INT("worker", slot),
				F_STR("job", a->job->id.p),
				F_STR("queue", a->queue->name),
				F_STR("handler", a->handler->name),
				F_INT("for_ms", now - at));
	}
}

int
dispatch_new(
	const struct dispatch_opts *opts, struct config *config, struct dispatch **ret)
{
	cleanup(freep) struct dispatch *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return -ENOMEM;
	d->o = *opts;
	TAILQ_INIT(&d->in_flight);
	TAILQ_INIT(&d->fresh);
	TAILQ_INIT(&d->parked);
	loop_timer_init(&d->stale_timer, opts->loop, on_stale, d);
	loop_timer_init(&d->park_timer, opts->loop, on_parked_due, d);
	r = loop_watch_start(&d->outcomes_watch, opts->loop, workers_fd(opts->workers),
		on_outcomes, d);
	if (r < 0)
		return r;
	d->config = config_ref(config);
	*ret = take_ptr(d);
	return 0;
}

void
dispatch_free(struct dispatch *d)
{
	struct attempt *a;

	if (!d)
		return;
	loop_watch_stop(&d->outcomes_watch);
	loop_timer_stop(&d->stale_timer);
	loop_timer_stop(&d->park_timer);
	while ((a = TAILQ_FIRST(&d->in_flight))) {
		TAILQ_REMOVE(&d->in_flight, a, in_flight);
		attempt_free(a);
	}
	config_unref(d->config);
	free(d);
}

void
dispatch_set_config(struct dispatch *d, struct config *config)
{
	config_unref(d->config);
	d->config = config_ref(config);
}
