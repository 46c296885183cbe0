/*
 * group.c - error group: tasks that belong together and fail together
 *
 * Their threads are a crew's (crew.h). A task that has failed stays as the record of
 * its failure: nothing is allocated when something has gone wrong already.
 *
 * Lock order: none; nothing else is locked or called back under a group's lock.
 */
#include <stint/group.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "lib/base/cleanup.h"
#include "lib/conc/cond.h"
#include "lib/conc/crew.h"
#include "lib/conc/task.h"

struct group_task {
	struct task_body body;
	struct stint_group *group;
	struct stint_err result;
	struct crew_work work;
	STAILQ_ENTRY(group_task) next; /* in failed */
};

STAILQ_HEAD(group_tasks, group_task);

struct stint_group {
	struct track track;
	struct watched watched;
	struct stint_ctx *ctx;
	struct crew crew;

	pthread_mutex_t lock;
	size_t limit;         /* 0: none */
	size_t running_count; /* tasks that were admitted and have not ended */
	bool is_closed;       /* all have ended, and no more are wanted */
	struct cond room, all_ended;

	struct group_tasks failed; /* in the order in time */
	size_t failed_count;
	bool is_told; /* the owner has been handed the failures */
};

/* ---- in the threads ---- */

static void
group_keep_failure(struct stint_group *group, struct group_task *task)
{
	bool is_first;

	pthread_mutex_lock(&group->lock);
	is_first = STAILQ_EMPTY(&group->failed);
	STAILQ_INSERT_TAIL(&group->failed, task, next);
	group->failed_count++;
	pthread_mutex_unlock(&group->lock);
	/* The task counts as running still, so the group's context is as it was. */
	if (is_first)
		stint_ctx_cancel_cause(group->ctx, task->result.code, task->result.msg);
}

/* A task has ended, or could not be started. */
static void
group_count_down(struct stint_group *group)
{
	struct waiter *wake = NULL;

	pthread_mutex_lock(&group->lock);
	cond_claim_one(&group->room, &wake);
	if (--group->running_count == 0)
		cond_claim_all(&group->all_ended, &wake);
	pthread_mutex_unlock(&group->lock);
	waiter_wake(wake);
}

/* In the crew's thread. */
static void
group_run(struct crew_work *work)
{
	struct group_task *task = container_of(work, struct group_task, work);
	struct stint_group *group = task->group;

	task_run(&task->body, &task->result);
	task_fini(&task->body);
	if (task->result.code < 0)
		group_keep_failure(group, task);
	else
		free(task);
	group_count_down(group);
}

/* ---- starting ---- */

int
stint_group_new_at(
	struct stint_ctx *parent, struct stint_group **ret_group, const char *where)
{
	struct stint_group *group = calloc(1, sizeof(*group));
	int r;

	if (!group)
		return -ENOMEM;
	r = stint_ctx_with_cancel_at(parent, &group->ctx, NULL);
	if (r < 0) {
		free(group);
		return r;
	}
	pthread_mutex_init(&group->lock, NULL);
	cond_init(&group->room);
	cond_init(&group->all_ended);
	STAILQ_INIT(&group->failed);
	crew_init(&group->crew, group_run);
	track_add(&group->track, "group", NULL, where);
	watched_add(&group->watched, &group->track, false, watched_current());
	*ret_group = group;
	return 0;
}

struct stint_ctx *
stint_group_ctx(struct stint_group *group)
{
	return group->ctx;
}

int
stint_group_set_limit(struct stint_group *group, size_t limit)
{
	int r = -EBUSY;

	pthread_mutex_lock(&group->lock);
	if (group->running_count == 0) {
		group->limit = limit;
		r = 0;
	}
	pthread_mutex_unlock(&group->lock);
	return r;
}

static void
group_describe_room(const struct sleep_on *on, char *text, size_t size)
{
	const struct stint_group *group = on->what;
	char name[TRACK_TEXT_BYTES];

	snprintf(text, size, "room for a task in %s (limit %zu)",
		track_text(&group->track, name), on->count);
}

/* Count one more task, if there is room; without @ctx it does not wait for it. */
static int
group_admit(struct stint_group *group, struct stint_ctx *ctx)
{
	struct sleep_on on = {.describe = group_describe_room, .what = group};
	int r = ctx ? stint_ctx_err(ctx) : 0;

	pthread_mutex_lock(&group->lock);
	on.count = group->limit;
	while (r == 0 && group->limit > 0 && group->running_count >= group->limit)
		r = ctx ? cond_wait(ctx, &group->room, &group->lock, &on) : -EAGAIN;
	if (group->is_closed)
		r = -EPIPE;
	if (r == 0)
		group->running_count++;
	pthread_mutex_unlock(&group->lock);
	return r;
}

static void
group_task_freep(struct group_task **task)
{
	if (*task)
		task_fini(&(*task)->body);
	free(*task);
}

