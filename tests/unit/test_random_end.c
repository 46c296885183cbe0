/*
 * test_random_end.c - a wait ended at a random moment is either done or has not begun
 *
 * Channels, wait groups and tasks; the rest is in test_random_end_group.c. Each call is
 * made two thousand times, while one thread ends its context, or a deadline passes, and
 * another one does what it waits for. Whichever is first: the result says it truly, and
 * nothing is lost or left.
 */
#include "tests/unit/rival_util.h"

/* ---- send, receive, select ---- */

enum { OWN_ITEM = 7, RIVAL_ITEM = 8, OLD_ITEM = 9 };

struct trade {
	struct stint_chan *ch, *back;
	int received[2], received_count; /* by the rival, from ch */
	bool has_sent;                   /* the rival, into ch, or into back */
};

static void
receive_one(void *arg)
{
	struct trade *trade = arg;
	int *room = &trade->received[trade->received_count];

	if (stint_chan_try_recv(trade->ch, room) == 0)
		trade->received_count++;
}

static void
send_one(void *arg)
{
	struct trade *trade = arg;
	int item = RIVAL_ITEM;

	trade->has_sent = stint_chan_try_send(trade->ch, &item) == 0;
}

static void
send_or_item_is_still_the_senders(void **state)
{
	struct tally tally[2] = {0};

	(void)state;
	for (int i = 0; i < test_rounds(2 * ROUNDS); i++) {
		size_t cap = (size_t)i / 4 % 2;
		struct trade trade = {.ch = new_chan(sizeof(int), cap)};
		int old = OLD_ITEM, own = OWN_ITEM, left;
		struct round round;
		bool is_done;

		if (cap > 0)
			assert_int_equal(stint_chan_try_send(trade.ch, &old), 0);
		round = begin_round(i, receive_one, &trade);
		is_done = end_round(&round, stint_chan_send(round.ctx, trade.ch, &own));
		count(&tally[cap], is_done);
		while (stint_chan_try_recv(trade.ch, &left) == 0)
			trade.received[trade.received_count++] = left;
		assert_int_equal(trade.received_count, (int)cap + is_done);
		if (cap > 0)
			assert_int_equal(trade.received[0], OLD_ITEM);
		if (is_done)
			assert_int_equal(trade.received[cap], OWN_ITEM);
		stint_chan_free(trade.ch);
	}
	check_tally(&tally[0]);
	check_tally(&tally[1]);
}

static void
received_item_or_it_is_still_there(void **state)
{
	struct tally tally[2] = {0};

	(void)state;
	for (int i = 0; i < test_rounds(2 * ROUNDS); i++) {
		size_t cap = (size_t)i / 4 % 2;
		struct trade trade = {.ch = new_chan(sizeof(int), cap)};
		struct round round = begin_round(i, send_one, &trade);
		int item = 0, left;
		bool is_done =
			end_round(&round, stint_chan_recv(round.ctx, trade.ch, &item));

		count(&tally[cap], is_done);
		left = (int)stint_chan_len(trade.ch);
		assert_int_equal(is_done + left, trade.has_sent);
		assert_int_equal(item, is_done ? RIVAL_ITEM : 0);
		stint_chan_free(trade.ch);
	}
	check_tally(&tally[0]);
	check_tally(&tally[1]);
}

/* A receive from one, or a send into the other, or neither; never both. */
static void
meet_both(void *arg)
{
	struct trade *trade = arg;
	int item = RIVAL_ITEM;

	trade->has_sent = stint_chan_try_send(trade->back, &item) == 0;
	receive_one(trade);
}

static void
select_does_one_case_or_none(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < test_rounds(2 * ROUNDS); i++) {
		size_t cap = (size_t)i / 4 % 2;
		struct trade trade = {.ch = new_chan(sizeof(int), cap),
			.back = new_chan(sizeof(int), cap)};
		int old = OLD_ITEM, own = OWN_ITEM, item = 0, into = 0, r;
		struct stint_case cases[] = {
			{STINT_SEND, trade.ch, &own, 1},
			{STINT_RECV, trade.back, &item, 1},
		};
		struct round round;

		if (cap > 0)
			assert_int_equal(stint_chan_try_send(trade.ch, &old), 0);
		round = begin_round(i, meet_both, &trade);
		r = i / 8 % 2 ? stint_select(round.ctx, cases, 2)
			      : stint_select_for(round.ctx, WAIT_AT_MOST_MS, cases, 2);
		count(&tally, end_round(&round, r < 0 ? r : 0));
		if (r >= 0)
			assert_int_equal(cases[r].result, 0);
		into = trade.received_count + (int)stint_chan_len(trade.ch) - (int)cap;
		assert_int_equal(into, r == 0);
		assert_int_equal(
			(int)stint_chan_len(trade.back) + (r == 1), trade.has_sent);
		assert_int_equal(item, r == 1 ? RIVAL_ITEM : 0);
		stint_chan_free(trade.ch);
		stint_chan_free(trade.back);
	}
	check_tally(&tally);
}

/* ---- waiting for the end of something ---- */

static void
count_down(void *arg)
{
	stint_wg_done(arg);
}

static void
wg_wait_ends_and_the_count_goes_on(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < test_rounds(ROUNDS); i++) {
		struct stint_wg *wg;
		struct round round;

		assert_int_equal(stint_wg_new(&wg), 0);
		assert_int_equal(stint_wg_add(wg, 1), 0);
		round = begin_round(i, count_down, wg);
		count(&tally, end_round(&round, stint_wg_wait(round.ctx, wg)));
		assert_int_equal(stint_wg_wait(BACKGROUND, wg), 0);
		stint_wg_free(wg);
	}
	check_tally(&tally);
}

static void
join_ends_and_the_task_goes_on(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < test_rounds(ROUNDS); i++) {
		struct stint_chan *gate = new_chan(0, 0);
		struct stint_err result = {0};
		struct stint_task *task;
		struct round round;
		bool is_done;

		assert_int_equal(
			stint_task_start(BACKGROUND, "t", wait_and_fail, gate, &task), 0);
		round = begin_round(i, open_gate, gate);
		is_done = end_round(&round, stint_task_join(round.ctx, task, &result));
		count(&tally, is_done);
		if (!is_done) {
			assert_int_equal(result.code, 0);
			assert_int_equal(stint_task_join(BACKGROUND, task, &result), 0);
		}
		assert_int_equal(result.code, -EXDEV);
		stint_chan_free(gate);
	}
	check_tally(&tally);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(send_or_item_is_still_the_senders),
		cmocka_unit_test(received_item_or_it_is_still_there),
		cmocka_unit_test(select_does_one_case_or_none),
		cmocka_unit_test(wg_wait_ends_and_the_count_goes_on),
		cmocka_unit_test(join_ends_and_the_task_goes_on),
	};

	return cmocka_run_group_tests(tests, hire_rivals, dismiss_rivals);
}
