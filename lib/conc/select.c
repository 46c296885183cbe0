/*
 * select.c - waiting on channels
 *
 * Channels are locked one at a time, never two at once, so there is no order of
 * locks to keep. The price is that nothing seen in one channel is certain while
 * the next one is looked at; so waiting is a loop:
 *
 *	try: what is ready? do it
 *	from now on the context's end claims the waiter
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void
select_describe_case(const struct stint_case *c, char *text, size_t size)
{
	const char *verb = c->op == STINT_SEND ? "send on" : "recv on";
	char name[TRACK_TEXT_BYTES];

	if (!c->ch)
		snprintf(text, size, "%s no channel (NULL)", verb);
	else
		snprintf(text, size, "%s %s (%zu of %zu)", verb,
			track_text(chan_track(c->ch), name), stint_chan_len(c->ch),
			stint_chan_cap(c->ch));
}

/* For the deadlock report; cut where the text is full. */
static void
select_describe(const struct sleep_on *on, char *text, size_t size)
{
	const struct stint_case *cases = on->what;
	size_t used = 0;

	if (on->count != 1)
		snprintf(text, size, "select of %zu", on->count);
	for (size_t i = 0; i < on->count; i++) {
		used = strlen(text);
		if (on->count > 1)
			snprintf(text + used, size - used, "%s", i == 0 ? ": " : ", ");
		used = strlen(text);
		select_describe_case(&cases[i], text + used, size - used);
	}
}

/* Wait once: an index, -EAGAIN to try again, or how the context ended. */
static int
select_park(struct stint_ctx *ctx, struct stint_case *cases, struct chan_wait *waits,
	size_t count, bool is_eager)
{
	const struct sleep_on on = {
		.describe = select_describe,
		.what = cases,
		.count = count,
	};
	struct chan_wait *won;
	struct waiter w;
	size_t entered;
	int r;

	waiter_init(&w);
	w.is_eager = is_eager;
	r = ctx_watch(ctx, &w);
	if (r < 0)
		return r;
	entered = select_enter(cases, waits, count, &w);
	if (entered == count) {
		r = ctx_park_watched(ctx, &w, &on);
	} else {
		r = waiter_withdraw(&w) ? -EAGAIN : w.ended;
		ctx_unwatch(ctx, &w);
	}
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
	size_t count, bool is_eager)
{
	for (;;) {
		int r = select_park(ctx, cases, waits, count, is_eager);

		if (r == -EAGAIN)
			r = select_now(ctx, cases, count);
		if (r != -EAGAIN)
			return r;
	}
}

int
select_wait(struct stint_ctx *ctx, struct stint_case *cases, size_t count, bool is_eager)
{
	struct chan_wait on_stack[SELECT_ON_STACK];
	cleanup(freep) struct chan_wait *on_heap = NULL;

	if (count > SELECT_ON_STACK) {
		on_heap = calloc(count, sizeof(*on_heap));
		if (!on_heap)
			return -ENOMEM;
	}
	return select_loop(ctx, cases, on_heap ? on_heap : on_stack, count, is_eager);
}

int
stint_select(struct stint_ctx *ctx, struct stint_case *cases, size_t count)
{
	int r = select_now(ctx, cases, count);

	return r == -EAGAIN ? select_wait(ctx, cases, count, true) : r;
}

int
stint_select_for(
	struct stint_ctx *ctx, int64_t timeout_ms, struct stint_case *cases, size_t count)
{
	struct stint_ctx *limited;
	int r = select_now(ctx, cases, count), end;

	if (r != -EAGAIN || timeout_ms <= 0)
		return r;
	r = stint_ctx_with_timeout_at(ctx, timeout_ms, &limited, NULL);
	if (r < 0)
		return r;
	r = select_wait(limited, cases, count, true);
	stint_ctx_free(limited);
	if (r != -ETIMEDOUT)
		return r;
	/* Is that its own end, or one from above? When the time was up, too, it does not
	 * tell how that one ended. */
	end = stint_ctx_err(ctx);
	return end < 0 ? end : -EAGAIN;
}