/* An admitted task. */
static int
group_start(struct stint_group *group, const struct task_start *start)
{
	cleanup(group_task_freep) struct group_task *task = malloc(sizeof(*task));
	int r;

	if (!task)
		return -ENOMEM;
	task->body.ctx = NULL; /* as long as there is none, there is nothing to undo */
	task->group = group;
	r = task_init(&task->body, start, group, &group->watched);
	if (r < 0)
		return r;
	task->work.name = task->body.name;
	r = crew_start(&group->crew, &task->work);
	if (r < 0)
		return r;
	take_ptr(task); /* its thread has it */
	return 0;
}

static int
group_go(struct stint_ctx *ctx, struct stint_group *group, const char *name,
	stint_task_fn fn, void *arg, const char *where)
{
	struct task_start start = {group->ctx, name, fn, arg, where};
	int r = group_admit(group, ctx);

	if (r < 0)
		return r;
	r = group_start(group, &start);
	if (r < 0)
		group_count_down(group);
	return r;
}

int
stint_group_go_at(struct stint_ctx *ctx, struct stint_group *group, const char *name,
	stint_task_fn fn, void *arg, const char *where)
{
	return group_go(ctx, group, name, fn, arg, where);
}

int
stint_group_try_go_at(struct stint_group *group, const char *name, stint_task_fn fn,
	void *arg, const char *where)
{
	return group_go(NULL, group, name, fn, arg, where);
}

/* ---- waiting ---- */

static void
group_describe_wait(const struct sleep_on *on, char *text, size_t size)
{
	const struct stint_group *group = on->what;
	char name[TRACK_TEXT_BYTES];

	snprintf(text, size, "end of %s", track_text(&group->track, name));
}

/* Until the last task has ended. Under the lock. */
static int
group_wait_tasks(struct stint_ctx *ctx, struct stint_group *group)
{
	struct sleep_on on = {
		.describe = group_describe_wait,
		.what = group,
		.below = &group->watched,
	};
	int r = 0;

	while (group->running_count > 0 && r == 0)
		r = cond_wait(ctx, &group->all_ended, &group->lock, &on);
	return group->running_count > 0 ? r : 0;
}

/* 0: all tasks and threads have ended. */
static int
group_finish(struct stint_ctx *ctx, struct stint_group *group)
{
	struct waiter *wake = NULL;
	int r;

	if (task_is_in(group))
		return -EDEADLK;
	pthread_mutex_lock(&group->lock);
	r = group_wait_tasks(ctx, group);
	if (r == 0) {
		group->is_closed = true;
		/* No task ends any more that would wake them. */
		cond_claim_all(&group->room, &wake);
	}
	pthread_mutex_unlock(&group->lock);
	waiter_wake(wake);
	if (r < 0)
		return r;
	crew_close(&group->crew);
	stint_ctx_cancel(group->ctx);
	return 0;
}

int
stint_group_wait_all(struct stint_ctx *ctx, struct stint_group *group,
	struct stint_err *ret_errs, size_t max, size_t *ret_count)
{
	const struct group_task *task;
	size_t i = 0;
	int r = group_finish(ctx, group);

	if (r < 0)
		return r;
	/* No lock: nobody else is left. */
	STAILQ_FOREACH (task, &group->failed, next) {
		if (i == max)
			break;
		ret_errs[i++] = task->result;
	}
	*ret_count = group->failed_count;
	group->is_told = true;
	return 0;
}

int
stint_group_wait(
	struct stint_ctx *ctx, struct stint_group *group, struct stint_err *ret_first)
{
	struct stint_err first = {0};
	size_t count;
	int r = stint_group_wait_all(ctx, group, &first, 1, &count);

	if (r == 0)
		*ret_first = first;
	return r;
}

/* ---- the end ---- */

static void
group_tell_unread(const struct stint_group *group)
{
	const struct group_task *first = STAILQ_FIRST(&group->failed);
	char text[TRACK_TEXT_BYTES + STINT_ERR_MSG_BYTES];
	char name[TRACK_TEXT_BYTES];

	if (!first || group->is_told)
		return;
	snprintf(text, sizeof(text),
		"%zu failed, unseen: take failures with stint_group_wait(); first, %s: "
		"%s",
		group->failed_count, track_text(&first->body.track, name),
		first->result.msg);
	track_tell(&group->track, text);
}

void
stint_group_free(struct stint_group *group)
{
	struct group_task *task;

	if (!group)
		return;
	if (task_is_in(group)) {
		track_tell(&group->track, "not freed: one of its own tasks asks for it");
		return;
	}
	stint_ctx_cancel(group->ctx);
	(void)!group_finish(stint_ctx_background(), group); /* never ends */
	group_tell_unread(group);
	while ((task = STAILQ_FIRST(&group->failed))) {
		STAILQ_REMOVE_HEAD(&group->failed, next);
		free(task);
	}
	watched_remove(&group->watched);
	track_remove(&group->track);
	stint_ctx_free(group->ctx);
	crew_fini(&group->crew);
	pthread_mutex_destroy(&group->lock);
	free(group);
}
