/*
 * after.c - a function that is called once a context has ended
 *
 * A task sleeps with a child of the context, on a waiter that only two can claim: the
 * end of the context, then the function is called, or the owner's stop, then it never
 * is. A child, because the owner may free the context first; that ends the child.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <stint/ctx.h>
#include "lib/base/cleanup.h"
#include "lib/conc/ctx.h"
#include "lib/conc/task.h"
#include "lib/conc/track.h"

struct stint_after {
	struct track track;
	struct waiter waiter;
	struct stint_task *task;
	stint_after_fn fn;
	void *arg;
};

/* For the deadlock report. */
static void
after_describe(const struct sleep_on *on, char *text, size_t size)
{
	(void)on;
	snprintf(text, size, "end of the context that it is to follow");
}

static int
after_main(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	const struct sleep_on on = {.describe = after_describe};
	struct stint_after *after = arg;

	(void)err;
	if (ctx_park(ctx, &after->waiter, &on) < 0)
		after->fn(ctx, after->arg);
	return 0;
}

int
stint_ctx_after_func_at(struct stint_ctx *ctx, stint_after_fn fn, void *arg,
	struct stint_after **ret_after, const char *where)
{
	cleanup(freep) struct stint_after *after = calloc(1, sizeof(*after));
	int r;

	if (!after)
		return -ENOMEM;
	waiter_init(&after->waiter);
	after->fn = fn;
	after->arg = arg;
	r = stint_task_start_at(ctx, "after", after_main, after, &after->task, NULL);
	if (r < 0)
		return r;
	track_add(&after->track, "after-func", NULL, where);
	*ret_after = take_ptr(after);
	return 0;
}

bool
stint_after_stop(struct stint_after *after)
{
	struct waiter *wake = NULL;
	struct stint_err result;
	bool is_prevented;

	if (!after)
		return false;
	if (task_is_current(after->task)) {
		track_tell(&after->track, "not stopped: its own function asks for it");
		return false;
	}
	track_remove(&after->track);
	is_prevented = waiter_claim(&after->waiter);
	if (is_prevented) {
		waiter_push(&wake, &after->waiter);
		waiter_wake(wake);
	}
	stint_task_stop(after->task, &result);
	free(after);
	return is_prevented;
}
