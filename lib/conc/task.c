/*
 * task.c - tasks: a function in a thread of its own
 *
 * Joining has two steps: wait for `has_ended`, which a context can bound, and then for
 * the thread, which cannot, but has only its last instructions to do.
 *
 * Lock order: none; nothing else is locked or called back under a task's lock.
 */
#include "lib/conc/task.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/conc/cond.h"

struct stint_task {
	struct task_body body;
	pthread_t thread;

	pthread_mutex_t lock;
	struct cond ended;
	bool has_ended;
	struct stint_err result; /* written before has_ended */
};

/* ---- the body ---- */

int
task_init(struct task_body *body, const struct task_start *start, const void *group,
	struct watched *above)
{
	int r = stint_ctx_with_cancel_at(start->parent, &body->ctx, NULL);

	if (r < 0)
		return r;
	body->member_of = group;
	body->fn = start->fn;
	body->arg = start->arg;
	snprintf(
		body->name, sizeof(body->name), "%s", start->name ? start->name : "task");
	track_add(&body->track, "task", body->name, start->where);
	watched_add(&body->watched, &body->track, true, above);
	return 0;
}

int
task_settle(int r, struct stint_err *err)
{
	const char *why;

	if (r > 0)
		return stint_err_set(err, -EINVAL,
			"returned %d, neither 0 nor a negative errno value", r);
	if (r == 0)
		*err = (struct stint_err){0};
	else if (err->msg[0] == '\0') {
		why = strerrordesc_np(-r);
		stint_err_set(err, r, "%s", why ? why : "unknown error");
	}
	err->code = r;
	return r;
}

int
task_call(stint_task_fn fn, struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	*err = (struct stint_err){0};
	return task_settle(fn(ctx, arg, err), err);
}

void
task_run(struct task_body *body, struct stint_err *ret_result)
{
	watched_set_current(&body->watched);
	(void)task_call(body->fn, body->ctx, body->arg, ret_result);
	watched_set_current(NULL);
	watched_remove(&body->watched);
}

void
task_fini(struct task_body *body)
{
	if (!body->ctx)
		return;
	watched_remove(&body->watched);
	track_remove(&body->track);
	stint_ctx_free(take_ptr(body->ctx));
}

bool
task_is_in(const void *group)
{
	const struct watched *current = watched_current();

	return current &&
	       container_of(current, struct task_body, watched)->member_of == group;
}

/* ---- its own thread ---- */

static void *
task_main(void *arg)
{
	struct stint_task *task = arg;
	struct waiter *wake = NULL;

	pthread_setname_np(pthread_self(), task->body.name);
	task_run(&task->body, &task->result);
	pthread_mutex_lock(&task->lock);
	task->has_ended = true;
	cond_claim_all(&task->ended, &wake);
	pthread_mutex_unlock(&task->lock);
	waiter_wake(wake);
	return NULL;
}

static void
task_free(struct stint_task *task)
{
	task_fini(&task->body);
	pthread_mutex_destroy(&task->lock);
	free(task);
}

int
stint_task_start_at(struct stint_ctx *parent, const char *name, stint_task_fn fn,
	void *arg, struct stint_task **ret_task, const char *where)
{
	struct task_start start = {parent, name, fn, arg, where};
	struct stint_task *task = calloc(1, sizeof(*task));
	int r;

	if (!task)
		return -ENOMEM;
	pthread_mutex_init(&task->lock, NULL);
	cond_init(&task->ended);
	r = task_init(&task->body, &start, NULL, watched_current());
	if (r == 0)
		r = -pthread_create(&task->thread, NULL, task_main, task);
	if (r < 0) {
		task_free(task);
		return r;
	}
	*ret_task = task;
	return 0;
}

void
stint_task_cancel(struct stint_task *task)
{
	stint_ctx_cancel(task->body.ctx);
}

static void
task_describe(const struct sleep_on *on, char *text, size_t size)
{
	const struct stint_task *task = on->what;
	char name[TRACK_TEXT_BYTES];

	snprintf(text, size, "join of %s", track_text(&task->body.track, name));
}

/* Under the lock: an end wins over an ended context. */
static int
task_wait(struct stint_ctx *ctx, struct stint_task *task)
{
	struct sleep_on on = {
		.describe = task_describe,
		.what = task,
		.below = &task->body.watched,
	};
	int r = 0;

	while (!task->has_ended && r == 0)
		r = cond_wait(ctx, &task->ended, &task->lock, &on);
	return task->has_ended ? 0 : r;
}

bool
task_is_current(const struct stint_task *task)
{
	return watched_current() == &task->body.watched;
}

int
stint_task_join(
	struct stint_ctx *ctx, struct stint_task *task, struct stint_err *ret_result)
{
	int r;

	if (task_is_current(task))
		return -EDEADLK;
	pthread_mutex_lock(&task->lock);
	r = task_wait(ctx, task);
	pthread_mutex_unlock(&task->lock);
	if (r < 0)
		return r;
	pthread_join(task->thread, NULL);
	*ret_result = task->result;
	task_free(task);
	return 0;
}

void
stint_task_stop(struct stint_task *task, struct stint_err *ret_result)
{
	if (!task) {
		*ret_result = (struct stint_err){0};
		return;
	}
	stint_task_cancel(task);
	/* The background never ends. */
	if (stint_task_join(stint_ctx_background(), task, ret_result) == -EDEADLK)
		stint_err_set(ret_result, -EDEADLK, "a task cannot stop itself");
}
