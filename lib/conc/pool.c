/*
 * pool.c - worker pool: named threads that drain one channel
 *
 * A worker is a task, and waits for items with the task's context. Cancelling that is
 * how a worker is sent home: at once when it sleeps in recv, after the item when it
 * runs one, for an ended context wins over items in the channel. So nothing is
 * ever interrupted, and nothing that was received is lost: run() does not get to see
 * that context.
 *
 * A pool that gets smaller sends home workers that sleep. How many more have to go
 * is `surplus_count`, and each worker looks at it when it becomes free. Whoever goes
 * is marked under the lock, by whichever side is first, so no one counts twice.
 *
 * Worker structs and slots belong to the pool's owner: only its calls make, join
 * and free them. The lock is for what workers and onlookers see.
 *
 * Lock order: none; nothing else is locked or called back under the pool's lock.
 */
#include <stint/pool.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/task.h>
#include <stint/wg.h>
#include "lib/base/cleanup.h"
#include "lib/conc/chan.h"
#include "lib/conc/name.h"
#include "lib/conc/race.h"
#include "lib/conc/track.h"

struct pool_worker {
	struct stint_pool *pool;
	size_t slot;
	struct stint_task *task;
	int start_result; /* the worker's until it is done with `starting` */
	_Atomic bool is_busy;
	bool is_leaving; /* under the lock: it does not count any more */
	bool has_ended;  /* under the lock: joining it does not wait */
	_Alignas(max_align_t) unsigned char item[];
};

struct stint_pool {
	struct track track;
	char name[NAME_BASE_BYTES + 1];
	struct stint_chan *ch;
	struct stint_pool_ops ops;
	void *arg;
	struct stint_wg *starting; /* workers that are not through with start() */

	pthread_mutex_t lock;
	size_t size;          /* workers wanted */
	size_t staying_count; /* workers that are not leaving */
	/* Staying, but to leave. Changed under the lock only; atomic, because workers
	 * look at it without (see worker_is_surplus() for the order). */
	_Atomic size_t surplus_count;
	struct pool_worker **slots;
	size_t slot_count;
};

/* ---- in the worker's thread ---- */

/* Mark a worker as leaving, if that has not been done. Under the lock. */
static void
worker_set_leaving(struct pool_worker *w)
{
	struct stint_pool *pool = w->pool;

	if (w->is_leaving)
		return;
	w->is_leaving = true;
	pool->staying_count--;
	if (pool->surplus_count > 0)
		pool->surplus_count--;
}

/* Asked by each worker between two items. Either this sees that the pool has got
 * smaller, or pool_pick_sleeper() sees that the worker is free: both orders of
 * store and load are sequentially consistent. */
static bool
worker_is_surplus(struct pool_worker *w)
{
	struct stint_pool *pool = w->pool;
	bool is_leaving;

	if (atomic_load_explicit(&pool->surplus_count, memory_order_seq_cst) == 0)
		return false;
	pthread_mutex_lock(&pool->lock);
	if (pool->surplus_count > 0)
		worker_set_leaving(w);
	is_leaving = w->is_leaving;
	pthread_mutex_unlock(&pool->lock);
	return is_leaving;
}

static void
worker_run_items(struct stint_ctx *ctx, struct pool_worker *w, void *state)
{
	struct stint_pool *pool = w->pool;

	while (!worker_is_surplus(w) && stint_chan_recv(ctx, pool->ch, w->item) == 0) {
		/* Relaxed: who sees it late takes this one for a sleeper, and sends
		 * it home after the item. */
		atomic_store_explicit(&w->is_busy, true, memory_order_relaxed);
		pool->ops.run(pool->arg, state, w->item);
		atomic_store_explicit(&w->is_busy, false, memory_order_seq_cst);
	}
}

