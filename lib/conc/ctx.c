/*
 * ctx.c - contexts
 *
 * A context that goes on is linked to its parent, and a tree of them shares one
 * lock: that of its root, the context made from the background. Ending takes a
 * context and all below it out of the tree, in one go under the lock; from then on
 * each stands alone and does not change any more.
 *
 *	background			no lock, no links: children of it are roots
 *	    root			lock, count of all that still use it
 *	      child  child
 *	               child
 *
 * One lock per tree and not one per context, because parent and child always
 * change together: there is no order of locks to keep, and a cancel is one event
 * for the whole tree. It guards the links, the waiters, the descriptors and the
 * step from going on to ended. `end` alone is read without it.
 *
 * Deadlines need no timer and no thread: err() looks at the clock, who waits
 * sleeps no longer than that, and the descriptor is a timerfd. A child's deadline
 * is never later than its parent's, so nobody has to ask upwards.
 *
 * Values are not looked up through the tree, which an ended context leaves and whose
 * upper part may be freed: each context has its share of a list of them (value.h).
 *
 * Lock order: none. No other lock is taken under a tree's, and it is not taken
 * under another one.
 */
#include "lib/conc/ctx.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "lib/conc/race.h"
#include "lib/conc/track.h"
#include "lib/conc/value.h"

TAILQ_HEAD(ctx_list, stint_ctx);

struct stint_ctx {
	/* 0 while it goes on, then -ECANCELED or -ETIMEDOUT. Written once, under the
	 * lock, with release after `cause`; readers acquire, so they see the cause. */
	_Atomic int end;
	int64_t deadline_at_ms; /* never changes */
	struct stint_ctx *root; /* whose lock it is; itself for a root */
	struct value *values;   /* never changes; its own share, so the tree may go */
	struct track track;

	/* under the lock */
	struct stint_ctx *parent; /* NULL for a root, and once ended */
	TAILQ_ENTRY(stint_ctx) sibling;
	struct ctx_list children;
	struct waiter_list waiters;
	int done_fd;

	/* a root only */
	pthread_mutex_t lock;
	size_t users; /* contexts with this root, itself included; under the lock */

	struct stint_err cause; /* last: it is big, and not written before the end */
};

static const struct stint_err cancelled = {-ECANCELED, "cancelled"};
static const struct stint_err late = {-ETIMEDOUT, "deadline passed"};

static struct stint_ctx background = {
	.deadline_at_ms = STINT_NEVER,
	.done_fd = -1,
};

struct stint_ctx *
stint_ctx_background(void)
{
	return &background;
}

static void
ctx_mark(struct stint_ctx *ctx, int end, const struct stint_err *cause)
{
	ctx->cause = *cause;
	RACE_BEFORE(&ctx->end);
	atomic_store_explicit(&ctx->end, end, memory_order_release);
}

static void
ctx_make_root(struct stint_ctx *ctx)
{
	ctx->root = ctx;
	ctx->users = 1;
	pthread_mutex_init(&ctx->lock, NULL);
}

/* Link a new context under its parent; false when that has ended. */
static bool
ctx_join_tree(struct stint_ctx *ctx, struct stint_ctx *parent)
{
	bool is_alive;

	pthread_mutex_lock(&parent->root->lock);
	/* Relaxed: it only changes under the lock that we hold. */
	is_alive = !atomic_load_explicit(&parent->end, memory_order_relaxed);
	if (is_alive) {
		ctx->root = parent->root;
		ctx->root->users++;
		ctx->parent = parent;
		TAILQ_INSERT_TAIL(&parent->children, ctx, sibling);
	}
	pthread_mutex_unlock(&parent->root->lock);
	return is_alive;
}

int
stint_ctx_with_deadline_at(struct stint_ctx *parent, int64_t at_ms,
	struct stint_ctx **ret_ctx, const char *where)
{
	/* malloc: `cause` need not be cleared, and this is done for every job. */
	struct stint_ctx *ctx = malloc(sizeof(*ctx));

	if (!ctx)
		return -ENOMEM;
	atomic_init(&ctx->end, 0);
	RACE_ATOMIC(&ctx->end);
	ctx->deadline_at_ms =
		at_ms < parent->deadline_at_ms ? at_ms : parent->deadline_at_ms;
	ctx->values = value_share(parent->values);
	ctx->parent = NULL;
	TAILQ_INIT(&ctx->children);
	TAILQ_INIT(&ctx->waiters);
	ctx->done_fd = -1;

	if (parent == &background) {
		ctx_make_root(ctx);
	} else if (!ctx_join_tree(ctx, parent)) {
		ctx_make_root(ctx);
		/* An ended parent does not change any more: no lock needed. */
		ctx_mark(ctx, stint_ctx_err(parent), &parent->cause);
	}
	track_add(&ctx->track, "context", NULL, where);
	*ret_ctx = ctx;
	return 0;
}

