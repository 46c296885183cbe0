/*
 * test_select.c - select: what is ready, what blocks, what is fair
 */
#include "tests/unit/conc_util.h"

static struct stint_case
case_send(struct stint_chan *ch, int *item)
{
	return (struct stint_case){.op = STINT_SEND, .ch = ch, .item = item, .result = 1};
}

static struct stint_case
case_recv(struct stint_chan *ch, int *ret_item)
{
	return (struct stint_case){
		.op = STINT_RECV, .ch = ch, .item = ret_item, .result = 1};
}

static void
which_operations_are_ready(void **state)
{
	struct stint_chan *none = NULL, *meet = new_chan(sizeof(int), 0);
	struct stint_chan *empty = new_chan(sizeof(int), 1),
			  *full = new_chan(sizeof(int), 1);
	struct stint_chan *shut = new_chan(sizeof(int), 1),
			  *left = new_chan(sizeof(int), 1);
	int item = 4;
	const struct {
		struct stint_chan *ch;
		enum stint_case_op op;
		int want, want_result;
	} rows[] = {
		{none, STINT_SEND, -EAGAIN, 1},
		{none, STINT_RECV, -EAGAIN, 1},
		{meet, STINT_SEND, -EAGAIN, 1},
		{meet, STINT_RECV, -EAGAIN, 1},
		{empty, STINT_RECV, -EAGAIN, 1},
		{full, STINT_SEND, -EAGAIN, 1},
		{empty, STINT_SEND, 0, 0},
		{full, STINT_RECV, 0, 0},
		{shut, STINT_SEND, 0, -EPIPE},
		{shut, STINT_RECV, 0, -EPIPE},
		{left, STINT_SEND, 0, -EPIPE},
		{left, STINT_RECV, 0, 0},
	};

	(void)state;
	assert_int_equal(stint_chan_try_send(full, &item), 0);
	assert_int_equal(stint_chan_try_send(left, &item), 0);
	stint_chan_close(shut);
	stint_chan_close(left);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct stint_case one = {rows[i].op, rows[i].ch, &item, 1};

		assert_int_equal(stint_try_select(&one, 1), rows[i].want);
		assert_int_equal(one.result, rows[i].want_result);
	}
	stint_chan_free(meet);
	stint_chan_free(empty);
	stint_chan_free(full);
	stint_chan_free(shut);
	stint_chan_free(left);
}

static void
select_of_nothing_waits_for_the_context(void **state)
{
	struct stint_ctx *ctx;
	struct stint_case never[2] = {case_recv(NULL, NULL), case_send(NULL, NULL)};

	(void)state;
	assert_int_equal(stint_try_select(NULL, 0), -EAGAIN);
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 10, &ctx), 0);
	assert_int_equal(stint_select(ctx, NULL, 0), -ETIMEDOUT);
	assert_int_equal(stint_select(ctx, never, 2), -ETIMEDOUT);
	stint_ctx_free(ctx);
}

static void
ended_context_wins_over_ready_cases(void **state)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	int item = 0;
	struct stint_case one = case_send(ch, &item);

	(void)state;
	stint_ctx_cancel(ctx);
	assert_int_equal(stint_select(ctx, &one, 1), -ECANCELED);
	assert_int_equal(stint_chan_len(ch), 0);
	stint_chan_free(ch);
	stint_ctx_free(ctx);
}

/* Which of two ready ones, how often. The bounds are far from what chance does. */
static void
ready_cases_have_the_same_chance(void **state)
{
	enum { CASES = 5, ROUNDS = 5000, FEWEST = ROUNDS / CASES / 2 };
	struct stint_chan *ch[CASES];
	struct stint_case cases[2 * CASES];
	int count[CASES] = {0}, item = 0;

	(void)state;
	/* Never-ready ones lie between them: they must not give weight to others. */
	for (int i = 0; i < CASES; i++) {
		ch[i] = new_chan(sizeof(int), 1);
		assert_int_equal(stint_chan_try_send(ch[i], &item), 0);
		cases[i] = case_recv(ch[i], &item);
		cases[CASES + i] = case_recv(NULL, &item);
	}
	for (int round = 0; round < ROUNDS; round++) {
		int i = stint_select(BACKGROUND, cases, 2 * CASES);

		assert_in_range(i, 0, CASES - 1);
		count[i]++;
		assert_int_equal(stint_chan_try_send(ch[i], &item), 0);
	}
	for (int i = 0; i < CASES; i++) {
		assert_true(count[i] > FEWEST);
		stint_chan_free(ch[i]);
	}
}

