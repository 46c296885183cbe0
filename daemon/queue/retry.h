/*
 * retry.h - whether a failed attempt is followed by another, and when
 *
 * Pure functions: no clock but the time that is passed in, no randomness but the
 * caller's.
 */
#ifndef QUEUE_RETRY_H
#define QUEUE_RETRY_H

#include <stdbool.h>
#include <stdint.h>
#include "daemon/queue/attempt.h"

/* How often a failed job is tried again at most: as the job asks, or else as the handler
 * says, within the handler's max_retries. */
int retry_limit(const struct job *job, const struct handler_conf *handler);

/**
 * retry_backoff_ms() - how long to wait after a failed attempt
 * @attempt: which one failed, 1 = first
 * @random:  state of random.h, moved on
 *
 * backoff * 2^(attempt - 1), at most backoff_max; half of it is certain, half random
 * ("equal jitter"), so that jobs that failed together do not come back together.
 */
int64_t retry_backoff_ms(
	int attempt, const struct handler_conf *handler, uint64_t *random);

/**
 * retry_delay_ms() - what becomes of an attempt that has its outcome
 * @now_unix_ms: to compare with the job's deadline
 *
 * Return: in how many ms it is tried again; -1: not at all. It is when the handler is
 * known, the outcome is a failure (error, timeout, crashed) and not for good, retries are
 * left, and the next attempt would start before the deadline.
 */
int64_t retry_delay_ms(const struct attempt *a, int64_t now_unix_ms, uint64_t *random);

#endif
