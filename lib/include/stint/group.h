/*
 * stint/group.h - error group: tasks that belong together and fail together
 *
 *	r = stint_group_new(ctx, &group);
 *	for (i = 0; i < count && r == 0; i++)
 *		r = stint_group_go(ctx, group, "part", part, &parts[i]);
 *	if (r == 0)
 *		r = stint_group_wait(ctx, group, &first);
 *	if (r == 0)		all tasks have ended
 *		r = first.code;	(0, or the first failure; first.msg says it in words)
 *	stint_group_free(group);
 *
 * The first task that fails ends the context of the others, with its error as the
 * cause. The group keeps every failure, some 700 bytes each, until it is freed; when
 * nobody took them, that is told then. Of a task that ends well nothing is kept.
 *
 * A thread whose task has ended runs the next one of its group. What a task changes in
 * its thread (signal mask, locale, values of pthread keys) the next one finds there, so
 * it shall put it back; the name is set anew. At first it has the signal mask of the one
 * who called go.
 */
#ifndef STINT_GROUP_H
#define STINT_GROUP_H

#include <stddef.h>
#include <stint/api.h>
#include <stint/ctx.h>
#include <stint/err.h>
#include <stint/task.h>

STINT_BEGIN_DECLS

struct stint_group;

/**
 * stint_group_new() - make an empty group
 * @parent:    the group's context is a child of it
 * @ret_group: the caller's, to be freed with stint_group_free()
 *
 * Thread: any. Return: 0, -ENOMEM.
 * Source: golang.org/x/sync/errgroup, WithContext.
 */
#define stint_group_new(parent, ret_group)                                               \
	stint_group_new_at(parent, ret_group, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_group_new_at(
	struct stint_ctx *parent, struct stint_group **ret_group, const char *where);

/**
 * stint_group_ctx() - the group's context: to cancel it, or to hang something below it
 *
 * Ends with the first failure, which is its cause then, or when stint_group_wait() is
 * done. The group's own; its tasks get children of it. Thread: any.
 */
STINT_API struct stint_ctx *stint_group_ctx(struct stint_group *group);

/**
 * stint_group_set_limit() - at most @limit tasks at once; 0: any number
 *
 * Thread: any. Return: 0; -EBUSY while tasks run. Source: errgroup, SetLimit.
 */
STINT_API STINT_MUST_CHECK int stint_group_set_limit(
	struct stint_group *group, size_t limit);

/**
 * stint_group_go() - start a task, waiting while the limit is reached
 * stint_group_try_go() - start a task, or say that the limit is reached
 * @ctx: bounds the wait for room, not the task
 *
 * @name, @fn, @arg: as for stint_task_start()
 *
 * After a failure tasks are still started, and find their context ended; so every task
 * that was asked for has a result. Thread: any; also a task of the group, but with a
 * limit all may end up waiting for room.
 * Return: 0; -EAGAIN (try_go: limit reached; both: no more threads); -ENOMEM; -EPIPE:
 * the group has been waited for; -ECANCELED, -ETIMEDOUT by @ctx, which wins over room.
 * When it is not 0, @fn is not run.
 * Source: errgroup, Go, TryGo; differs: bounded by a context, fails after the wait.
 */
#define stint_group_go(ctx, group, name, fn, arg)                                        \
	stint_group_go_at(ctx, group, name, fn, arg, STINT_WHERE)
#define stint_group_try_go(group, name, fn, arg)                                         \
	stint_group_try_go_at(group, name, fn, arg, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_group_go_at(struct stint_ctx *ctx,
	struct stint_group *group, const char *name, stint_task_fn fn, void *arg,
	const char *where);
STINT_API STINT_MUST_CHECK int stint_group_try_go_at(struct stint_group *group,
	const char *name, stint_task_fn fn, void *arg, const char *where);

/**
 * stint_group_wait() - wait until all tasks have ended, then end the group's context
 * @ctx:       bounds the wait
 * @ret_first: the first failure in time; code 0: there was none; must not be NULL
 *
 * An end wins over an ended @ctx. No task can be started afterwards; waiting again says
 * the same. Thread: one at a time, as for stint_group_free(); not a task of the group.
 * Return: 0 all have ended, and their threads; -ECANCELED, -ETIMEDOUT by @ctx: tasks
 * still run, wait again; -EDEADLK in a task of the group.
 * Source: errgroup, Wait; differs: the group cannot be used again.
 */
STINT_API STINT_MUST_CHECK int stint_group_wait(
	struct stint_ctx *ctx, struct stint_group *group, struct stint_err *ret_first);

/**
 * stint_group_wait_all() - the same, and every failure, in the order in time
 * @ret_errs:  array of @max; the failures, as many as there is room for
 * @ret_count: how many there were altogether
 *
 * Among them are tasks that failed because the first failure ended their context.
 * Source: Go, errors.Join.
 */
STINT_API STINT_MUST_CHECK int stint_group_wait_all(struct stint_ctx *ctx,
	struct stint_group *group, struct stint_err *ret_errs, size_t max,
	size_t *ret_count);

/**
 * stint_group_free() - end the context, wait for every task, free; takes NULL
 *
 * In a task of the group it does nothing but say so on standard error.
 * When there was a failure and no wait has handed it out, it is told on standard
 * error: an error is never lost in silence.
 */
STINT_API void stint_group_free(struct stint_group *group);

STINT_END_DECLS

#endif