static void
random_bits_by_sending_either_of_two(void **state)
{
	enum { ROUNDS = 2000 };
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	int zero = 0, one = 1, bit, count[2] = {0};
	struct stint_case cases[] = {case_send(ch, &zero), case_send(ch, &one)};

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		int chosen = stint_select(BACKGROUND, cases, 2);

		assert_int_equal(stint_chan_recv(BACKGROUND, ch, &bit), 0);
		assert_int_equal(bit, chosen);
		count[bit]++;
	}
	assert_true(count[0] > ROUNDS / 4 && count[1] > ROUNDS / 4);
	stint_chan_free(ch);
}

/* ---- waiting ---- */

enum { SELECT_CASES = 40 }; /* more than fit on the stack */

struct waiting_select {
	struct stint_ctx *ctx;
	struct stint_case cases[SELECT_CASES];
	size_t count;
	int chosen;
};

static void
run_select(void *arg)
{
	struct waiting_select *s = arg;

	s->chosen = stint_select(s->ctx, s->cases, s->count);
}

static void
waits_for_many_and_takes_the_one_that_comes(void **state)
{
	struct stint_chan *ch[SELECT_CASES];
	static int items[SELECT_CASES];

	(void)state;
	for (size_t i = 0; i < SELECT_CASES; i++)
		ch[i] = new_chan(sizeof(int), i % 2);
	for (int want = 0; want < SELECT_CASES; want += 13) {
		struct waiting_select s = {.ctx = BACKGROUND, .count = SELECT_CASES};
		struct task task;
		int item = want * 10;

		for (int i = 0; i < SELECT_CASES; i++)
			s.cases[i] = case_recv(ch[i], &items[i]);
		task_start(&task, run_select, &s);
		wait_until(task_sleeps(&task));
		assert_int_equal(stint_chan_send(BACKGROUND, ch[want], &item), 0);
		task_join(&task);
		assert_int_equal(s.chosen, want);
		assert_int_equal(s.cases[want].result, 0);
		assert_int_equal(items[want], want * 10);
	}
	/* It has left all queues: nobody takes what is sent now. */
	for (int i = 0; i < SELECT_CASES; i++) {
		assert_int_equal(stint_chan_try_send(ch[i], &i), i % 2 ? 0 : -EAGAIN);
		stint_chan_free(ch[i]);
	}
}

static void
waiting_send_is_done_by_a_receiver(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 2; cap++) {
		struct stint_chan *full = new_chan(sizeof(int), cap),
				  *idle = new_chan(4, 0);
		struct waiting_select s = {.ctx = BACKGROUND, .count = 2};
		int item = 8, got = 0;
		struct task task;

		if (cap)
			assert_int_equal(stint_chan_try_send(full, &item), 0);
		item = 9;
		s.cases[0] = case_recv(idle, &got);
		s.cases[1] = case_send(full, &item);
		task_start(&task, run_select, &s);
		wait_until(task_sleeps(&task));
		if (cap)
			assert_int_equal(stint_chan_recv(BACKGROUND, full, &got), 0);
		assert_int_equal(stint_chan_recv(BACKGROUND, full, &got), 0);
		assert_int_equal(got, 9);
		task_join(&task);
		assert_int_equal(s.chosen, 1);
		assert_int_equal(s.cases[1].result, 0);
		stint_chan_free(full);
		stint_chan_free(idle);
	}
}

static void
close_chooses_its_case(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct stint_chan *a = new_chan(sizeof(int), 0),
				  *b = new_chan(sizeof(int), 0);
		struct waiting_select s = {.ctx = BACKGROUND, .count = 2};
		struct task task;
		int item = 0;

		s.cases[0] = case_recv(a, &item);
		s.cases[1] = side ? case_recv(b, &item) : case_send(b, &item);
		task_start(&task, run_select, &s);
		wait_until(task_sleeps(&task));
		assert_int_equal(stint_chan_close(b), 0);
		task_join(&task);
		assert_int_equal(s.chosen, 1);
		assert_int_equal(s.cases[1].result, -EPIPE);
		stint_chan_free(a);
		stint_chan_free(b);
	}
}

