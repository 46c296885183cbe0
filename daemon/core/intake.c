/*
 * intake.c - what becomes of a job that was read, before anyone runs it
 *
 * A job that must be admitted is not handed back before it was: a copy of it would
 * count as admitted. So also while the daemon drains, or the queue is paused, it takes
 * this one step.
 */
#include "daemon/core/intake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/obs/log_ids.h"
#include "lib/base/units.h"

enum {
	/* A job of an unknown handler is held for this long before it goes back, so that
	 * daemons that do not know it do not play ball with it. */
	PARK_MS = 500,
	PARKED_MAX = 1024,
};

struct intake {
	struct intake_opts o;
	struct config *config;
	bool is_draining;
	struct attempt_list parked; /* unknown handlers, by due_at_ms */
	size_t parked_count;
	struct loop_timer park_timer;
};

/* ---- unknown handlers ---- */

/* No handler of that name here: refuse, or let another daemon try. */
static void
add_unknown(struct intake *in, struct attempt *a)
{
	const int64_t wait_ms = in->config->unknown_handler_ms;
	const int64_t age_ms = stint_unix_ms() - a->job->submitted_unix_ms;

	if (wait_ms == 0 || age_ms >= wait_ms)
		return flight_fail(in->o.flight, a, JOB_REJECTED,
			"unknown handler \"%s\"", a->job->handler.p);
	if (in->parked_count >= PARKED_MAX)
		return flight_hand_back(in->o.flight, a);
	a->due_at_ms = stint_at_ms(PARK_MS);
	TAILQ_INSERT_TAIL(&in->parked, a, link);
	in->parked_count++;
	loop_timer_set_earlier(&in->park_timer, a->due_at_ms);
}

static void
on_parked_due(void *arg)
{
	struct intake *in = arg;
	const int64_t now = stint_now_ms();
	struct attempt *a;

	while ((a = TAILQ_FIRST(&in->parked)) &&
		(in->is_draining || a->due_at_ms <= now)) {
		TAILQ_REMOVE(&in->parked, a, link);
		in->parked_count--;
		flight_hand_back(in->o.flight, a);
	}
	if (a)
		loop_timer_set(&in->park_timer, a->due_at_ms);
	in->o.on_change(in->o.arg);
}

/* ---- in ---- */

static bool
is_malformed(struct intake *in, struct attempt *a)
{
	const struct job *job = a->job;
	const int64_t limit = a->handler ? a->handler->payload_limit_bytes
					 : in->config->default_payload_limit_bytes;
	char text[UNITS_TEXT_BYTES];

	if (job->fault[0] != '\0')
		flight_fail(in->o.flight, a, JOB_REJECTED, "%s", job->fault);
	else if ((int64_t)job->payload.n > limit)
		flight_fail(in->o.flight, a, JOB_REJECTED,
			"payload of %zu bytes, more than %s (payload_limit)",
			job->payload.n, units_format_size(limit, text));
	else
		return false;
	return true;
}

static bool
is_poison(struct intake *in, struct attempt *a)
{
	const int died = job_deaths(a->job);

	if (died < in->config->max_deliveries)
		return false;
	log_error("poison job: it goes to the dead letters",
		F_MESSAGE_ID(LOG_ID_JOB_POISON), F_ATTEMPT(a),
		F_STR("status", job_status_name(JOB_CRASHED)), F_INT("deaths", died));
	flight_fail(in->o.flight, a, JOB_CRASHED,
		"its daemon died %d times while it had the job (max_deliveries)", died);
	return true;
}

static void
cancel_unstarted(struct intake *in, struct attempt *a)
{
	flight_fail(in->o.flight, a, JOB_CANCELLED, "cancelled before it started");
}

static bool
is_cancelled(struct intake *in, struct attempt *a)
{
	if (!a->job->is_cancelled && !control_is_cancelled(in->o.control, a->queue,
					     a->job->id, a->job->submitted_unix_ms))
		return false;
	cancel_unstarted(in, a);
	return true;
}

/* Paused, or not read any more, so that what is cancelled there is not known: it was on
 * its way when that was heard. */
static bool
is_unwanted(const struct intake *in, const struct queue *q)
{
	return in->is_draining || q->is_paused || !control_is_ready(in->o.control, q);
}