int
stint_ctx_with_timeout_at(struct stint_ctx *parent, int64_t timeout_ms,
	struct stint_ctx **ret_ctx, const char *where)
{
	return stint_ctx_with_deadline_at(
		parent, stint_at_ms(timeout_ms), ret_ctx, where);
}

int
stint_ctx_with_cancel_at(
	struct stint_ctx *parent, struct stint_ctx **ret_ctx, const char *where)
{
	return stint_ctx_with_deadline_at(parent, STINT_NEVER, ret_ctx, where);
}

int
stint_ctx_with_value_at(struct stint_ctx *parent, const void *key, void *value,
	struct stint_ctx **ret_ctx, const char *where)
{
	struct value *values;
	int r;

	if (!key)
		return -EINVAL;
	values = value_put(parent->values, key, value);
	if (!values)
		return -ENOMEM;
	r = stint_ctx_with_cancel_at(parent, ret_ctx, where);
	if (r < 0) {
		value_drop(values);
		return r;
	}
	value_drop((*ret_ctx)->values);
	(*ret_ctx)->values = values;
	return 0;
}

int
stint_ctx_without_cancel_at(
	struct stint_ctx *from, struct stint_ctx **ret_ctx, const char *where)
{
	int r = stint_ctx_with_cancel_at(&background, ret_ctx, where);

	if (r == 0)
		(*ret_ctx)->values = value_share(from->values);
	return r;
}

void *
stint_ctx_value(struct stint_ctx *ctx, const void *key)
{
	return value_get(ctx->values, key);
}

/* Make the descriptor readable once the time is up, or now when it has ended. */
static int
ctx_arm_fd(struct stint_ctx *ctx)
{
	struct itimerspec when = {0};

	if (atomic_load_explicit(&ctx->end, memory_order_relaxed) == 0) {
		if (ctx->deadline_at_ms == STINT_NEVER)
			return 0;
		when.it_value = waiter_time_left(ctx->deadline_at_ms);
	}
	/* Zero would disarm the timer. */
	if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0)
		when.it_value.tv_nsec = 1;
	return timerfd_settime(ctx->done_fd, 0, &when, NULL) < 0 ? -errno : 0;
}

static void
ctx_claim_waiters(struct stint_ctx *ctx, int end, struct waiter **wake)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(&ctx->waiters))) {
		TAILQ_REMOVE(&ctx->waiters, w, in_ctx);
		w->is_in_ctx = false;
		if (waiter_claim(w)) {
			w->ended = end;
			waiter_push(wake, w);
		}
	}
}

/* Take @top and all below it out of the tree, ended. Under the lock; returns whom
 * to wake without it. A list instead of recursion: trees may be deep. */
static struct waiter *
ctx_end_tree(struct stint_ctx *top, int end, const struct stint_err *cause)
{
	struct ctx_list ending = TAILQ_HEAD_INITIALIZER(ending);
	struct waiter *wake = NULL;
	struct stint_ctx *ctx;
	int64_t now_ms = stint_now_ms();

	if (top->parent)
		TAILQ_REMOVE(&top->parent->children, top, sibling);
	TAILQ_INSERT_TAIL(&ending, top, sibling);
	while ((ctx = TAILQ_FIRST(&ending))) {
		/* A deadline that has passed came first, even if nobody looked. */
		bool is_late = ctx->deadline_at_ms <= now_ms;
		int ctx_end = is_late ? -ETIMEDOUT : end;

		TAILQ_REMOVE(&ending, ctx, sibling);
		TAILQ_CONCAT(&ending, &ctx->children, sibling);
		ctx->parent = NULL;
		ctx_mark(ctx, ctx_end, is_late ? &late : cause);
		ctx_claim_waiters(ctx, ctx_end, &wake);
		/* Under the lock, because without it the owner may free the context
		 * and its descriptor number belong to someone else. */
		if (ctx->done_fd >= 0)
			ctx_arm_fd(ctx);
	}
	return wake;
}

static void
ctx_end(struct stint_ctx *ctx, int end, const struct stint_err *cause)
{
	/* Kept: once woken, somebody may free the context. */
	pthread_mutex_t *lock = &ctx->root->lock;
	struct waiter *wake = NULL;

	pthread_mutex_lock(lock);
	if (atomic_load_explicit(&ctx->end, memory_order_relaxed) == 0)
		wake = ctx_end_tree(ctx, end, cause);
	pthread_mutex_unlock(lock);
	waiter_wake(wake);
}

void
stint_ctx_cancel(struct stint_ctx *ctx)
{
	if (ctx != &background)
		ctx_end(ctx, -ECANCELED, &cancelled);
}

