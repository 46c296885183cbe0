/*
 * wg.c - wait group: a count, and who waits for it to become 0
 *
 * Lock order: none; no other lock is taken under a wait group's.
 */
#include <stint/wg.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "lib/conc/ctx.h"

struct wg_wait {
	struct waiter waiter;
	TAILQ_ENTRY(wg_wait) in_queue;
	bool is_queued;
};

TAILQ_HEAD(wg_queue, wg_wait);

struct stint_wg {
	pthread_mutex_t lock;
	int count;
	int waiting_count; /* inside stint_wg_wait(), also when woken already */
	struct wg_queue queue;
};

int
stint_wg_new(struct stint_wg **ret_wg)
{
	struct stint_wg *wg = calloc(1, sizeof(*wg));

	if (!wg)
		return -ENOMEM;
	pthread_mutex_init(&wg->lock, NULL);
	TAILQ_INIT(&wg->queue);
	*ret_wg = wg;
	return 0;
}

static struct waiter *
wg_claim_all(struct stint_wg *wg)
{
	struct waiter *wake = NULL;
	struct wg_wait *wait;

	while ((wait = TAILQ_FIRST(&wg->queue))) {
		TAILQ_REMOVE(&wg->queue, wait, in_queue);
		wait->is_queued = false;
		if (waiter_claim(&wait->waiter))
			waiter_push(&wake, &wait->waiter);
	}
	return wake;
}

/* Under the lock: 0, or why the count must not change like this. */
static int
wg_change(struct stint_wg *wg, int n)
{
	int count;

	if (wg->count == 0 && n > 0 && wg->waiting_count > 0)
		return -EINVAL;
	if (__builtin_add_overflow(wg->count, n, &count))
		return -EOVERFLOW;
	if (count < 0)
		return -EINVAL;
	wg->count = count;
	return 0;
}

int
stint_wg_add(struct stint_wg *wg, int n)
{
	struct waiter *wake = NULL;
	int r;

	pthread_mutex_lock(&wg->lock);
	r = wg_change(wg, n);
	if (r == 0 && wg->count == 0)
		wake = wg_claim_all(wg);
	pthread_mutex_unlock(&wg->lock);
	/* From here on the group may be gone: a waiter that wakes may free it. */
	waiter_wake(wake);
	return r;
}

int
stint_wg_done(struct stint_wg *wg)
{
	return stint_wg_add(wg, -1);
}

int
stint_wg_wait(struct stint_ctx *ctx, struct stint_wg *wg)
{
	struct wg_wait wait;
	int r = 0;

	waiter_init(&wait.waiter);
	pthread_mutex_lock(&wg->lock);
	if (wg->count == 0) {
		pthread_mutex_unlock(&wg->lock);
		return 0;
	}
	wg->waiting_count++;
	TAILQ_INSERT_TAIL(&wg->queue, &wait, in_queue);
	wait.is_queued = true;
	pthread_mutex_unlock(&wg->lock);

	r = ctx_park(ctx, &wait.waiter);

	pthread_mutex_lock(&wg->lock);
	wg->waiting_count--;
	if (wait.is_queued)
		TAILQ_REMOVE(&wg->queue, &wait, in_queue);
	pthread_mutex_unlock(&wg->lock);
	return r;
}

void
stint_wg_free(struct stint_wg *wg)
{
	if (!wg)
		return;
	pthread_mutex_destroy(&wg->lock);
	free(wg);
}
