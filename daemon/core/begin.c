/*
 * begin.c - may a worker begin an attempt, and for how long may it run?
 */
#include "daemon/core/begin.h"

#include "daemon/queue/lease.h"

static struct allowance
allowance_of(const struct attempt *a, int64_t now_unix_ms)
{
	const struct job *job = a->job;
	const int64_t left_ms = job->deadline_unix_ms - now_unix_ms;
	struct allowance all = {.budget_ms = a->handler->timeout_ms};

	if (job->timeout_ms > 0 && job->timeout_ms < all.budget_ms)
		all.budget_ms = job->timeout_ms;
	all.is_by_deadline = job->deadline_unix_ms != 0 && left_ms < all.budget_ms;
	if (all.is_by_deadline)
		all.budget_ms = left_ms;
	return all;
}

bool
begin_attempt(
	const struct attempt *a, struct outcome *out, struct allowance *ret_allowance)
{
	const struct allowance all = allowance_of(a, out->started_unix_ms);

	if (lease_is_over(a->leased_at_ms, a->config->lease_ms)) {
		outcome_fail(out, JOB_HANDED_BACK, "its lease ran out before it started");
		return false;
	}
	if (all.budget_ms <= 0) {
		out->started_unix_ms = 0;
		outcome_fail(out, JOB_EXPIRED, "its deadline passed before it started");
		return false;
	}
	*ret_allowance = all;
	return true;
}
