/*
 * retry.c - attempts left, and the back-off between them
 */
#include "daemon/queue/retry.h"

#include "lib/base/random.h"

int
retry_limit(const struct job *job, const struct handler_conf *handler)
{
	const int wanted = job->retries >= 0 ? job->retries : handler->retries;

	return wanted < handler->max_retries ? wanted : handler->max_retries;
}

int64_t
retry_backoff_ms(int attempt, const struct handler_conf *handler, uint64_t *random)
{
	int64_t ms = handler->backoff_ms;

	for (int i = 1; i < attempt && ms < handler->backoff_max_ms; i++)
		ms *= 2; /* at most twice the largest backoff_max: far from overflow */
	if (ms > handler->backoff_max_ms)
		ms = handler->backoff_max_ms;
	return ms - ms / 2 + random_next(random) % (ms / 2 + 1);
}

static bool
is_failure(const struct outcome *o)
{
	return o->status == JOB_ERROR || o->status == JOB_TIMEOUT ||
	       o->status == JOB_CRASHED;
}

int64_t
retry_delay_ms(const struct attempt *a, int64_t now_unix_ms, uint64_t *random)
{
	const struct job *job = a->job;
	int64_t delay_ms;

	if (!a->handler || !is_failure(&a->outcome) || a->outcome.for_good ||
		job->attempt > retry_limit(job, a->handler))
		return -1;
	delay_ms = retry_backoff_ms(job->attempt, a->handler, random);
	if (job->deadline_unix_ms > 0 && now_unix_ms + delay_ms >= job->deadline_unix_ms)
		return -1;
	return delay_ms;
}
