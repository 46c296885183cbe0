/*
 * clock.c - the system's clocks, or a scripted one
 *
 * The script is a pair of atomics. SYSTEM in one of them means "ask the kernel",
 * so that an unscripted read costs one relaxed load on top of clock_gettime(),
 * which the vDSO answers without a system call.
 *
 * Relaxed suffices: each value stands for itself, and a test that moves the clock
 * wakes whoever shall see it through a lock or a channel, which orders the two.
 */
#include <stdatomic.h>
#include <time.h>
#include <stint/clock.h>

#define SYSTEM INT64_MIN /* no test has use for a time before the big bang */

static _Atomic int64_t scripted_monotonic_ms = SYSTEM;
static _Atomic int64_t scripted_unix_ms = SYSTEM;

static int64_t
system_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts); /* these two clocks cannot fail */
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
stint_now_ms(void)
{
	int64_t ms = atomic_load_explicit(&scripted_monotonic_ms, memory_order_relaxed);

	return ms == SYSTEM ? system_us(CLOCK_MONOTONIC) / 1000 : ms;
}

int64_t
stint_now_us(void)
{
	int64_t ms = atomic_load_explicit(&scripted_monotonic_ms, memory_order_relaxed);

	return ms == SYSTEM ? system_us(CLOCK_MONOTONIC) : ms * 1000;
}

int64_t
stint_unix_ms(void)
{
	int64_t ms = atomic_load_explicit(&scripted_unix_ms, memory_order_relaxed);

	return ms == SYSTEM ? system_us(CLOCK_REALTIME) / 1000 : ms;
}

int64_t
stint_at_ms(int64_t timeout_ms)
{
	int64_t at_ms;

	if (timeout_ms == STINT_NEVER)
		return STINT_NEVER;
	if (timeout_ms < 0)
		timeout_ms = 0;
	if (__builtin_add_overflow(stint_now_ms(), timeout_ms, &at_ms))
		return STINT_NEVER;
	return at_ms;
}

void
stint_clock_set(int64_t monotonic_ms, int64_t unix_ms)
{
	atomic_store_explicit(&scripted_monotonic_ms, monotonic_ms, memory_order_relaxed);
	atomic_store_explicit(&scripted_unix_ms, unix_ms, memory_order_relaxed);
}

void
stint_clock_reset(void)
{
	stint_clock_set(SYSTEM, SYSTEM);
}
