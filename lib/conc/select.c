/*
 * select.c - waiting on channels: select, and the plain send and receive
 *
 * Channels are locked one at a time, never two at once, so there is no order of
 * locks to keep. The price is that nothing seen in one channel is certain while
 * the next one is looked at; so waiting is a loop:
 *
 *	try: what is ready? do it
 *	enter the queue of each channel; one is ready by now: withdraw, try again
 *	park; whoever claims the waiter decides which case it is
 *	leave the queues
 *
 * Being claimed is what makes a choice final. A send that is done and an item that
 * is received without a ring are done by the claimer. A receiver that is called
 * goes and looks, and when others were faster, the loop goes round.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include "lib/base/cleanup.h"
#include "lib/base/random.h"
#include "lib/conc/chan.h"
#include "lib/conc/ctx.h"

/* More cases than this are waited for with memory from the heap. */
enum { SELECT_ON_STACK = 16 };

/* Each thread has its own state, so that fairness costs no shared cache line. */
static uint64_t
select_random(void)
{
	static _Thread_local uint64_t state;

	if (state == 0)
		state = (uint64_t)stint_now_us() ^ (uint64_t)(uintptr_t)&state;
	return random_next(&state);
}

int
stint_try_select(struct stint_case *cases, size_t count)
{
	for (;;) {
		size_t ready_count = 0, pick = 0;
		int r;

		/* The n-th ready case replaces the choice with a chance of 1/n: in
		 * the end all have had the same. */
		for (size_t i = 0; i < count; i++)
			if (chan_is_ready(cases[i].ch, cases[i].op) &&
				select_random() % ++ready_count == 0)
				pick = i;
		if (ready_count == 0)
			return -EAGAIN;
		r = chan_try(cases[pick].ch, cases[pick].op, cases[pick].item);
		/* Else someone was faster, and the others may be ready still. */
		if (r != -EAGAIN) {
			cases[pick].result = r;
			return (int)pick;
		}
	}
}

static int
select_now(struct stint_ctx *ctx, struct stint_case *cases, size_t count)
{
	int r = stint_ctx_err(ctx);

	return r < 0 ? r : stint_try_select(cases, count);
}

/* Enter the queues; stops at a case that is ready. Returns how many were entered. */
static size_t
select_enter(const struct stint_case *cases, struct chan_wait *waits, size_t count,
	struct waiter *w)
{
	for (size_t i = 0; i < count; i++) {
		waits[i] = (struct chan_wait){
			.waiter = w,
			.ch = cases[i].ch,
			.op = cases[i].op,
			.item = cases[i].item,
		};
		if (chan_enter(&waits[i]))
			return i;
	}
	return count;
}

/* Wait once: an index, -EAGAIN to try again, or how the context ended. */
static int
select_wait(struct stint_ctx *ctx, struct stint_case *cases, struct chan_wait *waits,
	size_t count)
{
	struct chan_wait *won;
	struct waiter w;
	size_t entered;
	int r;

	waiter_init(&w);
	entered = select_enter(cases, waits, count, &w);
	if (entered == count)
		r = ctx_park(ctx, &w);
	else
		r = waiter_withdraw(&w) ? -EAGAIN : 0;
	won = w.won;
	for (size_t i = 0; i < entered; i++)
		if (&waits[i] != won) /* whoever claimed it took that one out */
			chan_leave(&waits[i]);
	if (r < 0)
		return r;
	r = w.result;
	/* The context may have ended since the call, which it wins over: without this
	 * one could see it cancelled, send, and yet have the item taken with it. */
	if (r == -EAGAIN)
		r = chan_answer_call(won, stint_ctx_err(ctx) == 0);
	if (r == -EAGAIN)
		return r;
	cases[won - waits].result = r;
	return (int)(won - waits);
}

static int
select_loop(struct stint_ctx *ctx, struct stint_case *cases, struct chan_wait *waits,
	size_t count)
{
	for (;;) {
		int r = select_wait(ctx, cases, waits, count);

		if (r == -EAGAIN)
			r = select_now(ctx, cases, count);
		if (r != -EAGAIN)
			return r;
	}
}

int
stint_select(struct stint_ctx *ctx, struct stint_case *cases, size_t count)
{
	struct chan_wait on_stack[SELECT_ON_STACK];
	cleanup(freep) struct chan_wait *on_heap = NULL;
	int r = select_now(ctx, cases, count);

	if (r != -EAGAIN)
		return r;
	if (count > SELECT_ON_STACK) {
		on_heap = calloc(count, sizeof(*on_heap));
		if (!on_heap)
			return -ENOMEM;
	}
	return select_loop(ctx, cases, on_heap ? on_heap : on_stack, count);
}

/* One send or receive, waiting. */
static int
select_one(
	struct stint_ctx *ctx, struct stint_chan *ch, enum stint_case_op op, void *item)
{
	struct stint_case one = {.op = op, .ch = ch, .item = item};
	struct chan_wait wait;
	int r = stint_ctx_err(ctx);

	if (r < 0)
		return r;
	r = chan_try(ch, op, item);
	if (r != -EAGAIN)
		return r;
	r = select_loop(ctx, &one, &wait, 1);
	return r < 0 ? r : one.result;
}

int
stint_chan_send(struct stint_ctx *ctx, struct stint_chan *ch, const void *item)
{
	return select_one(ctx, ch, STINT_SEND, (void *)item); /* only read from */
}

int
stint_chan_recv(struct stint_ctx *ctx, struct stint_chan *ch, void *ret_item)
{
	return select_one(ctx, ch, STINT_RECV, ret_item);
}
