/*
 * stint/task.h - tasks: a function in a thread of its own, with an owner who waits
 *
 * Whoever starts a task has its handle, can end its context, and must join it: there
 * is no detaching, so there is no fire and forget. What the function returns is the
 * task's result and travels to the one who joins.
 *
 *	static int
 *	fetch(struct stint_ctx *ctx, void *arg, struct stint_err *err)
 *	{
 *		...
 *		return stint_err_set(err, -EIO, "cannot read %s", name);
 *	}
 *
 *	r = stint_task_start(ctx, "fetch", fetch, &request, &task);
 *	...
 *	r = stint_task_join(ctx, task, &result);	0: it has ended, and is gone
 *	if (r == 0 && result.code < 0)
 *		fprintf(stderr, "%s\n", result.msg);
 *
 * A task is a thread: it costs some 10 µs to start and a stack of memory, and one
 * that writes through a wild pointer takes the whole process with it. What must
 * survive a crash belongs in a process of its own.
 */
#ifndef STINT_TASK_H
#define STINT_TASK_H

#include <stint/api.h>
#include <stint/ctx.h>
#include <stint/err.h>

STINT_BEGIN_DECLS

struct stint_task;

/**
 * stint_task_fn - what a task does
 * @ctx: the task's own, a child of the one it was started with: hand it to everything
 *       that blocks, and return when it has ended
 * @arg: as given to the start
 * @err: the sentence that goes with a failure; optional: without one, strerror's is
 *       used
 *
 * Return: 0, or a negative errno value. A positive one counts as -EINVAL, with a sentence
 * that says so.
 */
typedef int (*stint_task_fn)(struct stint_ctx *ctx, void *arg, struct stint_err *err);

/**
 * stint_task_start() - run a function in a thread of its own
 * @parent:   the task's context is a child of it
 * @name:     of the thread, for people and reports; at most 15 bytes are used, copied;
 *            NULL: "task"
 * @fn, @arg: see stint_task_fn; @arg outlives the task
 * @ret_task: the caller's, until it was joined
 *
 * The thread has the signal mask of the caller.
 * Return: 0, -ENOMEM, -EAGAIN (no more threads). Thread: any.
 * Source: Go spec, "Go statements"; differs: there is a handle, and it must be joined.
 */
#define stint_task_start(parent, name, fn, arg, ret_task)                                \
	stint_task_start_at(parent, name, fn, arg, ret_task, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_task_start_at(struct stint_ctx *parent,
	const char *name, stint_task_fn fn, void *arg, struct stint_task **ret_task,
	const char *where);

/**
 * stint_task_cancel() - end the task's context, and with it, soon, the task
 *
 * Does not wait; the cause is -ECANCELED. Thread: any, while the task is not joined.
 * Source: none in Go, where a goroutine is ended by a context that it was given.
 */
STINT_API void stint_task_cancel(struct stint_task *task);

/**
 * stint_task_join() - wait for the end of a task, and take its result
 * @ctx:        bounds the wait, not the task
 * @ret_result: code 0, or how the task failed, in its own words; must not be NULL
 *
 * Return: 0: it has ended and its handle is gone; -ECANCELED, -ETIMEDOUT by @ctx:
 * nothing has changed, join again; -EDEADLK for a task that would join itself. An end
 * wins over an ended @ctx. Thread: one at a time.
 */
STINT_API STINT_MUST_CHECK int stint_task_join(
	struct stint_ctx *ctx, struct stint_task *task, struct stint_err *ret_result);

/**
 * stint_task_stop() - cancel and join, however long it takes
 *
 * @ret_result: as for the join: a task may have failed before it was told to stop
 *
 * For the way out of the owner. Takes NULL (the result says 0 then). The task itself only
 * ends its context by this: the result says -EDEADLK, and the owner has to join it.
 */
STINT_API void stint_task_stop(struct stint_task *task, struct stint_err *ret_result);

STINT_END_DECLS

#endif
