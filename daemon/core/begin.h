/*
 * begin.h - may a worker begin an attempt, and for how long may it run?
 *
 * It waited in the jobs channel for any time, and the daemon may have been suspended: the
 * loop has perhaps not come to tell yet. Thread: the worker's.
 */
#ifndef CORE_BEGIN_H
#define CORE_BEGIN_H

#include <stdbool.h>
#include <stdint.h>
#include "daemon/queue/attempt.h"

struct allowance {
	int64_t budget_ms;   /* the earliest of the handler's time-out, the job's own, ...
			      */
	bool is_by_deadline; /* ... and its deadline, which it is here */
};

/* Return: it may; else @out says why not. @out->started_unix_ms is now. */
bool begin_attempt(
	const struct attempt *a, struct outcome *out, struct allowance *ret_allowance);

#endif
