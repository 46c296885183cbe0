/*
 * stint/clock.h - time: monotonic deadlines, wall time for people
 *
 * Deadlines are absolute points on CLOCK_MONOTONIC in milliseconds (`_at_ms`),
 * wall time is milliseconds since 1970 (`_unix_ms`); the two are never mixed.
 * Tests may freeze and move the clock for the whole process.
 */
#ifndef STINT_CLOCK_H
#define STINT_CLOCK_H

#include <stdint.h>
#include <stint/api.h>

STINT_BEGIN_DECLS

/* A deadline that never comes; also "no time-out". */
#define STINT_NEVER INT64_MAX

/**
 * stint_now_ms() - monotonic now in ms
 *
 * Thread: any. Never fails.
 * Source: clock_gettime(2), CLOCK_MONOTONIC.
 */
STINT_API int64_t stint_now_ms(void);

/**
 * stint_now_us() - the same in µs, for measuring
 */
STINT_API int64_t stint_now_us(void);

/**
 * stint_unix_ms() - wall time in ms since 1970, UTC
 *
 * Source: clock_gettime(2), CLOCK_REALTIME.
 */
STINT_API int64_t stint_unix_ms(void);

/**
 * stint_at_ms() - the deadline that is @timeout_ms from now
 * @timeout_ms: negative counts as 0; STINT_NEVER stays STINT_NEVER; never overflows
 */
STINT_API int64_t stint_at_ms(int64_t timeout_ms);

/**
 * stint_clock_set() - put a scripted clock in place of the system's, for tests
 * @monotonic_ms: what stint_now_ms() answers from now on
 * @unix_ms:      what stint_unix_ms() answers from now on
 *
 * Waits inside the library sleep on the real clock and look at this one when
 * they wake. Thread: any; atomic. stint_clock_reset() returns to the system's.
 */
STINT_API void stint_clock_set(int64_t monotonic_ms, int64_t unix_ms);
STINT_API void stint_clock_reset(void);

STINT_END_DECLS

#endif
