/*
 * rival_util.h - a wait, and two rivals who end it: one by what it waits for, one by the
 * end of its context, both after a random delay around the time that the call takes
 *
 *	round = begin_round(i, send_one, &trade);
 *	is_done = end_round(&round, stint_chan_recv(round.ctx, trade.ch, &item));
 *	count(&tally, is_done);
 *	... what has been done, and nothing else, can be seen now ...
 */
#ifndef TESTS_RIVAL_UTIL_H
#define TESTS_RIVAL_UTIL_H

#include "tests/unit/task_util.h"

enum { ROUNDS = 2000, DELAY_MAX_NS = 60000, TIMED_MAX_NS = 2000000 };

static inline int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- two threads that interfere, for the whole program ---- */

struct rival {
	struct stint_chan *orders, *reports; /* of struct order; of nothing */
	struct task task;
};

/* What to do at which time: any of the three, in this order. */
struct order {
	struct stint_ctx *cancelled_before;
	void (*fn)(void *arg);
	void *arg;
	struct stint_ctx *cancelled_after;
	int64_t at_ns;
};

static struct rival rivals[2];
static uint64_t seed;

static inline void
rival_main(void *arg)
{
	struct rival *rival = arg;
	struct order order;
	int r;

	STINT_CHAN_EACH (BACKGROUND, rival->orders, &order, r) {
		while (now_ns() < order.at_ns)
			;
		if (order.cancelled_before)
			stint_ctx_cancel(order.cancelled_before);
		if (order.fn)
			order.fn(order.arg);
		if (order.cancelled_after)
			stint_ctx_cancel(order.cancelled_after);
		if (stint_chan_send(BACKGROUND, rival->reports, NULL) < 0)
			abort();
	}
}

static inline int
hire_rivals(void **state)
{
	(void)state;
	seed = (uint64_t)now_ns();
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 2; i++) {
		rivals[i].orders = new_chan(sizeof(struct order), 0);
		rivals[i].reports = new_chan(0, 1);
		task_start(&rivals[i].task, rival_main, &rivals[i]);
	}
	before_test = in_process_now();
	stint_leak_watch();
	return 0;
}

static inline int
dismiss_rivals(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		stint_chan_close(rivals[i].orders);
		task_join(&rivals[i].task);
		stint_chan_free(rivals[i].orders);
		stint_chan_free(rivals[i].reports);
	}
	return 0;
}

/* ---- one wait ---- */

struct round {
	int number;
	int end; /* how the context ends, if it is first */
	struct stint_ctx *ctx;
};

static inline void
give_order(struct rival *rival, struct order order)
{
	assert_int_equal(stint_chan_send(BACKGROUND, rival->orders, &order), 0);
}

/* Any size of delay is as likely, from nothing up to @most_ns or so: what goes wrong does
 * so within a few instructions, at the begin of a wait or of its end. */
static inline int64_t
some_ns(int64_t most_ns)
{
	uint32_t shift = random_next(&seed) % 16;

	return random_next(&seed) % (most_ns >> shift);
}

/* From now on: @fn, which is what is waited for, and the end of the context. Of four
 * rounds one ends by its deadline, which is as far away as a millisecond is, one by the
 * second rival, and two by the first, just before or after @fn. */
static inline struct round
begin_round(int number, void (*fn)(void *arg), void *arg)
{
	enum { TO_START_NS = 4000 };
	bool is_timed = number % 4 == 3, has_two = number % 4 == 2;
	struct round round = {
		.number = number, .end = is_timed ? -ETIMEDOUT : -ECANCELED};
	int64_t start_ns = now_ns() + TO_START_NS;
	struct order order = {.fn = fn, .arg = arg, .at_ns = start_ns};

	round.ctx =
		new_ctx_until(BACKGROUND, is_timed ? stint_now_ms() + 1 : STINT_NEVER);
	order.at_ns += some_ns(is_timed ? TIMED_MAX_NS : DELAY_MAX_NS);
	if (!is_timed && !has_two) {
		if (random_next(&seed) % 2)
			order.cancelled_before = round.ctx;
		else
			order.cancelled_after = round.ctx;
	}
	give_order(&rivals[0], order);
	if (has_two)
		give_order(
			&rivals[1], (struct order){.cancelled_after = round.ctx,
					    .at_ns = start_ns + some_ns(DELAY_MAX_NS)});
	while (now_ns() < start_ns)
		;
	return round;
}

/* Both are through; @r is what the call has said. True when it was done. */
static inline bool
end_round(struct round *round, int r)
{
	assert_int_equal(stint_chan_recv(BACKGROUND, rivals[0].reports, NULL), 0);
	if (round->number % 4 == 2)
		assert_int_equal(stint_chan_recv(BACKGROUND, rivals[1].reports, NULL), 0);
	if (r != 0) {
		assert_int_equal(r, round->end);
		assert_int_equal(stint_ctx_err(round->ctx), round->end);
	}
	stint_ctx_free(round->ctx);
	return r == 0;
}

/* Both ways must have been gone, or the rounds have shown nothing. */
struct tally {
	int done, ended;
};

static inline void
count(struct tally *tally, bool is_done)
{
	if (is_done)
		tally->done++;
	else
		tally->ended++;
}

static inline void
check_tally(const struct tally *tally)
{
	print_message("done %d, ended %d\n", tally->done, tally->ended);
	if (test_rounds(ROUNDS) < ROUNDS)
		return;
	assert_true(tally->done > 0);
	assert_true(tally->ended > 0);
}

/* ---- what waits for a gate ---- */

static inline void
open_gate(void *arg)
{
	stint_chan_close(arg);
}

/* Waits for the gate, and fails then, so that there is a result to lose. */
static inline int
wait_and_fail(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	int r = sleep_until_closed(ctx, arg, err);

	return r < 0 ? r : stint_err_set(err, -EXDEV, "at the gate");
}

#endif
