/*
 * lock.c - waiting for a lock: a while awake, then asleep
 *
 * Looks are far apart on purpose. The holder wants the lock again at once, for the next
 * item, and gets on best when nobody pulls its cache lines away.
 */
#include "lib/conc/lock.h"

#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/conc/spin.h"

enum { LOOKS = 40, GAP_NS = 250 }; /* 10 µs: longer only if the holder was preempted */

static bool
lock_try(struct lock *lock)
{
	uint32_t state = LOCK_FREE;

	/* A look first: a failed exchange would take the line away just the same. */
	if (atomic_load_explicit(&lock->state, memory_order_relaxed) != LOCK_FREE)
		return false;
	return atomic_compare_exchange_strong_explicit(&lock->state, &state, LOCK_HELD,
		memory_order_acquire, memory_order_relaxed);
}

void
lock_wait(struct lock *lock)
{
	for (int i = 0; i < LOOKS && spin_pause(GAP_NS); i++)
		if (lock_try(lock))
			return;
	/* From here on it is left as WANTED, also when nobody else sleeps any more: that
	 * costs one wake-up for nothing, and none is lost. */
	while (atomic_exchange_explicit(
		       &lock->state, LOCK_WANTED, memory_order_acquire) != LOCK_FREE)
		syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, LOCK_WANTED, NULL,
			NULL, 0);
}

void
lock_wake(struct lock *lock)
{
	syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
