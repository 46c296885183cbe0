/*
 * stuck.c - plugins that keep a worker's thread; see stuck.h
 *
 * Nobody tells when a context's time is up, so the attempts of such plugins are looked at
 * ten times a second while there are any: by then they are few, or soon over.
 */
#include "daemon/core/stuck.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/handler/ending.h"
#include "daemon/obs/log.h"
#include "daemon/obs/log_ids.h"
#include "daemon/queue/lease.h"
#include "lib/base/units.h"

enum {
	LOOK_MS = 100,
	DUE_MAX = 64, /* in one turn */
};

struct stuck {
	struct stuck_opts o;
	size_t count;
	struct loop_timer timer;
};

static struct handler_call
call_of(const struct attempt *a)
{
	return (struct handler_call){.config = a->config,
		.conf = a->handler,
		.job = a->job,
		.queue = a->queue->name,
		.budget_ms = a->in_thread.budget_ms,
		.leased_at_ms = &a->leased_at_ms,
		.lease_hold_ms = lease_hold_ms(a->config->lease_ms),
		.lease_grace_ms = lease_grace_ms(a->config->lease_ms)};
}

/* Since when it should end: its own time, or because the loop has said so. */
static void
note_end(struct attempt *a, int64_t now_ms)
{
	if (a->asked_at_ms != 0)
		return;
	a->is_timed_out = stint_ctx_err(a->ctx) == 0 && a->in_thread.ends_at_ms <= now_ms;
	if (a->is_timed_out)
		a->asked_at_ms = a->in_thread.ends_at_ms;
	else if (stint_ctx_err(a->ctx) < 0)
		a->asked_at_ms = now_ms;
}

/* As a handler that heeds its context would have ended, and that this one does not. */
static void
write_outcome(struct attempt *a, const struct handler_call *call)
{
	struct outcome *out = &a->outcome;
	char text[UNITS_TEXT_BYTES], why[OUTCOME_ERROR_BYTES];

	if (!a->is_timed_out)
		ending_conclude(a->ctx, call, false, out);
	else if (a->in_thread.is_by_deadline)
		outcome_fail(out, JOB_CANCELLED, "its deadline passed while it ran");
	else
		outcome_fail(out, JOB_TIMEOUT, "timed out after %s",
			units_format_span(call->budget_ms, text));
	snprintf(why, sizeof why, "%s", out->error);
	outcome_fail(out, out->status,
		"%.*s; its plugin does not heed that and keeps its thread",
		(int)sizeof why / 2, why);
}

static void
resize(struct stuck *s)
{
	struct stint_err err = {0};

	if (workers_set_stuck(s->o.workers, s->count, &err) < 0)
		log_error("no fresh worker in place of one that is kept",
			F_STR("why", err.msg));
}

static void
give_up(struct stuck *s, struct attempt *a)
{
	const struct handler_call call = call_of(a);

	if (!attempt_give_up(a))
		return; /* just now it has ended */
	s->count++;
	log_warn("plugin ignores its context and keeps its thread, a fresh worker "
		 "takes its place",
		F_MESSAGE_ID(LOG_ID_THREAD_KEPT), F_ATTEMPT(a), F_INT("stuck", s->count));
	write_outcome(a, &call);
	resize(s);
	s->o.on_given_up(s->o.arg, a);
}

enum look { LOOK_NO_MORE, LOOK_AGAIN, LOOK_IS_DUE };

static enum look
look_at(struct attempt *a, int64_t now_ms)
{
	struct handler_call call;

	if (!a->handler || !a->handler->run || !a->ctx)
		return LOOK_NO_MORE;
	if (!attempt_is_in_thread(a))
		return atomic_load_explicit(&a->thread, memory_order_relaxed) ==
				       ATTEMPT_IN_NONE
			       ? LOOK_AGAIN
			       : LOOK_NO_MORE;
	note_end(a, now_ms);
	if (a->asked_at_ms == 0)
		return LOOK_AGAIN;
	call = call_of(a);
	return ending_kill_at_ms(&call, a->asked_at_ms,
		       a->asked_at_ms + a->handler->kill_grace_ms) > now_ms
		       ? LOOK_AGAIN
		       : LOOK_IS_DUE;
}

static void
on_look(void *arg)
{
	struct stuck *s = arg;
	const int64_t now_ms = stint_now_ms();
	struct attempt *due[DUE_MAX], *a;
	size_t due_count = 0;
	bool is_any = false;

	TAILQ_FOREACH (a, flight_list(s->o.flight), in_flight) {
		enum look look = look_at(a, now_ms);

		is_any |= look != LOOK_NO_MORE;
		if (look == LOOK_IS_DUE && due_count < DUE_MAX)
			due[due_count++] = a;
	}
	if (is_any)
		stuck_watch(s);
	/* not within the loop: others may leave the list. These do not, a worker has
	 * them.
	 */
	for (size_t i = 0; i < due_count; i++)
		give_up(s, due[i]);
}

void
stuck_watch(struct stuck *s)
{
	loop_timer_set_earlier(&s->timer, stint_at_ms(LOOK_MS));
}

void
stuck_return(struct stuck *s, struct attempt *a)
{
	s->count--;
	log_warn("plugin gave its thread back, its result is dropped", F_ATTEMPT(a),
		F_INT("late_ms", stint_now_ms() - a->asked_at_ms),
		F_INT("stuck", s->count));
	flight_released(s->o.flight, a);
	resize(s);
}

size_t
stuck_count(const struct stuck *s)
{
	return s->count;
}

int
stuck_new(const struct stuck_opts *opts, struct stuck **ret)
{
	struct stuck *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	s->o = *opts;
	loop_timer_init(&s->timer, opts->loop, on_look, s);
	*ret = s;
	return 0;
}

void
stuck_free(struct stuck *s)
{
	if (!s)
		return;
	loop_timer_stop(&s->timer);
	free(s);
}
