/*
 * waiter.c - one parked thread, on a futex
 *
 * The only place where threads sleep, but for the lock of a ring. A futex and not a
 * condition variable: nothing to initialise or destroy for each wait, and no mutex that
 * the woken thread would find locked. The word has three bits:
 *
 *	CLAIMED	someone has the right to decide; set once, by fetch_or
 *	ASLEEP	the thread sleeps or is about to: the waker must call the kernel
 *	WOKEN	it is decided, the thread may go
 *
 * Once WOKEN is stored the thread may return and its stack be used again, so the
 * FUTEX_WAKE that follows may hit another word at the same address, or none. That
 * is harmless: every user of futexes, glibc too, takes a wake-up without reason.
 */
#include "lib/conc/waiter.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stint/clock.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/conc/race.h"
#include "lib/conc/spin.h"

enum { WAITER_CLAIMED = 1, WAITER_ASLEEP = 2, WAITER_WOKEN = 4 };

/* Long enough for the one who wakes to write all it has to before the line is shared. */
enum { LOOK_GAP_NS = 60 };

enum { MS_PER_S = 1000, NS_PER_MS = 1000000 };

void
waiter_init(struct waiter *w)
{
	/* Relaxed: others learn of it through the lock of the queue it is put in. */
	atomic_init(&w->state, 0);
	RACE_ATOMIC(&w->state);
	w->ended = 0;
	w->won = NULL;
	w->result = 0;
	w->next_to_wake = NULL;
	w->is_eager = false;
	w->is_in_ctx = false;
}

bool
waiter_claim(struct waiter *w)
{
	/* Relaxed: being the only one needs atomicity alone. What the claimer reads
	 * came to it through the queue's lock, what it writes goes with the wake. */
	uint32_t old =
		atomic_fetch_or_explicit(&w->state, WAITER_CLAIMED, memory_order_relaxed);

	return !(old & WAITER_CLAIMED);
}

bool
waiter_is_open(struct waiter *w)
{
	/* Relaxed: a hint; claiming finds out. */
	return !(atomic_load_explicit(&w->state, memory_order_relaxed) & WAITER_CLAIMED);
}

void
waiter_push(struct waiter **list, struct waiter *w)
{
	w->next_to_wake = *list;
	*list = w;
}

void
waiter_wake(struct waiter *list)
{
	while (list) {
		struct waiter *w = list;
		uint32_t old;

		list = w->next_to_wake;
		RACE_BEFORE(&w->state);
		/* Release: with it go the result and the item that was handed over. */
		old = atomic_exchange_explicit(
			&w->state, WAITER_CLAIMED | WAITER_WOKEN, memory_order_release);
		if (old & WAITER_ASLEEP)
			syscall(SYS_futex, &w->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
				0);
	}
}

/* True when woken or perhaps so, false when the time is up. */
static bool
waiter_sleep(struct waiter *w, uint32_t seen, int64_t until_ms)
{
	struct timespec left;

	if (until_ms == STINT_NEVER) {
		syscall(SYS_futex, &w->state, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
		return true;
	}
	left = waiter_time_left(until_ms);
	if (left.tv_sec == 0 && left.tv_nsec == 0)
		return false;
	syscall(SYS_futex, &w->state, FUTEX_WAIT_PRIVATE, seen, &left, NULL, 0);
	return true;
}

/* For a moment, awake. True when woken. */
static bool
waiter_look(struct waiter *w, struct spin *spin)
{
	do {
		/* Acquire, here and below: pairs with the release in waiter_wake(). */
		if (atomic_load_explicit(&w->state, memory_order_acquire) & WAITER_WOKEN)
			return true;
	} while (spin_again(spin, LOOK_GAP_NS));
	return false;
}

static bool
waiter_doze(struct waiter *w, int64_t until_ms)
{
	uint32_t seen =
		atomic_fetch_or_explicit(&w->state, WAITER_ASLEEP, memory_order_acquire);

	seen |= WAITER_ASLEEP;
	while (!(seen & WAITER_WOKEN)) {
		if (!waiter_sleep(w, seen, until_ms))
			return false;
		seen = atomic_load_explicit(&w->state, memory_order_acquire);
	}
	return true;
}

bool
waiter_park(struct waiter *w, int64_t until_ms)
{
	struct spin spin;
	bool is_woken;

	if (w->is_eager)
		spin_begin(&spin);
	is_woken = (w->is_eager && waiter_look(w, &spin)) || waiter_doze(w, until_ms);
	if (w->is_eager)
		spin_end(&spin);
	if (is_woken)
		RACE_AFTER(&w->state);
	return is_woken;
}

bool
waiter_withdraw(struct waiter *w)
{
	if (waiter_claim(w))
		return true;
	waiter_park(w, STINT_NEVER);
	return false;
}

struct timespec
waiter_time_left(int64_t at_ms)
{
	int64_t now_ms = stint_now_ms();
	int64_t left_ms = 0;

	/* Overflows only for a scripted clock before its zero. */
	if (at_ms > now_ms && __builtin_sub_overflow(at_ms, now_ms, &left_ms))
		left_ms = INT64_MAX;
	return (struct timespec){
		.tv_sec = left_ms / MS_PER_S,
		.tv_nsec = (long)(left_ms % MS_PER_S) * NS_PER_MS,
	};
}
