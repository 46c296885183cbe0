/*
 * stint/run.h - one function over many inputs, by several threads, and all its results
 *
 *	static int
 *	shrink(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
 *		struct stint_err *err)
 *	{
 *		const char *const *path = input;
 *		struct thumb *thumb = ret_output;
 *		...
 *		return stint_err_set(err, -EIO, "cannot read %s", *path);
 *	}
 *
 *	const struct stint_run run = {.fn = shrink, .inputs = paths, .count = count,
 *		.input_bytes = sizeof(*paths), .output_bytes = sizeof(struct thumb)};
 *
 *	r = stint_pool_run(ctx, 4, &run, &results);	at most 4 at once
 *	if (r == 0)
 *		r = stint_results_summary(results, &err);
 *	... stint_results_get(results, i, &thumb, &err): paths[i]'s thumb, or its error
 *	stint_results_free(results);
 */
#ifndef STINT_RUN_H
#define STINT_RUN_H

#include <stddef.h>
#include <stint/api.h>
#include <stint/ctx.h>
#include <stint/err.h>
#include <stint/results.h>

STINT_BEGIN_DECLS

/**
 * stint_run_fn - what is done with one input; runs in several threads at a time
 * @ctx:        ends with the caller's: hand it to everything that blocks
 * @arg:        the same for all
 * @input:      one of the inputs, in place
 * @ret_output: output_bytes bytes, all 0 before; forgotten when it failed
 * @err:        the sentence that goes with a failure; optional
 *
 * Return: 0, or a negative errno value; a positive one is taken for -EINVAL.
 */
typedef int (*stint_run_fn)(struct stint_ctx *ctx, void *arg, const void *input,
	void *ret_output, struct stint_err *err);

struct stint_run {
	const char *name; /* of the threads: "name/3"; NULL: "run" */
	stint_run_fn fn;
	void *arg;
	const void *inputs; /* array of @count items of @input_bytes */
	size_t count;
	size_t input_bytes;
	size_t output_bytes;
};

/**
 * stint_pool_run() - run a function on every input, and wait for all of them
 * @ctx:         when it ends, inputs that were not begun get -ECANCELED or -ETIMEDOUT,
 *               and "not begun: " with the cause; those that were, end as they see fit
 * @concurrency: threads at most; there are never more than inputs
 * @run:         read during the call only
 * @ret_results: a slot for each input, in their order, and each of them is filled; the
 *               caller's, to be freed
 *
 * The failure of one input does not touch the others: who wants that ends @ctx. When
 * only some of the threads can be started, those do all the work.
 * Return: 0, whatever became of the inputs; -EINVAL no concurrency, no function;
 * -ENOMEM; -EAGAIN not one thread could be started. All threads have ended then.
 * Thread: any. Source: Go, errgroup with SetLimit, and a slice of results.
 */
#define stint_pool_run(ctx, concurrency, run, ret_results)                               \
	stint_pool_run_at(ctx, concurrency, run, ret_results, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_pool_run_at(struct stint_ctx *ctx,
	size_t concurrency, const struct stint_run *run,
	struct stint_results **ret_results, const char *where);

STINT_END_DECLS

#endif