void
stint_ctx_cancel_cause(struct stint_ctx *ctx, int code, const char *why)
{
	struct stint_err cause;

	if (ctx == &background)
		return;
	if (code >= 0)
		code = code == 0 ? -ECANCELED : -EINVAL;
	if (!why)
		why = code == -ECANCELED ? cancelled.msg : strerrordesc_np(-code);
	stint_err_set(&cause, code, "%s", why ? why : "unknown error");
	ctx_end(ctx, -ECANCELED, &cause);
}

int
stint_ctx_err(struct stint_ctx *ctx)
{
	int end = atomic_load_explicit(&ctx->end, memory_order_acquire);

	if (end)
		RACE_AFTER(&ctx->end);
	if (end || ctx->deadline_at_ms == STINT_NEVER ||
		stint_now_ms() < ctx->deadline_at_ms)
		return end;
	ctx_end(ctx, -ETIMEDOUT, &late);
	return atomic_load_explicit(&ctx->end, memory_order_acquire);
}

int
stint_ctx_cause(struct stint_ctx *ctx, struct stint_err *ret)
{
	bool has_ended = stint_ctx_err(ctx) < 0;

	if (ret && has_ended)
		*ret = ctx->cause;
	else if (ret)
		*ret = (struct stint_err){0};
	return has_ended ? ctx->cause.code : 0;
}

int64_t
stint_ctx_deadline(struct stint_ctx *ctx)
{
	return ctx->deadline_at_ms;
}

int
stint_ctx_done_fd(struct stint_ctx *ctx)
{
	int r = 0;

	if (ctx == &background)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&ctx->root->lock);
	if (ctx->done_fd < 0) {
		ctx->done_fd =
			timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		r = ctx->done_fd < 0 ? -errno : ctx_arm_fd(ctx);
		if (r < 0)
			close_fd(&ctx->done_fd);
	}
	if (r == 0)
		r = ctx->done_fd;
	pthread_mutex_unlock(&ctx->root->lock);
	return r;
}

bool
ctx_has_ended(const struct stint_ctx *ctx)
{
	/* Acquire: what follows comes after the end, if there was one. */
	return atomic_load_explicit(&ctx->end, memory_order_acquire) != 0;
}

int
ctx_watch(struct stint_ctx *ctx, struct waiter *w)
{
	int end;

	if (ctx == &background)
		return 0;
	pthread_mutex_lock(&ctx->root->lock);
	end = atomic_load_explicit(&ctx->end, memory_order_relaxed);
	if (!end) {
		TAILQ_INSERT_TAIL(&ctx->waiters, w, in_ctx);
		w->is_in_ctx = true;
	}
	pthread_mutex_unlock(&ctx->root->lock);
	return end;
}

void
ctx_unwatch(struct stint_ctx *ctx, struct waiter *w)
{
	if (ctx == &background)
		return;
	pthread_mutex_lock(&ctx->root->lock);
	if (w->is_in_ctx)
		TAILQ_REMOVE(&ctx->waiters, w, in_ctx);
	pthread_mutex_unlock(&ctx->root->lock);
}

static bool
ctx_sleep(struct stint_ctx *ctx, struct waiter *w, const struct sleep_on *on)
{
	if (on && deadlock_is_watched())
		return deadlock_park(w, ctx->deadline_at_ms, on);
	return waiter_park(w, ctx->deadline_at_ms);
}

int
ctx_park_watched(struct stint_ctx *ctx, struct waiter *w, const struct sleep_on *on)
{
	/* When the time is up, err() ends the context, and with it all its waiters:
	 * this one, too, unless somebody else was faster. */
	while (!ctx_sleep(ctx, w, on))
		stint_ctx_err(ctx);
	if (!w->ended)
		ctx_unwatch(ctx, w);
	return w->ended;
}

int
ctx_park(struct stint_ctx *ctx, struct waiter *w, const struct sleep_on *on)
{
	int end = ctx_watch(ctx, w);

	if (end)
		return waiter_withdraw(w) ? end : 0;
	return ctx_park_watched(ctx, w, on);
}

void
stint_ctx_free(struct stint_ctx *ctx)
{
	struct stint_ctx *root;
	struct waiter *wake = NULL;
	bool is_last;

	if (!ctx || ctx == &background)
		return;
	track_remove(&ctx->track);
	root = ctx->root;
	pthread_mutex_lock(&root->lock);
	/* A leaf is only unlinked: nobody is left to be told of its end. */
	if (!TAILQ_EMPTY(&ctx->children))
		wake = ctx_end_tree(ctx, -ECANCELED, &cancelled);
	else if (ctx->parent)
		TAILQ_REMOVE(&ctx->parent->children, ctx, sibling);
	is_last = --root->users == 0;
	pthread_mutex_unlock(&root->lock);

	waiter_wake(wake);
	close_fd(&ctx->done_fd);
	value_drop(ctx->values);
	if (ctx != root)
		free(ctx);
	/* A root stays until its last descendant is gone, for the lock. */
	if (is_last) {
		pthread_mutex_destroy(&root->lock);
		free(root);
	}
}
