/*
 * lock.h - a lock that is held for a few instructions, on a futex
 *
 * What a mutex of the C library does, with two differences that channels live by: it is
 * inline, and who finds it taken stays awake for a while, at a distance, before it
 * sleeps. On a virtual machine the holder pays more for one wake-up than for a thousand
 * items. Not fair, not recursive. A thread never waits for it while it holds another
 * lock, but for the two of a ring, which are taken in one order.
 */
#ifndef CONC_LOCK_H
#define CONC_LOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include "lib/conc/race.h"

enum {
	LOCK_FREE,
	LOCK_HELD,
	LOCK_WANTED, /* held, and somebody may sleep for it */
};

struct lock {
	_Atomic uint32_t state; /* the futex */
};

/* The slow halves of what follows. */
void lock_wait(struct lock *lock);
void lock_wake(struct lock *lock);

static inline void
lock_init(struct lock *lock)
{
	atomic_init(&lock->state, LOCK_FREE);
	RACE_ATOMIC(&lock->state);
	RACE_LOCK_NEW(lock);
}

static inline void
lock_take(struct lock *lock)
{
	uint32_t state = LOCK_FREE;

	/* Acquire, here and in lock_wait(): pairs with the release below. */
	if (!atomic_compare_exchange_strong_explicit(&lock->state, &state, LOCK_HELD,
		    memory_order_acquire, memory_order_relaxed))
		lock_wait(lock);
	RACE_LOCK_TAKEN(lock);
}

static inline void
lock_release(struct lock *lock)
{
	uint32_t was;

	RACE_LOCK_LEFT(lock);
	was = atomic_exchange_explicit(&lock->state, LOCK_FREE, memory_order_release);
	if (was == LOCK_WANTED)
		lock_wake(lock);
}

#endif
