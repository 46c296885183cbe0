/*
 * stint/ctx.h - contexts: how long something may go on, and why it ended
 *
 * A context is handed down to everything that blocks. It ends when it is
 * cancelled, when its deadline passes, or when its parent ends; children end
 * with their parents, never the other way. The first end wins, and its cause
 * is kept.
 *
 *	struct stint_ctx *ctx;
 *	r = stint_ctx_with_timeout(parent, 500, &ctx);
 *	if (r < 0)
 *		return r;
 *	r = stint_chan_recv(ctx, jobs, &job);	(-ETIMEDOUT after 500 ms)
 *	stint_ctx_free(ctx);
 */
#ifndef STINT_CTX_H
#define STINT_CTX_H

#include <stdbool.h>
#include <stdint.h>
#include <stint/api.h>
#include <stint/clock.h>
#include <stint/err.h>

STINT_BEGIN_DECLS

struct stint_ctx;

/**
 * stint_ctx_background() - the root of all contexts
 *
 * Never ends, has no deadline; static: freeing it does nothing.
 * Source: Go, context.Background.
 */
STINT_API struct stint_ctx *stint_ctx_background(void);

/**
 * stint_ctx_with_cancel() - a child that can be cancelled on its own
 * stint_ctx_with_deadline() - a child that also ends at a point in time
 * stint_ctx_with_timeout() - a child that also ends some time from now
 * @parent:  outlives nothing: the child keeps what it needs of it
 * @at_ms:   on stint_now_ms()'s clock; the parent's deadline wins when earlier
 * @timeout_ms: from now
 * @ret_ctx: the new context, the caller's: stint_ctx_free() it
 *
 * A child of an ended context is born ended, with the parent's cause.
 * Thread: any. Return: 0, -ENOMEM.
 * Source: Go, context.WithCancel, WithDeadline, WithTimeout.
 */
STINT_API STINT_MUST_CHECK int stint_ctx_with_cancel(
	struct stint_ctx *parent, struct stint_ctx **ret_ctx);
STINT_API STINT_MUST_CHECK int stint_ctx_with_deadline(
	struct stint_ctx *parent, int64_t at_ms, struct stint_ctx **ret_ctx);
STINT_API STINT_MUST_CHECK int stint_ctx_with_timeout(
	struct stint_ctx *parent, int64_t timeout_ms, struct stint_ctx **ret_ctx);

/**
 * stint_ctx_cancel() - end the context and all its children now
 * stint_ctx_cancel_cause() - the same, saying why
 * @code: negative errno value that stint_ctx_cause() reports; 0 = -ECANCELED
 * @why:  one line, copied; may be NULL
 *
 * Only the first end counts; later ones change nothing. Wakes everyone who
 * waits with the context. Thread: any.
 * Source: Go, CancelFunc, context.WithCancelCause.
 */
STINT_API void stint_ctx_cancel(struct stint_ctx *ctx);
STINT_API void stint_ctx_cancel_cause(struct stint_ctx *ctx, int code, const char *why);

/**
 * stint_ctx_err() - has it ended, and how
 *
 * Return: 0 while it goes on; -ECANCELED; -ETIMEDOUT when its deadline passed.
 * Thread: any; cheap (no lock while it goes on).
 * Source: Go, Context.Err.
 */
STINT_API int stint_ctx_err(struct stint_ctx *ctx);

/**
 * stint_ctx_cause() - why it ended
 * @ret: filled with the first cause, its own or its parent's; may be NULL
 *
 * Return: the cause's code; 0 (and an empty @ret) while it goes on.
 * Source: Go, context.Cause.
 */
STINT_API int stint_ctx_cause(struct stint_ctx *ctx, struct stint_err *ret);

/**
 * stint_ctx_deadline() - when it ends at the latest, STINT_NEVER if not bounded
 */
STINT_API int64_t stint_ctx_deadline(struct stint_ctx *ctx);

/**
 * stint_ctx_done_fd() - a descriptor that turns readable when the context ends
 *
 * For poll(2) and libevent. It belongs to the context: do not read or close it.
 * Made on first use; a deadline is timed on the real clock, not on a scripted one.
 * Return: the descriptor, or -errno (no descriptors left);
 * -EOPNOTSUPP for the background.
 * Source: Go, Context.Done.
 */
STINT_API int stint_ctx_done_fd(struct stint_ctx *ctx);

/**
 * stint_ctx_free() - give the context back
 *
 * Ends it first (cause -ECANCELED), with its children: whoever made a context
 * ends it. Children may be freed later than their parent. Takes NULL.
 */
STINT_API void stint_ctx_free(struct stint_ctx *ctx);

STINT_END_DECLS

#endif
