/*
 * stint/pool.h - worker pool: named threads that drain one channel
 *
 * The pool owns its threads, not the channel. Each worker receives an item, runs
 * the function on it, and receives again, until the channel is closed and
 * drained, or the pool is made smaller or stopped. A worker is never stopped in
 * the middle of an item: what should end early gets a context for that.
 *
 * Go has no such thing: there a goroutine is started for each item.
 */
#ifndef STINT_POOL_H
#define STINT_POOL_H

#include <stddef.h>
#include <stint/api.h>
#include <stint/chan.h>
#include <stint/ctx.h>
#include <stint/err.h>

STINT_BEGIN_DECLS

struct stint_pool;

/* What a worker does; all three run in the worker's thread. */
struct stint_pool_ops {
	/* Before the first item: make what belongs to this worker. 0; or -errno: then
	 * the worker does not start, and stop() is not called; a positive answer is taken
	 * for -EINVAL. @slot is its number, the lowest that is free: 0..size-1, unless
	 * the pool was made smaller before and workers that stayed, or have not left yet,
	 * have higher ones. May be NULL. */
	int (*start)(void *arg, size_t slot, void **ret_state);
	/* One item, as received (item_bytes bytes, the callee's). */
	void (*run)(void *arg, void *state, void *item);
	/* After the last item; @state is NULL when start() made none. May be NULL. */
	void (*stop)(void *arg, void *state);
};

/**
 * stint_pool_new() - start @size workers on @ch
 * @name:     of the threads, at most 10 bytes are used: "name/3"; copied; NULL: "worker"
 * @size:     how many workers; 0 is allowed
 * @ch:       where items come from; outlives the pool
 * @ops:      copied; run() must be there
 * @arg:      handed to all three; outlives the pool
 * @ret_pool: the caller's, to be freed with stint_pool_free()
 * @err:      the sentence of a failure; may be NULL
 *
 * Returns when all workers run (each start() has returned). The threads have the signal
 * mask of the caller.
 * Return: 0; -ENOMEM; -EAGAIN no more threads; what start() returned: of the first worker
 * that could not be started, then none is left. Thread: any.
 */
#define stint_pool_new(name, size, ch, ops, arg, ret_pool, err)                          \
	stint_pool_new_at(name, size, ch, ops, arg, ret_pool, err, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_pool_new_at(const char *name, size_t size,
	struct stint_chan *ch, const struct stint_pool_ops *ops, void *arg,
	struct stint_pool **ret_pool, struct stint_err *err, const char *where);

/**
 * stint_pool_resize() - more workers at once, or fewer as they become free
 *
 * Waits for start() of new workers, never for run(): surplus workers end after the
 * item they have. Those that sleep end first. Thread: the pool's owner.
 * @err: as above
 * Return: 0; as above when a worker could not be started: those that could, stay, and
 * are the size from then on.
 */
STINT_API STINT_MUST_CHECK int stint_pool_resize(
	struct stint_pool *pool, size_t size, struct stint_err *err);

/* stint_pool_size() - workers wanted; stint_pool_busy() - workers inside run() now, which
 * is old news at once. Thread: any. */
STINT_API size_t stint_pool_size(struct stint_pool *pool);
STINT_API size_t stint_pool_busy(struct stint_pool *pool);

/**
 * stint_pool_stop() - no new items; wait until every worker has ended
 * @ctx: bounds the wait
 *
 * Items still in the channel stay there. Return: 0; -ECANCELED, -ETIMEDOUT by @ctx:
 * workers are still busy, call again; -EDEADLK in a worker of the pool. The size is 0
 * then; resize starts it anew.
 * Thread: the pool's owner.
 */
STINT_API STINT_MUST_CHECK int stint_pool_stop(
	struct stint_ctx *ctx, struct stint_pool *pool);

/* stint_pool_free() - stop and wait without bound, then free; takes NULL. In a worker of
 * the pool it does not free, and says so on standard error. */
STINT_API void stint_pool_free(struct stint_pool *pool);

STINT_END_DECLS

#endif
