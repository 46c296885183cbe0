/*
 * waiter.h - one parked thread
 *
 * A waiter lives on the stack of the thread that waits. It hangs in the queues of
 * everything that may end the wait (channels, a context, a wait group), and the
 * first that claims it decides:
 *
 *	waiting thread			whoever has something for it
 *	waiter_init(&w)
 *	put &w in queues, under		find it in a queue, under the
 *	their locks			queue's lock
 *	waiter_park(&w)			waiter_claim(w): true for one only
 *	    :				fill in result, hand over an item
 *	    :				unlock, waiter_wake(w)
 *	take &w out of the queues
 *
 * Claimed and woken are two steps, so that the system call of the wake-up is made
 * without a lock. In between the waiter stays where it is: its thread does not
 * leave before it is woken.
 */
#ifndef CONC_WAITER_H
#define CONC_WAITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

struct waiter {
	_Atomic uint32_t state; /* the futex: WAITER_ bits in waiter.c */

	/* Written by the claimer, read by the waiter once it is woken. */
	int ended;  /* the context's end, when that was first; else 0 */
	void *won;  /* what else was first: the claimer's own business */
	int result; /* and what it has to say */
	struct waiter *next_to_wake;

	bool is_eager; /* the wait begins awake: see spin.h */

	/* The context's, under its lock. */
	TAILQ_ENTRY(waiter) in_ctx;
	bool is_in_ctx;
};

TAILQ_HEAD(waiter_list, waiter);

void waiter_init(struct waiter *w);

/* Become the one who decides how the wait ends; then waiter_wake() is a duty. */
bool waiter_claim(struct waiter *w);

/* Not claimed yet; old news unless no one else can claim it. */
bool waiter_is_open(struct waiter *w);

/* Put a claimed waiter in front of a list that waiter_wake() takes. */
void waiter_push(struct waiter **list, struct waiter *w);

/* Wake all of a list of claimed waiters; they are gone afterwards. No locks held. */
void waiter_wake(struct waiter *list);

/* Sleep until woken (true) or until @until_ms on stint_now_ms()'s clock (false). */
bool waiter_park(struct waiter *w, int64_t until_ms);

/* Give up waiting. True: nobody claimed it, and nobody can from now on. False:
 * somebody did, and is done with it. */
bool waiter_withdraw(struct waiter *w);

/* How long to sleep on the real clock until @at_ms, which may be on a scripted
 * one; zero when it has passed. */
struct timespec waiter_time_left(int64_t at_ms);

#endif
