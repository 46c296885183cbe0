/*
 * attempt.c - life of an attempt, and what its configuration says of its result
 */
#include "daemon/queue/attempt.h"

#include <stdlib.h>

struct attempt *
attempt_new(struct job *job, struct queue *queue, struct config *config)
{
	struct attempt *a = malloc(sizeof *a);

	if (!a) {
		free(job);
		return NULL;
	}
	*a = (struct attempt){.job = job,
		.queue = queue,
		.config = config_ref(config),
		.retry_delay_ms = -1};
	if (job->handler.p)
		a->handler = config_handler(config, job->handler.p, job->handler.n);
	atomic_init(&a->slot, ATTEMPT_WAITS);
	outcome_init(&a->outcome);
	return a;
}

void
attempt_free(struct attempt *a)
{
	if (!a)
		return;
	stint_ctx_free(a->ctx);
	free(atomic_load_explicit(&a->news, memory_order_relaxed));
	free(a->progress);
	outcome_fini(&a->outcome);
	buf_fini(&a->result);
	config_unref(a->config);
	free(a->job);
	free(a);
}

void
attempt_drop(struct attempt *a)
{
	if (a->is_kept)
		a->is_dropped = true;
	else
		attempt_free(a);
}

void
attempt_enter(struct attempt *a)
{
	/* release: with in_thread, and when the outcome says that it began */
	atomic_store_explicit(&a->thread, ATTEMPT_IN_RUNS, memory_order_release);
}

bool
attempt_leave(struct attempt *a)
{
	int found = ATTEMPT_IN_RUNS;

	return atomic_compare_exchange_strong_explicit(&a->thread, &found,
		       ATTEMPT_IN_ENDED, memory_order_acq_rel, memory_order_acquire) ||
	       found == ATTEMPT_IN_NONE;
}

bool
attempt_give_up(struct attempt *a)
{
	int found = ATTEMPT_IN_RUNS;

	a->is_kept = atomic_compare_exchange_strong_explicit(&a->thread, &found,
		ATTEMPT_GIVEN_UP, memory_order_acq_rel, memory_order_acquire);
	return a->is_kept;
}

bool
attempt_is_in_thread(const struct attempt *a)
{
	return atomic_load_explicit(&a->thread, memory_order_acquire) == ATTEMPT_IN_RUNS;
}

void
attempt_report(struct attempt *a, const struct progress *progress)
{
	struct progress *news = malloc(sizeof *news);

	if (!news)
		return;
	*news = *progress;
	/* release: the loop reads what it finds; acquire: what comes back is freed here
	 */
	free(atomic_exchange_explicit(&a->news, news, memory_order_acq_rel));
}

bool
attempt_may_have_state(const struct attempt *a)
{
	return a->progress || atomic_load_explicit(&a->news, memory_order_relaxed) ||
	       a->job->deliveries > 1;
}

bool
attempt_is_stored(const struct attempt *a)
{
	switch (a->handler ? a->handler->store : a->config->default_store) {
	case STORE_ALL:
		return true;
	case STORE_FAILURES:
		return a->outcome.status != JOB_OK;
	case STORE_NONE:
		break;
	}
	return false;
}

int64_t
attempt_ttl_ms(const struct attempt *a)
{
	return a->handler ? a->handler->result_ttl_ms : a->config->default_result_ttl_ms;
}

void
attempt_tell(struct attempt *a, const char *daemon)
{
	outcome_json(&a->result, &a->outcome, a->job, a->queue->name, daemon);
	if (!a->result.failed)
		return;
	/* no memory for the output: tell at least how it ended */
	buf_fini(&a->outcome.output);
	buf_fini(&a->outcome.stderr_tail);
	buf_fini(&a->result);
	outcome_fail(&a->outcome, JOB_ERROR, "no memory for the result");
	outcome_json(&a->result, &a->outcome, a->job, a->queue->name, daemon);
}
