/*
 * stint/ctx.h - contexts: how long something may go on, and why it ended
 *
 * A context is handed down to everything that blocks. It ends when it is
 * cancelled, when its deadline passes, or when its parent ends; children end
 * with their parents, never the other way. The first end wins, and its cause
 * is kept. It also carries values that belong to one request.
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
#define stint_ctx_with_cancel(parent, ret_ctx)                                           \
	stint_ctx_with_cancel_at(parent, ret_ctx, STINT_WHERE)
#define stint_ctx_with_deadline(parent, at_ms, ret_ctx)                                  \
	stint_ctx_with_deadline_at(parent, at_ms, ret_ctx, STINT_WHERE)
#define stint_ctx_with_timeout(parent, timeout_ms, ret_ctx)                              \
	stint_ctx_with_timeout_at(parent, timeout_ms, ret_ctx, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_ctx_with_cancel_at(
	struct stint_ctx *parent, struct stint_ctx **ret_ctx, const char *where);
STINT_API STINT_MUST_CHECK int stint_ctx_with_deadline_at(struct stint_ctx *parent,
	int64_t at_ms, struct stint_ctx **ret_ctx, const char *where);
STINT_API STINT_MUST_CHECK int stint_ctx_with_timeout_at(struct stint_ctx *parent,
	int64_t timeout_ms, struct stint_ctx **ret_ctx, const char *where);

/**
 * stint_ctx_with_value() - a child that carries one value more
 * @key:   compared by its address: let it point to a static object of the module that
 *         the value belongs to, so that no other module can meet it
 * @value: not copied, not freed; outlives the child and all that is made below it
 *
 * For what goes with a request through code that need not know of it (a trace, a
 * user), not for parameters. The child can be cancelled, like any other.
 * Return: 0; -EINVAL without a @key; -ENOMEM.
 * Source: Go, context.WithValue; differs: keys are addresses.
 */
