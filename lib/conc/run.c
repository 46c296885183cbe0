/*
 * run.c - one function over many inputs
 *
 * The threads take the inputs from a common counter, so a slow one holds nobody up.
 * Each goes on to the end, also when the context is over: then it only marks. So every
 * slot is filled when the last thread has ended, whoever began what.
 */
#include <stint/run.h>

#include <errno.h>
#include <stdatomic.h>
#include <stint/group.h>
#include "lib/base/cleanup.h"
#include "lib/conc/name.h"
#include "lib/conc/race.h"
#include "lib/conc/results.h"
#include "lib/conc/task.h"

struct run_all {
	const struct stint_run *run;
	struct stint_results *results;
	const char *where;
	_Atomic size_t next; /* relaxed: it hands out numbers and nothing else */
};

/* ---- in the threads ---- */

/* Inputs of no size may be nowhere. */
static const void *
run_input(const struct stint_run *run, size_t index)
{
	if (run->input_bytes == 0)
		return run->inputs;
	return (const char *)run->inputs + index * run->input_bytes;
}

static int
run_fn(const struct run_all *all, struct stint_ctx *ctx, size_t index,
	struct stint_err *ret_err)
{
	const struct stint_run *run = all->run;
	int r = stint_ctx_err(ctx);

	if (r < 0) {
		stint_ctx_cause(ctx, ret_err);
		return stint_err_wrap(ret_err, r, "not begun");
	}
	r = run->fn(ctx, run->arg, run_input(run, index),
		results_room(all->results, index), ret_err);
	return task_settle(r, ret_err);
}

static int
run_thread(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct run_all *all = arg;
	struct stint_err failure;
	size_t i;
	int r;

	(void)err;
	while ((i = atomic_fetch_add_explicit(&all->next, 1, memory_order_relaxed)) <
		all->run->count) {
		failure.code = 0;
		failure.msg[0] = '\0';
		r = run_fn(all, ctx, i, &failure);
		r = r == 0 ? stint_results_set(
				     all->results, i, results_room(all->results, i))
			   : stint_results_fail(all->results, i, &failure);
		(void)r; /* cannot fail: the number is in range, and ours alone */
	}
	return 0;
}

/* ---- in the caller's thread ---- */

static void
results_freep(struct stint_results **results)
{
	stint_results_free(*results);
}

static void
group_freep(struct stint_group **group)
{
	stint_group_free(*group);
}

/* As many threads as can be had, up to @count; 0 when there is at least one. */
static int
run_start(struct run_all *all, struct stint_group *group, size_t count)
{
	const char *base = all->run->name ? all->run->name : "run";
	char name[NAME_BUF_BYTES];
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		r = stint_group_go_at(stint_ctx_background(), group,
			name_numbered(name, base, i), run_thread, all, all->where);
		if (r < 0)
			return i > 0 ? 0 : r;
	}
	return 0;
}

int
stint_pool_run_at(struct stint_ctx *ctx, size_t concurrency, const struct stint_run *run,
	struct stint_results **ret_results, const char *where)
{
	cleanup(results_freep) struct stint_results *results = NULL;
	cleanup(group_freep) struct stint_group *group = NULL;
	struct run_all all = {.run = run, .where = where};
	struct stint_err none;
	int r;

	if (concurrency == 0 || !run->fn)
		return -EINVAL;
	r = stint_results_new_at(run->count, run->output_bytes, &results, where);
	if (r == 0)
		r = stint_group_new_at(ctx, &group, where);
	if (r < 0)
		return r;
	all.results = results;
	RACE_ATOMIC(&all.next);
	r = run_start(&all, group, concurrency < run->count ? concurrency : run->count);
	if (r < 0)
		return r;
	/* Neither can fail: the background never ends, and our tasks return 0. */
	r = stint_group_wait(stint_ctx_background(), group, &none);
	if (r < 0)
		return r;
	*ret_results = take_ptr(results);
	return 0;
}
