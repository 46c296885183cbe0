/*
 * cond.c - a condition variable whose waits are bounded by a context
 */
#include "lib/conc/cond.h"

#include <stdbool.h>

struct cond_waiter {
	struct waiter waiter;
	TAILQ_ENTRY(cond_waiter) in_queue;
	bool is_queued;
};

void
cond_init(struct cond *cond)
{
	TAILQ_INIT(&cond->queue);
}

int
cond_wait(struct stint_ctx *ctx, struct cond *cond, pthread_mutex_t *lock,
	const struct sleep_on *on)
{
	struct cond_waiter self = {.is_queued = true};
	int r;

	waiter_init(&self.waiter);
	TAILQ_INSERT_TAIL(&cond->queue, &self, in_queue);
	pthread_mutex_unlock(lock);
	r = ctx_park(ctx, &self.waiter, on);
	pthread_mutex_lock(lock);
	/* Not in the queue any more: claimed, or @cond has been emptied for good. */
	if (self.is_queued)
		TAILQ_REMOVE(&cond->queue, &self, in_queue);
	return r;
}

/* The first one is out of the queue; it may have been woken by its context already. */
static bool
cond_claim_first(struct cond *cond, struct waiter **wake)
{
	struct cond_waiter *first = TAILQ_FIRST(&cond->queue);

	TAILQ_REMOVE(&cond->queue, first, in_queue);
	first->is_queued = false;
	if (!waiter_claim(&first->waiter))
		return false;
	waiter_push(wake, &first->waiter);
	return true;
}

void
cond_claim_one(struct cond *cond, struct waiter **wake)
{
	while (!TAILQ_EMPTY(&cond->queue))
		if (cond_claim_first(cond, wake))
			return;
}

void
cond_claim_all(struct cond *cond, struct waiter **wake)
{
	while (!TAILQ_EMPTY(&cond->queue))
		(void)cond_claim_first(cond, wake);
}
