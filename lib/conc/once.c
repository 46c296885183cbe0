/*
 * once.c - do something once, and share the result
 *
 * Who is first keeps what the others need while they wait on its own stack, so a once
 * is small, needs no memory and nothing to free. One lock for all of them: it is taken
 * only until the result is there.
 *
 * Lock order: `lock` is a leaf; the function is called without it.
 */
#include <stint/once.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include "lib/conc/cond.h"
#include "lib/conc/race.h"
#include "lib/conc/task.h"

/* Builtins and not _Atomic, which C++ does not know, in a public struct. */
enum { ONCE_NEW, ONCE_RUNNING, ONCE_DONE };

struct once_run {
	pthread_t thread;
	const char *where;
	struct cond done;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool
once_is_done(const struct stint_once *once)
{
	/* Acquire: the result, and all that the function wrote, are there, too. */
	bool is_done = __atomic_load_n(&once->state_, __ATOMIC_ACQUIRE) == ONCE_DONE;

	if (is_done)
		RACE_AFTER(&once->state_);
	return is_done;
}

static void
once_describe(const struct sleep_on *on, char *text, size_t size)
{
	snprintf(text, size, "once, which runs since %s", (const char *)on->what);
}

/* The first one. Under the lock, released for the call. */
static void
once_run(struct stint_ctx *ctx, struct stint_once *once, stint_task_fn fn, void *arg,
	const char *where)
{
	struct once_run run = {.thread = pthread_self(), .where = where};
	struct waiter *wake = NULL;

	cond_init(&run.done);
	RACE_ATOMIC(&once->state_);
	once->running_ = &run;
	__atomic_store_n(&once->state_, ONCE_RUNNING, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
	(void)task_call(fn, ctx, arg, &once->result_);
	pthread_mutex_lock(&lock);
	once->running_ = NULL;
	RACE_BEFORE(&once->state_);
	__atomic_store_n(&once->state_, ONCE_DONE, __ATOMIC_RELEASE);
	cond_claim_all(&run.done, &wake);
	pthread_mutex_unlock(&lock);
	waiter_wake(wake);
	pthread_mutex_lock(&lock);
}

/* One of the others. Under the lock. */
static int
once_wait(struct stint_ctx *ctx, struct stint_once *once)
{
	int r = 0;

	while (!once_is_done(once) && r == 0) {
		struct once_run *run = once->running_;
		/* A copy of `where`: the run may be over by the time it is told. */
		struct sleep_on on = {.describe = once_describe, .what = run->where};

		if (pthread_equal(run->thread, pthread_self()))
			r = -EDEADLK;
		else
			r = cond_wait(ctx, &run->done, &lock, &on);
	}
	return once_is_done(once) ? 0 : r;
}

static int
once_explain(struct stint_ctx *ctx, int r, struct stint_err *err)
{
	struct stint_err cause;

	if (r == -EDEADLK)
		return stint_err_set(err, r, "a once was called from within itself");
	(void)stint_ctx_cause(ctx, &cause);
	return stint_err_set(err, r, "gave up waiting for a once: %s", cause.msg);
}

int
stint_once_do_at(struct stint_ctx *ctx, struct stint_once *once, stint_task_fn fn,
	void *arg, struct stint_err *err, const char *where)
{
	int r = 0;

	if (!once_is_done(once)) {
		pthread_mutex_lock(&lock);
		if (__atomic_load_n(&once->state_, __ATOMIC_RELAXED) == ONCE_NEW)
			once_run(ctx, once, fn, arg, where);
		else
			r = once_wait(ctx, once);
		pthread_mutex_unlock(&lock);
	}
	if (r < 0)
		return once_explain(ctx, r, err);
	if (err && once->result_.code < 0)
		*err = once->result_;
	return once->result_.code;
}