/* It is the only one of its id, and its time has come. */
static void
pass_on(struct intake *in, struct attempt *a)
{
	if (is_malformed(in, a) || is_poison(in, a) || is_cancelled(in, a))
		return;
	if (is_unwanted(in, a->queue))
		return a->was_aside ? flight_put_aside(in->o.flight, a)
				    : flight_hand_back(in->o.flight, a);
	if (!a->handler)
		return add_unknown(in, a);
	dispatch_add(in->o.dispatch, a);
}

static void
add(struct intake *in, struct queue *q, struct job *job, int64_t leased_at_ms,
	bool was_aside)
{
	struct attempt *a;

	/* Given to us a second time: Redis has forgotten that it did (a failover), or two
	 * ways led to it. It is held by us either way. */
	if (flight_find(in->o.flight, q, job->entry_id)) {
		free(job);
		return;
	}
	a = flight_begin(in->o.flight, q, job, in->config, leased_at_ms);
	if (!a)
		return;
	a->was_aside = was_aside;
	/* Before anything else, also for a job that is malformed: if it is a duplicate,
	 * its result would take the place of the first one's. */
	if (admit_is_needed(a->job))
		admit_add(in->o.admit, a);
	else
		pass_on(in, a);
}

void
intake_add(struct intake *in, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	add(in, q, job, leased_at_ms, false);
}

void
intake_add_aside(
	struct intake *in, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	add(in, q, job, leased_at_ms, true);
}

struct aside_room
intake_room(const struct intake *in, const struct queue *q, const char *handler)
{
	struct aside_room room = dispatch_room(in->o.dispatch, q, handler);

	if (config_handler(in->config, handler, strlen(handler)))
		return room;
	/* not known here: only what nobody has known for so long, to be rejected */
	room.min_age_ms = in->config->unknown_handler_ms;
	return room;
}

void
intake_admitted(struct intake *in, struct attempt *a, enum admit_answer answer)
{
	struct flight_counts *counts = flight_counts(in->o.flight);

	switch (answer) {
	case ADMIT_RUN:
		return pass_on(in, a);
	case ADMIT_DUPLICATE:
		log_warn("job dropped: there is one with the same id already",
			F_ATTEMPT(a), F_STR("entry", a->job->entry_id));
		counts->duplicates++;
		break;
	case ADMIT_DELAYED:
		counts->delayed++;
		control_recall(in->o.control, a->queue, a->job->id);
		break;
	case ADMIT_LOST:
		break;
	}
	flight_drop(in->o.flight, a);
}

/* ---- cancel ---- */

void
intake_cancel(
	struct intake *in, const struct queue *q, const char *id, int64_t cancel_unix_ms)
{
	struct attempt *a;

	/* a command of people: rare enough to look at all of them */
	TAILQ_FOREACH (a, flight_list(in->o.flight), in_flight) {
		if (a->queue != q || strcmp(a->job->id.p, id) != 0 ||
			a->job->submitted_unix_ms > cancel_unix_ms)
			continue;
		if (dispatch_remove(in->o.dispatch, a))
			cancel_unstarted(in, a);
		else if (a->ctx)
			stint_ctx_cancel_cause(
				a->ctx, -ECANCELED, "cancelled by command");
	}
}

/* ---- from outside ---- */

void
intake_drain(struct intake *in)
{
	in->is_draining = true;
	on_parked_due(in);
}

bool
intake_is_full(const struct intake *in)
{
	return in->parked_count >= PARKED_MAX;
}

int
intake_new(const struct intake_opts *opts, struct config *config, struct intake **ret)
{
	struct intake *in = calloc(1, sizeof *in);

	if (!in)
		return -ENOMEM;
	in->o = *opts;
	in->config = config_ref(config);
	TAILQ_INIT(&in->parked);
	loop_timer_init(&in->park_timer, opts->loop, on_parked_due, in);
	*ret = in;
	return 0;
}

void
intake_free(struct intake *in)
{
	if (!in)
		return;
	loop_timer_stop(&in->park_timer);
	config_unref(in->config);
	free(in);
}

void
intake_set_config(struct intake *in, struct config *config)
{
	config_unref(in->config);
	in->config = config_ref(config);
}
