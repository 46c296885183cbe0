/*
 * task.h - what a task is apart from its thread: task.c gives it a thread of its own,
 * group.c one that other tasks of the group have had before
 */
#ifndef CONC_TASK_H
#define CONC_TASK_H

#include <stint/task.h>
#include "lib/conc/deadlock.h"
#include "lib/conc/track.h"

enum { TASK_NAME_SIZE = 16 }; /* the kernel's, with the zero */

struct task_body {
	struct track track;
	struct watched watched;
	const void *member_of; /* the group; NULL: none */
	struct stint_ctx *ctx;
	stint_task_fn fn;
	void *arg;
	char name[TASK_NAME_SIZE];
};

struct task_start {
	struct stint_ctx *parent;
	const char *name;
	stint_task_fn fn;
	void *arg;
	const char *where;
};

/**
 * task_init() - all but the thread
 * @group, @above: the group that it is a member of, if it is, and what it is below in
 *                 the tree of deadlock.h
 *
 * Return: 0, -ENOMEM. Then task_fini() it, whether it was run or not.
 */
int task_init(struct task_body *body, const struct task_start *start, const void *group,
	struct watched *above);

/* Do it, in the calling thread, which must have its name already. */
void task_run(struct task_body *body, struct stint_err *ret_result);

/* Takes a body that is zeroed, too. Its name and place can still be read. */
void task_fini(struct task_body *body);

/* Is the calling thread running @task; or a task of @group? */
bool task_is_current(const struct stint_task *task);
bool task_is_in(const void *group);

/* See to it that a failure has a negative code and a sentence, and a success none. */
int task_settle(int r, struct stint_err *err);

/* Call @fn, and settle what it returns. */
int task_call(stint_task_fn fn, struct stint_ctx *ctx, void *arg, struct stint_err *err);

#endif