static int
worker_main(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct pool_worker *w = arg;
	struct stint_pool *pool = w->pool;
	void *state = NULL;
	int r = 0;

	(void)err; /* whoever resizes the pool is told, and is waiting for it */
	if (pool->ops.start)
		r = pool->ops.start(pool->arg, w->slot, &state);
	if (r > 0) /* as of a task: an errno value is negative here */
		r = -EINVAL;
	w->start_result = r;
	stint_wg_done(pool->starting);
	if (r == 0) {
		worker_run_items(ctx, w, state);
		if (pool->ops.stop)
			pool->ops.stop(pool->arg, state);
	}
	pthread_mutex_lock(&pool->lock);
	worker_set_leaving(w);
	/* One that could not start is left to pool_check_started(), so that its slot
	 * is not tried again and again. */
	w->has_ended = r == 0;
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

/* ---- in the owner's thread ---- */

/* Wait for the end of a worker; then its slot is free. -ECANCELED, -ETIMEDOUT by @ctx:
 * it is still there. */
static int
pool_join(struct stint_ctx *ctx, struct stint_pool *pool, size_t slot)
{
	struct pool_worker *w = pool->slots[slot];
	struct stint_err none; /* worker_main() never fails */
	int r;

	r = stint_task_join(ctx, w->task, &none);
	if (r < 0)
		return r;
	pthread_mutex_lock(&pool->lock);
	pool->slots[slot] = NULL;
	pthread_mutex_unlock(&pool->lock);
	free(w);
	return 0;
}

static int
pool_add_slot(struct stint_pool *pool, size_t *ret_slot)
{
	struct pool_worker **slots;

	pthread_mutex_lock(&pool->lock);
	slots = reallocarray(
		pool->slots, pool->slot_count + 1, sizeof(struct pool_worker *));
	if (slots) {
		slots[pool->slot_count] = NULL;
		*ret_slot = pool->slot_count++;
		pool->slots = slots;
	}
	pthread_mutex_unlock(&pool->lock);
	return slots ? 0 : -ENOMEM;
}

/* The lowest slot that is free, or whose worker has ended. */
static int
pool_find_slot(struct stint_pool *pool, size_t *ret_slot)
{
	size_t slot;
	bool has_ended = false;

	pthread_mutex_lock(&pool->lock);
	for (slot = 0; slot < pool->slot_count; slot++) {
		has_ended = pool->slots[slot] && pool->slots[slot]->has_ended;
		if (!pool->slots[slot] || has_ended)
			break;
	}
	pthread_mutex_unlock(&pool->lock);
	if (slot == pool->slot_count)
		return pool_add_slot(pool, ret_slot);
	*ret_slot = slot;
	return has_ended ? pool_join(stint_ctx_background(), pool, slot) : 0;
}

/* Put a worker in its slot and let it go; it stays ours when that fails. */
static int
pool_launch(struct stint_pool *pool, struct pool_worker *w)
{
	char name[NAME_BUF_BYTES];
	int r;

	stint_wg_add(pool->starting, 1);
	pthread_mutex_lock(&pool->lock);
	pool->slots[w->slot] = w;
	pool->staying_count++;
	pthread_mutex_unlock(&pool->lock);
	r = stint_task_start_at(stint_ctx_background(),
		name_numbered(name, pool->name, w->slot), worker_main, w, &w->task, NULL);
	if (r == 0)
		return 0;
	pthread_mutex_lock(&pool->lock);
	pool->slots[w->slot] = NULL;
	pool->staying_count--;
	pthread_mutex_unlock(&pool->lock);
	stint_wg_done(pool->starting);
	return r;
}

static int
pool_start_one(struct stint_pool *pool, size_t *ret_slot)
{
	cleanup(freep) struct pool_worker *w = NULL;
	int r;

	r = pool_find_slot(pool, ret_slot);
	if (r < 0)
		return r;
	w = malloc(sizeof(*w) + chan_item_bytes(pool->ch));
	if (!w)
		return -ENOMEM;
	*w = (struct pool_worker){.pool = pool, .slot = *ret_slot};
	RACE_ATOMIC(&w->is_busy);
	r = pool_launch(pool, w);
	if (r < 0)
		return r;
	take_ptr(w); /* its slot has it */
	return 0;
}

static int
pool_start_error(struct stint_pool *pool, size_t slot, int r, struct stint_err *err)
{
	return stint_err_set(
		err, r, "cannot start worker %s/%zu: %s", pool->name, slot, strerror(-r));
}

/* Wait until all have been through start(); drop those that failed. */
static int
pool_check_started(struct stint_pool *pool, struct stint_err *err)
{
	int r = 0;

	(void)!stint_wg_wait(stint_ctx_background(), pool->starting); /* never ends */
	for (size_t slot = 0; slot < pool->slot_count; slot++) {
		struct pool_worker *w = pool->slots[slot];

		if (!w || w->start_result == 0)
			continue;
		if (r == 0)
			r = pool_start_error(pool, slot, w->start_result, err);
		(void)!pool_join(stint_ctx_background(), pool, slot); /* never ends */
	}
	return r;
}

static int
pool_start(struct stint_pool *pool, size_t count, struct stint_err *err)
{
	int r = 0, started;
	size_t slot = pool->slot_count;

	for (size_t i = 0; i < count && r == 0; i++) {
		r = pool_start_one(pool, &slot);
		if (r < 0)
			pool_start_error(pool, slot, r, err);
	}
	started = pool_check_started(pool, r < 0 ? NULL : err);
	return r < 0 ? r : started;
}

/* Mark the sleeping worker with the highest number as leaving, if there is one and
 * there are too many. The high ones go first, so that the numbers stay dense. */
static struct pool_worker *
pool_pick_sleeper(struct stint_pool *pool)
{
	struct pool_worker *found = NULL;

	pthread_mutex_lock(&pool->lock);
	for (size_t i = pool->slot_count; i-- > 0 && pool->surplus_count > 0 && !found;) {
		struct pool_worker *w = pool->slots[i];

		if (w && !w->is_leaving &&
			!atomic_load_explicit(&w->is_busy, memory_order_seq_cst)) {
			worker_set_leaving(w);
			found = w;
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return found;
}

/* How many to start; when there are too many instead, the surplus is noted. */
static size_t
pool_set_size(struct stint_pool *pool, size_t size)
{
	size_t missing = 0;

	pthread_mutex_lock(&pool->lock);
	pool->size = size;
	if (size < pool->staying_count)
		pool->surplus_count = pool->staying_count - size;
	else {
		pool->surplus_count = 0; /* those that were to leave may stay */
		missing = size - pool->staying_count;
	}
	pthread_mutex_unlock(&pool->lock);
	return missing;
}

int
stint_pool_resize(struct stint_pool *pool, size_t size, struct stint_err *err)
{
	size_t missing = pool_set_size(pool, size);
	struct pool_worker *w;
	int r;

	while ((w = pool_pick_sleeper(pool)))
		stint_task_cancel(w->task);
	if (missing == 0)
		return 0;
	r = pool_start(pool, missing, err);
	if (r < 0) {
		pthread_mutex_lock(&pool->lock);
		pool->size = pool->staying_count;
		pthread_mutex_unlock(&pool->lock);
	}
	return r;
}

static void
pool_freep(struct stint_pool **pool)
{
	stint_pool_free(*pool);
}

int
stint_pool_new_at(const char *name, size_t size, struct stint_chan *ch,
	const struct stint_pool_ops *ops, void *arg, struct stint_pool **ret_pool,
	struct stint_err *err, const char *where)
{
	cleanup(pool_freep) struct stint_pool *pool = calloc(1, sizeof(*pool));
	int r;

	if (!name)
		name = "worker";
	if (!pool)
		return stint_err_set(err, -ENOMEM, "pool %s: out of memory", name);
	snprintf(pool->name, sizeof(pool->name), "%s", name);
	track_add(&pool->track, "pool", pool->name, where);
	pool->ch = ch;
	pool->ops = *ops;
	pool->arg = arg;
	RACE_ATOMIC(&pool->surplus_count);
	pthread_mutex_init(&pool->lock, NULL);
	r = stint_wg_new_at(&pool->starting, NULL);
	if (r < 0)
		return stint_err_set(err, r, "pool %s: out of memory", name);
	r = stint_pool_resize(pool, size, err);
	if (r < 0)
		return r;
	*ret_pool = take_ptr(pool);
	return 0;
}

size_t
stint_pool_size(struct stint_pool *pool)
{
	size_t size;

	pthread_mutex_lock(&pool->lock);
	size = pool->size;
	pthread_mutex_unlock(&pool->lock);
	return size;
}

size_t
stint_pool_busy(struct stint_pool *pool)
{
	size_t busy = 0;

	pthread_mutex_lock(&pool->lock);
	for (size_t i = 0; i < pool->slot_count; i++)
		if (pool->slots[i] && atomic_load_explicit(&pool->slots[i]->is_busy,
					      memory_order_relaxed))
			busy++;
	pthread_mutex_unlock(&pool->lock);
	return busy;
}

int
stint_pool_stop(struct stint_ctx *ctx, struct stint_pool *pool)
{
	int r = 0, joined;

	pool_set_size(pool, 0);
	/* All at once, the busy ones, too: after their item they find it. */
	for (size_t i = 0; i < pool->slot_count; i++)
		if (pool->slots[i])
			stint_task_cancel(pool->slots[i]->task);
	/* One that is still busy does not keep those behind it, which have ended. */
	for (size_t i = 0; i < pool->slot_count; i++) {
		joined = pool->slots[i] ? pool_join(ctx, pool, i) : 0;
		r = r < 0 ? r : joined;
	}
	return r;
}

void
stint_pool_free(struct stint_pool *pool)
{
	if (!pool)
		return;
	/* The background never ends. */
	if (stint_pool_stop(stint_ctx_background(), pool) == -EDEADLK) {
		track_tell(&pool->track, "not freed: one of its own workers asks for it");
		return;
	}
	track_remove(&pool->track);
	stint_wg_free(pool->starting);
	pthread_mutex_destroy(&pool->lock);
	free(pool->slots);
	free(pool);
}
