/*
 * cond.h - a condition variable whose waits are bounded by a context
 *
 *	pthread_mutex_lock(&x->lock);		pthread_mutex_lock(&x->lock);
 *	while (!x->is_ready && r == 0)		x->is_ready = true;
 *		r = cond_wait(...);		cond_claim_all(&x->changed, &wake);
 *	pthread_mutex_unlock(&x->lock);		pthread_mutex_unlock(&x->lock);
 *						waiter_wake(wake);
 *
 * The waker touches nothing but its waiters once it has released the lock, so the one
 * that is woken may free what the condition is part of.
 */
#ifndef CONC_COND_H
#define CONC_COND_H

#include <pthread.h>
#include <stint/ctx.h>
#include <sys/queue.h>
#include "lib/conc/ctx.h"
#include "lib/conc/waiter.h"

struct cond {
	TAILQ_HEAD(cond_queue, cond_waiter) queue; /* under the owner's lock */
};

void cond_init(struct cond *cond);

/**
 * cond_wait() - release @lock, sleep until claimed or until @ctx ends, take @lock again
 * @on: see ctx_park()
 *
 * Once the context has ended @cond is not touched without having been found valid: who
 * waits must keep it alive.
 * Return: 0 claimed: look again at what was waited for; -ECANCELED, -ETIMEDOUT by @ctx.
 */
int cond_wait(struct stint_ctx *ctx, struct cond *cond, pthread_mutex_t *lock,
	const struct sleep_on *on);

/* Claim the one that waits longest, or all; under the lock. The caller wakes the list
 * after it has released it. */
void cond_claim_one(struct cond *cond, struct waiter **wake);
void cond_claim_all(struct cond *cond, struct waiter **wake);

#endif