static void
own_wishes_do_not_meet_each_other(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 0);
	struct waiting_select s = {.ctx = new_ctx(BACKGROUND), .count = 3};
	struct task task;
	int out = 1, in = 0;

	(void)state;
	s.cases[0] = case_send(ch, &out);
	s.cases[1] = case_recv(ch, &in);
	s.cases[2] = case_recv(ch, &in);
	task_start(&task, run_select, &s);
	wait_until(task_sleeps(&task));
	stint_ctx_cancel(s.ctx);
	task_join(&task);
	assert_int_equal(s.chosen, -ECANCELED);
	assert_int_equal(in, 0);
	stint_ctx_free(s.ctx);
	stint_chan_free(ch);
}

static void
two_selects_meet_on_channels_that_they_share(void **state)
{
	enum { ROUNDS = 300 };
	struct stint_chan *a = new_chan(sizeof(int), 0), *b = new_chan(sizeof(int), 0);

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct waiting_select one = {.ctx = BACKGROUND, .count = 2}, two = one;
		int one_out = 1, one_in = 0, two_out = 2, two_in = 0;
		struct task task;

		/* crosswise: whichever channel it is, one sends and one receives */
		one.cases[0] = case_send(a, &one_out);
		one.cases[1] = case_recv(b, &one_in);
		two.cases[0] = case_send(b, &two_out);
		two.cases[1] = case_recv(a, &two_in);
		task_start(&task, run_select, &one);
		run_select(&two);
		task_join(&task);
		assert_int_equal(one.chosen + two.chosen, 1);
		assert_int_equal(one_in, one.chosen == 1 ? 2 : 0);
		assert_int_equal(two_in, two.chosen == 1 ? 1 : 0);
	}
	stint_chan_free(a);
	stint_chan_free(b);
}

struct racer {
	struct stint_chan *ch;
	pthread_barrier_t *start;
	bool closes;
};

static void
race_to_send_or_close(void *arg)
{
	struct racer *r = arg;
	int item = 1;

	pthread_barrier_wait(r->start);
	if (r->closes)
		stint_chan_close(r->ch);
	else if (stint_chan_try_send(r->ch, &item) < 0)
		abort();
}

/* One of two channels is ready before the other thread looks at them: it must
 * find one, though the other one changes at that moment. */
static void
try_select_never_misses_what_was_ready_before(void **state)
{
	enum { ROUNDS = 300 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct stint_chan *a = new_chan(sizeof(int), 1),
				  *b = new_chan(sizeof(int), 1);
		struct stint_case cases[] = {case_recv(a, NULL), case_recv(b, NULL)};
		pthread_barrier_t start;
		struct racer racer = {a, &start, round % 2};
		struct task task;
		int item = 1;

		pthread_barrier_init(&start, NULL, 2);
		task_start(&task, race_to_send_or_close, &racer);
		assert_int_equal(stint_chan_try_send(b, &item), 0);
		pthread_barrier_wait(&start);
		assert_in_range(stint_try_select(cases, 2), 0, 1);
		task_join(&task);
		pthread_barrier_destroy(&start);
		stint_chan_free(a);
		stint_chan_free(b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_operations_are_ready),
		cmocka_unit_test(select_of_nothing_waits_for_the_context),
		cmocka_unit_test(ended_context_wins_over_ready_cases),
		cmocka_unit_test(ready_cases_have_the_same_chance),
		cmocka_unit_test(random_bits_by_sending_either_of_two),
		cmocka_unit_test(waits_for_many_and_takes_the_one_that_comes),
		cmocka_unit_test(waiting_send_is_done_by_a_receiver),
		cmocka_unit_test(close_chooses_its_case),
		cmocka_unit_test(own_wishes_do_not_meet_each_other),
		cmocka_unit_test(two_selects_meet_on_channels_that_they_share),
		cmocka_unit_test(try_select_never_misses_what_was_ready_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
