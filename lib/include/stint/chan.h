/*
 * stint/chan.h - bounded channels, and select over several of them
 *
 * A channel carries items of a fixed size from any number of senders to any
 * number of receivers, first in, first out. The sender's side closes it;
 * receivers drain what is left and then learn -EPIPE. Items are copied in and
 * out; when an item is a pointer, what it points to belongs to the sender until
 * the send succeeded, to the channel while it waits, and to the receiver after.
 *
 *	struct stint_chan *jobs;
 *	r = stint_chan_new(sizeof(struct job *), 128, &jobs);
 *	...
 *	while ((r = stint_chan_recv(ctx, jobs, &job)) == 0)
 *		work(job);
 *	(r is -EPIPE: closed and drained; -ECANCELED, -ETIMEDOUT: the context ended)
 *
 * All functions but stint_chan_free(): any thread, at any time.
 */
#ifndef STINT_CHAN_H
#define STINT_CHAN_H

#include <stddef.h>
#include <stint/api.h>
#include <stint/ctx.h>

STINT_BEGIN_DECLS

struct stint_chan;

/* The largest item in bytes. */
#define STINT_CHAN_ITEM_MAX 65536

/**
 * stint_chan_new() - make a channel
 * @item_bytes: 0..STINT_CHAN_ITEM_MAX; 0 = only the event counts
 * @capacity:   items it holds; 0 = unbuffered: send and receive meet
 * @ret_ch:     the caller's, to be freed with stint_chan_free()
 *
 * Return: 0; -EINVAL items too large; -ENOMEM.
 * Source: Go spec, "Making slices, maps and channels".
 */
