/*
 * stint/chan_view.h - a channel of which one may only send, or only receive
 *
 * Whoever is handed a view can do one half, and the compiler refuses the other: a
 * receiver cannot send or close. A view is as small as a pointer, is passed by value and
 * owns nothing; it is good as long as the channel is.
 *
 *	static int
 *	count_up(struct stint_ctx *ctx, struct stint_sender out)
 *	...
 *		r = stint_sender_send(ctx, out, &i);
 *	...
 *	stint_sender_close(out);
 *
 *	count_up(ctx, stint_chan_sender(ch));
 *
 * Each function does what the one of the same verb in chan.h does, with the same results.
 * A view of NULL is a channel that is never ready.
 * Source: Go spec, "Channel types": chan<- and <-chan.
 */
#ifndef STINT_CHAN_VIEW_H
#define STINT_CHAN_VIEW_H

#include <stddef.h>
#include <stint/api.h>
#include <stint/chan.h>
#include <stint/ctx.h>
#include <string.h>

STINT_BEGIN_DECLS

struct stint_sender {
	struct stint_chan *ch; /* not to be used directly */
};

struct stint_receiver {
	struct stint_chan *ch; /* likewise */
};

/* stint_chan_sender(), stint_chan_receiver() - the views of a channel */
static inline struct stint_sender
stint_chan_sender(struct stint_chan *ch)
{
	struct stint_sender s;

	s.ch = ch;
	return s;
}

static inline struct stint_receiver
stint_chan_receiver(struct stint_chan *ch)
{
	struct stint_receiver r;

	r.ch = ch;
	return r;
}

/* ---- the sender's half ---- */

STINT_MUST_CHECK static inline int
stint_sender_send(struct stint_ctx *ctx, struct stint_sender s, const void *item)
{
	return stint_chan_send(ctx, s.ch, item);
}

STINT_MUST_CHECK static inline int
stint_sender_try_send(struct stint_sender s, const void *item)
{
	return stint_chan_try_send(s.ch, item);
}

STINT_MUST_CHECK static inline int
stint_sender_try_send_many(struct stint_sender s, const void *items, size_t count)
{
	return stint_chan_try_send_many(s.ch, items, count);
}

static inline int
stint_sender_close(struct stint_sender s)
{
	return stint_chan_close(s.ch);
}

/* A case for stint_select(): send *@item, which must stay until it is done. */
static inline struct stint_case
stint_sender_case(struct stint_sender s, const void *item)
{
	struct stint_case c;

	c.op = STINT_SEND;
	c.ch = s.ch;
	/* In place of a cast, of which some compilers warn: it is only read from. */
	memcpy(&c.item, &item, sizeof(item));
	c.result = 0;
	return c;
}

/* ---- the receiver's half ---- */

STINT_MUST_CHECK static inline int
stint_receiver_recv(struct stint_ctx *ctx, struct stint_receiver r, void *ret_item)
{
	return stint_chan_recv(ctx, r.ch, ret_item);
}

STINT_MUST_CHECK static inline int
stint_receiver_try_recv(struct stint_receiver r, void *ret_item)
{
	return stint_chan_try_recv(r.ch, ret_item);
}

STINT_MUST_CHECK static inline int
stint_receiver_try_recv_many(struct stint_receiver r, void *ret_items, size_t count)
{
	return stint_chan_try_recv_many(r.ch, ret_items, count);
}

/* See stint_chan_recv_fd(). */
STINT_MUST_CHECK static inline int
stint_receiver_fd(struct stint_receiver r)
{
	return stint_chan_recv_fd(r.ch);
}

/* A case for stint_select(): receive into *@ret_item, NULL discards. */
static inline struct stint_case
stint_receiver_case(struct stint_receiver r, void *ret_item)
{
	struct stint_case c;

	c.op = STINT_RECV;
	c.ch = r.ch;
	c.item = ret_item;
	c.result = 0;
	return c;
}

/* As STINT_CHAN_EACH(). */
#define STINT_RECEIVER_EACH(ctx, receiver, ret_item, ret_reason)                         \
	while (((ret_reason) = stint_receiver_recv(ctx, receiver, ret_item)) == 0)

/* ---- both: for metrics and tests ---- */

static inline size_t
stint_sender_len(struct stint_sender s)
{
	return stint_chan_len(s.ch);
}

static inline size_t
stint_sender_cap(struct stint_sender s)
{
	return stint_chan_cap(s.ch);
}

static inline size_t
stint_receiver_len(struct stint_receiver r)
{
	return stint_chan_len(r.ch);
}

static inline size_t
stint_receiver_cap(struct stint_receiver r)
{
	return stint_chan_cap(r.ch);
}

STINT_END_DECLS

#endif
