/*
 * stint/once.h - do something once, whoever comes first, and share the result
 *
 *	static struct stint_once once = STINT_ONCE_INIT;
 *	static struct table table;
 *
 *	r = stint_once_do(ctx, &once, table_load, &table, &err);
 *	if (r < 0)
 *		return r;	(for everybody, and for good, if the first one failed)
 *	...			table is there, whoever loaded it
 */
#ifndef STINT_ONCE_H
#define STINT_ONCE_H

#include <stddef.h>
#include <stint/api.h>
#include <stint/ctx.h>
#include <stint/err.h>
#include <stint/task.h>

STINT_BEGIN_DECLS

/* Nothing to free. The fields are the library's. */
struct stint_once {
	int state_;
	void *running_;
	struct stint_err result_;
};

/* clang-format off */
#define STINT_ONCE_INIT {0, NULL, {0, ""}}
/* clang-format on */

/**
 * stint_once_do() - call @fn if nobody has, else wait for the one who does
 * @ctx: handed to @fn by the one who calls it; bounds the wait of the others
 * @fn:  as of a task, but runs in the caller's thread
 * @err: the sentence of a failure; may be NULL
 *
 * Once @fn has returned, its result is that of all calls, now and later, also of those
 * with an ended @ctx, and what it wrote is visible to them. A failure is a result: it is
 * not tried again. So let @fn give up only for reasons that hold for everybody; an ended
 * @ctx is none, unless nobody lives longer than it.
 * Return: 0; what @fn returned; -ECANCELED, -ETIMEDOUT by @ctx, while @fn still runs;
 * -EDEADLK when @fn itself calls this. Thread: any; once it is done, no lock.
 * Source: Go, sync.Once, sync.OnceValues; differs: a wait is bounded, and a call from
 * within is an error.
 */
#define stint_once_do(ctx, once, fn, arg, err)                                           \
	stint_once_do_at(ctx, once, fn, arg, err, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_once_do_at(struct stint_ctx *ctx,
	struct stint_once *once, stint_task_fn fn, void *arg, struct stint_err *err,
	const char *where);

STINT_END_DECLS

#endif
