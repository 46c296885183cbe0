/*
 * ops.c - send and receive on one channel, with and without waiting
 *
 * To wait is a select of one case. With a ring it begins awake and outside of the
 * queue: as long as nobody is queued, a send and a receive take one lock each and do not
 * disturb one another. That is also why one looks so seldom: after RING_GAP_NS there are
 * dozens of items or places at once, and taking a dozen in a row costs little more than
 * taking one that the other side has just touched.
 */
#include <errno.h>
#include "lib/conc/chan.h"
#include "lib/conc/spin.h"

enum { RING_GAP_NS = 1500 };

int
chan_try(struct stint_chan *ch, enum stint_case_op op, void *item)
{
	int r = chan_try_many(ch, op, item, 1);

	return r > 0 ? 0 : r;
}

int
stint_chan_try_send(struct stint_chan *ch, const void *item)
{
	return chan_try(ch, STINT_SEND, (void *)item); /* only read from */
}

int
stint_chan_try_recv(struct stint_chan *ch, void *ret_item)
{
	return chan_try(ch, STINT_RECV, ret_item);
}

int
stint_chan_try_send_many(struct stint_chan *ch, const void *items, size_t count)
{
	return chan_try_many(ch, STINT_SEND, (void *)items, count);
}

int
stint_chan_try_recv_many(struct stint_chan *ch, void *ret_items, size_t count)
{
	return chan_try_many(ch, STINT_RECV, ret_items, count);
}

/* Until @spin says that it is enough: then -EAGAIN. */
static int
try_awake(struct stint_ctx *ctx, struct stint_case *one, struct spin *spin)
{
	while (spin_again(spin, RING_GAP_NS)) {
		int r;

		if (!chan_is_ready(one->ch, one->op))
			continue;
		/* It may have ended since the call; an item that was sent after that is
		 * not for this one. */
		r = stint_ctx_err(ctx);
		if (r == 0)
			r = chan_try(one->ch, one->op, one->item);
		if (r != -EAGAIN)
			return r;
	}
	return -EAGAIN;
}

static int
wait_for_one(struct stint_ctx *ctx, struct stint_case *one)
{
	struct spin spin = {0};
	int r;

	if (stint_chan_cap(one->ch) > 0)
		r = try_awake(ctx, one, &spin);
	else
		r = chan_meet(ctx, one->ch, one->op, one->item, &spin);
	if (r != -EAGAIN) {
		spin_end_awake(&spin);
		return r;
	}
	spin_begin(&spin); /* there may have been nothing to look at */
	r = select_wait(ctx, one, 1, false);
	spin_end(&spin);
	return r < 0 ? r : one->result;
}

/* One send or receive, waiting. */
static int
do_one(struct stint_ctx *ctx, struct stint_chan *ch, enum stint_case_op op, void *item)
{
	struct stint_case one = {.op = op, .ch = ch, .item = item};
	int r = stint_ctx_err(ctx);

	if (r < 0)
		return r;
	r = chan_try(ch, op, item);
	if (r != -EAGAIN)
		return r;
	if (ch)
		return wait_for_one(ctx, &one);
	r = select_wait(ctx, &one, 1, true);
	return r < 0 ? r : one.result;
}

int
stint_chan_send(struct stint_ctx *ctx, struct stint_chan *ch, const void *item)
{
	return do_one(ctx, ch, STINT_SEND, (void *)item); /* only read from */
}

int
stint_chan_recv(struct stint_ctx *ctx, struct stint_chan *ch, void *ret_item)
{
	return do_one(ctx, ch, STINT_RECV, ret_item);
}