#define stint_ctx_with_value(parent, key, value, ret_ctx)                                \
	stint_ctx_with_value_at(parent, key, value, ret_ctx, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_ctx_with_value_at(struct stint_ctx *parent,
	const void *key, void *value, struct stint_ctx **ret_ctx, const char *where);

/**
 * stint_ctx_value() - the value for @key that was given last, here or further up
 *
 * Also of a context that has ended, or whose ancestors are freed. Takes as many steps
 * as there are values. Thread: any; no lock. Return: the value, NULL if there is none.
 * Source: Go, Context.Value.
 */
STINT_API void *stint_ctx_value(struct stint_ctx *ctx, const void *key);

/**
 * stint_ctx_without_cancel() - keep the values of @from, but not its end and deadline
 *
 * For work that shall outlast a request, such as telling how it went. It ends when it
 * is cancelled itself, or freed. Return: 0, -ENOMEM.
 * Source: Go, context.WithoutCancel; differs: it can be cancelled.
 */
#define stint_ctx_without_cancel(from, ret_ctx)                                          \
	stint_ctx_without_cancel_at(from, ret_ctx, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_ctx_without_cancel_at(
	struct stint_ctx *from, struct stint_ctx **ret_ctx, const char *where);

/**
 * stint_ctx_cancel() - end the context and all its children now
 * stint_ctx_cancel_cause() - the same, saying why
 * @code: negative errno value that stint_ctx_cause() reports; 0 = -ECANCELED; a positive
 *        one counts as -EINVAL
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
 * Return: 0 while it goes on; -ECANCELED; -ETIMEDOUT when its deadline passed: one of
 * these, whatever the cause's code.
 * Thread: any; cheap (no lock while it goes on).
 * Source: Go, Context.Err.
 */
STINT_API int stint_ctx_err(struct stint_ctx *ctx);

/**
 * stint_ctx_cause() - why it ended
 * @ret: filled with the first cause, its own or its parent's; may be NULL
 *
 * Return: the cause's code, negative; 0 (and an empty @ret) while it goes on. Thread:
 * any. Source: Go, context.Cause.
 */
STINT_API int stint_ctx_cause(struct stint_ctx *ctx, struct stint_err *ret);

/**
 * stint_ctx_deadline() - when it ends at the latest, STINT_NEVER if not bounded
 *
 * On stint_now_ms()'s clock. Thread: any; no lock. Source: Go, Context.Deadline.
 */
STINT_API int64_t stint_ctx_deadline(struct stint_ctx *ctx);

/**
 * stint_ctx_done_fd() - a descriptor that turns readable when the context ends
 *
 * For poll(2) and libevent. It belongs to the context: do not read or close it.
 * Made on first use; a deadline is timed on the real clock, not on a scripted one.
 * Thread: any. Return: the descriptor; -EOPNOTSUPP for the background; or -errno of
 * timerfd_create(2).
 * Source: Go, Context.Done.
 */
STINT_API STINT_MUST_CHECK int stint_ctx_done_fd(struct stint_ctx *ctx);

/**
 * stint_ctx_free() - give the context back
 *
 * Ends it first (cause -ECANCELED), with its children: whoever made a context
 * ends it. Children may be freed later than their parent. Takes NULL, and the background.
 * Thread: any, once, when no one waits with it or looks at it any more.
 */
STINT_API void stint_ctx_free(struct stint_ctx *ctx);

struct stint_after;

/**
 * stint_after_fn - what to do when a context has ended
 * @ctx: has ended, a child of the one in question: ask it for the cause and values
 */
typedef void (*stint_after_fn)(struct stint_ctx *ctx, void *arg);

/**
 * stint_ctx_after_func() - call a function once the context has ended
 * @fn:        called once, in a thread of its own: at once if @ctx has ended, and also
 *             when its deadline passes with nobody looking
 * @arg:       outlives the call
 * @ret_after: the caller's, who must stint_after_stop() it
 *
 * The thread is there from the start, so that nothing can fail at the end; it sleeps.
 * @ctx may be freed before the handle: that ends it. Any number for one context.
 * Thread: any. Return: 0, -ENOMEM, -EAGAIN (no more threads).
 * Source: Go, context.AfterFunc; differs: the handle must be stopped.
 */
#define stint_ctx_after_func(ctx, fn, arg, ret_after)                                    \
	stint_ctx_after_func_at(ctx, fn, arg, ret_after, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_ctx_after_func_at(struct stint_ctx *ctx,
	stint_after_fn fn, void *arg, struct stint_after **ret_after, const char *where);

/**
 * stint_after_stop() - prevent the call, or wait until it is over; frees the handle
 *
 * Takes NULL (the answer is false then). In the function itself it does nothing but say
 * so on standard error: that would wait for its own end. Thread: any, once.
 * Return: true: the function was not called and will not be; false: it has returned.
 * Source: Go, the stop function of context.AfterFunc; differs: waits for the call.
 */
STINT_API bool stint_after_stop(struct stint_after *after);

/*
 * Ends from elsewhere. A context does not look at other people's flags and descriptors:
 * every wait in the library would have to poll them, or every context to have a thread
 * that nobody sees and owns. What ends with a descriptor (a connection, a child's pidfd,
 * a signalfd) is tied to a context by a task:
 *
 *	static int
 *	end_with_peer(struct stint_ctx *ctx, void *arg, struct stint_err *err)
 *	{
 *		struct pollfd p[] = {{peer_fd, POLLIN, 0},
 *				     {stint_ctx_done_fd(ctx), POLLIN, 0}};
 *
 *		while (poll(p, 2, -1) < 0 && errno == EINTR)
 *			;
 *		if (p[0].revents)
 *			stint_ctx_cancel_cause(arg, -ECONNRESET, "the peer has gone");
 *		return 0;
 *	}
 *
 * The other way, into somebody else's loop, goes stint_ctx_done_fd().
 */

STINT_END_DECLS

#endif