#define stint_chan_new(item_bytes, capacity, ret_ch)                                     \
	stint_chan_new_at(item_bytes, capacity, ret_ch, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_chan_new_at(size_t item_bytes, size_t capacity,
	struct stint_chan **ret_ch, const char *where);

/**
 * stint_chan_send() - put one item in, waiting while the channel is full
 * @ctx:  bounds the wait
 * @item: item_bytes bytes, copied; on failure still the caller's
 *
 * An ended context wins over room in the channel. A NULL channel is never ready.
 * Return: 0; -EPIPE closed; -ECANCELED, -ETIMEDOUT by @ctx.
 * Source: Go spec, Send statements; differs: a closed channel is an error, no panic.
 */
STINT_API STINT_MUST_CHECK int stint_chan_send(
	struct stint_ctx *ctx, struct stint_chan *ch, const void *item);

/**
 * stint_chan_recv() - take the oldest item out, waiting while there is none
 * @ret_item: item_bytes bytes, written on success only; NULL discards
 *
 * Return: 0; -EPIPE closed and drained; -ECANCELED, -ETIMEDOUT by @ctx.
 * Source: Go spec, Receive operator.
 */
STINT_API STINT_MUST_CHECK int stint_chan_recv(
	struct stint_ctx *ctx, struct stint_chan *ch, void *ret_item);

/**
 * STINT_CHAN_EACH() - a loop over all items, until closed or @ctx ends
 * @ret_item:   as for stint_chan_recv()
 * @ret_reason: an int variable: inside the loop 0, after it why there are no more:
 *              -EPIPE closed and drained; -ECANCELED, -ETIMEDOUT by @ctx
 *
 *	STINT_CHAN_EACH (ctx, jobs, &job, r)
 *		work(job);
 *	return r == -EPIPE ? 0 : r;
 *
 * After a break the reason is 0. Source: Go spec, For statements with range clause;
 * differs: there is a reason.
 */
#define STINT_CHAN_EACH(ctx, ch, ret_item, ret_reason)                                   \
	while (((ret_reason) = stint_chan_recv(ctx, ch, ret_item)) == 0)

/**
 * stint_chan_try_send(), stint_chan_try_recv() - without waiting
 *
 * Return: 0; -EAGAIN full or empty, also for NULL; -EPIPE as above.
 * Source: Go, select of one case with a default.
 */
STINT_API STINT_MUST_CHECK int stint_chan_try_send(
	struct stint_chan *ch, const void *item);
STINT_API STINT_MUST_CHECK int stint_chan_try_recv(struct stint_chan *ch, void *ret_item);

/**
 * stint_chan_try_send_many() - put in as many of @count items as there is room for
 * stint_chan_try_recv_many() - take out up to @count items that are there
 * @items:     array of @count items, copied
 * @ret_items: array with room for @count items; NULL discards
 *
 * One lock and as few wake-ups as possible for the whole batch.
 * Return: how many, 1..@count; -EAGAIN none; -EPIPE closed (receive: and drained).
 * Source: none in Go; for who handles items by the hundred thousand a second.
 */
STINT_API STINT_MUST_CHECK int stint_chan_try_send_many(
	struct stint_chan *ch, const void *items, size_t count);
STINT_API STINT_MUST_CHECK int stint_chan_try_recv_many(
	struct stint_chan *ch, void *ret_items, size_t count);

/**
 * stint_chan_close() - no more sends
 *
 * Wakes all: waiting senders get -EPIPE, receivers drain, then get -EPIPE.
 * Return: 0; -EPIPE when it was closed already; -EINVAL for NULL. That it is closed holds
 * either way, so who does not care by whom may drop the result.
 * Source: Go spec, Close; differs: a second close is an error, no panic.
 */
STINT_API int stint_chan_close(struct stint_chan *ch);

/**
 * stint_chan_len(), stint_chan_cap() - items waiting, and room altogether
 *
 * The length is old news at once; for metrics and tests. NULL: 0.
 * Source: Go spec, Length and capacity.
 */
STINT_API size_t stint_chan_len(struct stint_chan *ch);
STINT_API size_t stint_chan_cap(struct stint_chan *ch);

/**
 * stint_chan_recv_fd() - a descriptor that is readable while a receive would not block
 *
 * An eventfd(2) for poll(2) and libevent, made on first use, owned by the
 * channel: do not read or close it. Many sends make one wake-up. It is reset by the
 * receive that finds the channel empty: a try_recv that says -EAGAIN, or a
 * try_recv_many that gets fewer than it asked for. Take as many items as you like:
 * it stays readable while some are left. Now and then it is readable for nothing.
 * Return: the descriptor; -EINVAL for NULL; or -errno of eventfd(2).
 */
STINT_API STINT_MUST_CHECK int stint_chan_recv_fd(struct stint_chan *ch);

/**
 * stint_chan_free() - give the channel back; takes NULL
 *
 * No one may wait in it or come to it any more. A send whose item has been received
 * counts as returned: a channel made for one answer may be freed once that is there.
 * Items still in it are dropped: drain it first when they own something.
 */
STINT_API void stint_chan_free(struct stint_chan *ch);

enum stint_case_op { STINT_SEND, STINT_RECV };

/* One way on for select: a send of *item or a receive into *item. */
struct stint_case {
	enum stint_case_op op;
	struct stint_chan *ch; /* NULL: never ready */
	void *item;            /* send: read; receive: written, NULL discards */
	int result;            /* out, of the chosen case: 0 or -EPIPE (closed) */
};

/**
 * stint_select() - wait until one of several sends and receives can go on, do it
 * @ctx:   bounds the wait
 * @cases: any number, also 0 (then only the context ends the wait)
 *
 * When several are ready, one is chosen at random, all with the same chance. A
 * closed channel is ready: the case is chosen, with result -EPIPE.
 * Return: the index of the case done; -ECANCELED, -ETIMEDOUT by @ctx; -ENOMEM.
 * Source: Go spec, Select statements; differs: send on closed is a result.
 */
STINT_API STINT_MUST_CHECK int stint_select(
	struct stint_ctx *ctx, struct stint_case *cases, size_t count);

/**
 * stint_try_select() - the same with a default
 *
 * Return: the index; -EAGAIN when none is ready.
 * Source: Go spec, Select statements, default.
 */
STINT_API STINT_MUST_CHECK int stint_try_select(struct stint_case *cases, size_t count);

/**
 * stint_select_for() - the same, for some time only
 * @timeout_ms: how long to wait at most; 0 or less: a look, as stint_try_select()
 *
 * Return: the index; -EAGAIN when none got ready in that time, while @ctx goes on;
 * -ECANCELED, -ETIMEDOUT by @ctx; -ENOMEM.
 * Source: Go, select with a case <-time.After(d).
 */
STINT_API STINT_MUST_CHECK int stint_select_for(struct stint_ctx *ctx, int64_t timeout_ms,
	struct stint_case *cases, size_t count);

STINT_END_DECLS

#endif
