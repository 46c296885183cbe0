/*
 * stint/pipeline.h - stages in a row, each with threads of its own, channels between
 *
 * The first stage generates, the last one consumes; a stage with several workers is a
 * fan-out, the one after it the fan-in.
 *
 *	static int
 *	parse(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
 *	{
 *		struct record record;
 *		char *line;
 *		int r;
 *
 *		STINT_RECEIVER_EACH (ctx, flow->in, &line, r) {
 *			r = record_parse(&record, line, err);
 *			free(line);
 *			if (r < 0)
 *				return r;
 *			r = stint_sender_send(ctx, flow->out, &record);
 *			if (r < 0)
 *				break;
 *		}
 *		return r == -EPIPE ? 0 : r;	(no more lines, or no more wanted)
 *	}
 *
 *	const struct stint_stage stages[] = {
 *		{.name = "read", .fn = read_lines, .arg = file,
 *			.out_bytes = sizeof(char *), .drop = free_line},
 *		{.name = "parse", .fn = parse, .workers = 4,
 *			.out_bytes = sizeof(struct record), .out_capacity = 64},
 *		{.name = "store", .fn = store, .arg = db},
 *	};
 *
 *	r = stint_pipeline_run(ctx, stages, 3, &err);
 *
 * How it ends:
 *  - A stage is done when all its workers have returned 0. The channel behind it is
 *    closed: the next stage drains it, gets -EPIPE from receive, and returns 0, too.
 *  - A stage that has had enough just returns 0: those before it get -EPIPE from send.
 *  - A worker that fails ends the context of all: they get -ECANCELED, whatever is
 *    still in the channels. So the end of a channel is never a failure in disguise.
 *  - When the caller's context ends, the same.
 */
#ifndef STINT_PIPELINE_H
#define STINT_PIPELINE_H

#include <stddef.h>
#include <stint/api.h>
#include <stint/chan_view.h>
#include <stint/ctx.h>
#include <stint/err.h>

STINT_BEGIN_DECLS

/* What a worker has to do with. */
struct stint_flow {
	void *arg;                /* the stage's, for all its workers the same */
	size_t worker;            /* its number in the stage, from 0 */
	struct stint_receiver in; /* never ready in the first stage */
	struct stint_sender out;  /* never ready in the last one */
};

/**
 * stint_stage_fn - what a worker of a stage does, in a thread of its own, once
 * @ctx: the worker's; hand it to everything that blocks
 * @err: the sentence that goes with a failure; optional
 *
 * An item that was received, and one that could not be sent, is the worker's.
 * Return: 0, or a negative errno value.
 */
typedef int (*stint_stage_fn)(
	struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err);

struct stint_stage {
	const char *name; /* of the threads, and in errors; must not be NULL */
	stint_stage_fn fn;
	void *arg;
	size_t workers;      /* 0: one, and only one keeps the order of items */
	size_t out_bytes;    /* size of the items it sends; the last stage: not used */
	size_t out_capacity; /* of the channel behind it; 0: unbuffered */
	/* What to do with an item that was sent and that nobody received, because it
	 * ended early; called in the caller's thread. NULL: items own nothing. */
	void (*drop)(void *item);
};

/**
 * stint_pipeline_run() - run the stages until all of them have ended
 * @ctx:     ends the pipeline; whatever blocks in it must heed its own context
 * @stages:  in their order; read during the call only
 * @ret_err: how it failed, in the failing stage's words, with its name in front; code 0
 *           when it did not; may be NULL
 *
 * To go on meanwhile, or to stop it by hand, run it in a task.
 * Return: 0 all workers have returned 0; else the first failure in time; -ECANCELED,
 * -ETIMEDOUT when a stage was ended by @ctx; -EINVAL no stages, no function, items too
 * large; -ENOMEM; -EAGAIN no more threads. All threads have ended then, and the
 * channels are gone. Thread: any. Source: Go blog, "Pipelines and cancellation".
 */
#define stint_pipeline_run(ctx, stages, count, ret_err)                                  \
	stint_pipeline_run_at(ctx, stages, count, ret_err, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_pipeline_run_at(struct stint_ctx *ctx,
	const struct stint_stage *stages, size_t count, struct stint_err *ret_err,
	const char *where);

STINT_END_DECLS

#endif
