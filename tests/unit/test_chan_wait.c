/*
 * test_chan_wait.c - channels: what waiting costs, how long it lasts, and who may be
 * still inside when it is over
 */
#include "tests/unit/conc_util.h"

#include <sched.h>

static int64_t
thread_cpu_us(pthread_t thread)
{
	struct timespec ts;
	clockid_t id;

	assert_int_equal(pthread_getcpuclockid(thread, &id), 0);
	assert_int_equal(clock_gettime(id, &ts), 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- the processor ---- */

/* What a sleep and a wake-up may cost; some tools make all slow. */
#if defined(__SANITIZE_THREAD__) || defined(STINT_VALGRIND)
enum { WAIT_COST_US = 300 };
#else
enum { WAIT_COST_US = 30 };
#endif

static void
recv_until_closed(void *arg)
{
	struct op *op = arg;

	STINT_CHAN_EACH (op->ctx, op->ch, &op->item, op->result)
		continue;
}

static void
select_until_closed(void *arg)
{
	struct op *op = arg;
	struct stint_case cases[] = {
		{STINT_RECV, op->ch, &op->item, 0},
		{STINT_RECV, NULL, NULL, 0},
	};

	while (stint_select(op->ctx, cases, 2) == 0 && cases[0].result == 0)
		continue;
}

static int
compare_us(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

	return (one > other) - (one < other);
}

/* What an item costs its receiver when items come 2 ms apart: one of the cheapest, for a
 * thread is often charged with what the machine did meanwhile. */
static int64_t
cost_of_waiting_us(void (*wait)(void *), size_t cap)
{
	enum { ITEMS = 60, APART_US = 2000, FIRST = 20 };
	struct op op = {.ctx = BACKGROUND, .ch = new_chan(sizeof(int), cap)};
	int64_t cpu_us[ITEMS], before_us = 0;
	struct task task;

	task_start(&task, wait, &op);
	for (int item = 0; item < ITEMS; item++) {
		wait_until(task_sleeps(&task));
		cpu_us[item] = thread_cpu_us(task.thread) - before_us;
		before_us += cpu_us[item];
		assert_int_equal(stint_chan_send(BACKGROUND, op.ch, &item), 0);
		usleep(APART_US);
	}
	stint_chan_close(op.ch);
	task_join(&task);
	stint_chan_free(op.ch);
	/* before that it has yet to learn how long its waits are */
	qsort(cpu_us + FIRST, ITEMS - FIRST, sizeof(*cpu_us), compare_us);
	return cpu_us[FIRST + (ITEMS - FIRST) / 10];
}

/* Who waits for something that comes seldom sleeps, from the first moment on. */
static void
waiting_costs_no_processor(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 2; cap++) {
		assert_in_range(
			cost_of_waiting_us(recv_until_closed, cap), 0, WAIT_COST_US);
		assert_in_range(
			cost_of_waiting_us(select_until_closed, cap), 0, WAIT_COST_US);
	}
}

/* With one processor nothing comes while one looks for it. */
static void
threads_on_one_processor_take_turns(void **state)
{
	enum { ITEMS = 2000 };
	cpu_set_t all, one;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	for (size_t cpu = 0; CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	for (size_t cap = 0; cap < 3; cap++) {
		struct stint_chan *ch = new_chan(sizeof(int), cap);
		struct op op = {.ctx = BACKGROUND, .ch = ch};
		struct task task;

		task_start(&task, recv_until_closed, &op);
		for (int item = 1; item <= ITEMS; item++)
			assert_int_equal(stint_chan_send(BACKGROUND, ch, &item), 0);
		stint_chan_close(ch);
		task_join(&task);
		assert_int_equal(op.item, ITEMS);
		stint_chan_free(ch);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

/* ---- time ---- */

static void
select_for_ends_when_time_is_up(void **state)
{
	enum { TIMEOUT_MS = 20 };
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	int item = 1;
	struct stint_case cases[] = {
		{STINT_RECV, ch, &item, 1}, {STINT_SEND, NULL, &item, 1}};
	int64_t begun_ms = real_ms();

	(void)state;
	assert_int_equal(stint_select_for(BACKGROUND, TIMEOUT_MS, cases, 2), -EAGAIN);
	assert_true(real_ms() - begun_ms >= TIMEOUT_MS);
	assert_int_equal(stint_select_for(BACKGROUND, 1, NULL, 0), -EAGAIN);
	assert_int_equal(cases[0].result, 1);
	/* nothing was left behind in the queue */
	assert_int_equal(stint_chan_try_send(ch, &item), 0);
	assert_int_equal(stint_chan_len(ch), 1);
	stint_chan_free(ch);
}

static void
select_for_takes_what_is_ready_whatever_the_time(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	int item = 1;
	struct stint_case one = {STINT_RECV, ch, &item, 1};

	(void)state;
	for (int64_t timeout_ms = -1; timeout_ms < 2; timeout_ms++) {
		assert_int_equal(stint_chan_try_send(ch, &item), 0);
		assert_int_equal(stint_select_for(BACKGROUND, timeout_ms, &one, 1), 0);
		assert_int_equal(one.result, 0);
	}
	assert_int_equal(stint_select_for(BACKGROUND, 0, &one, 1), -EAGAIN);
	assert_int_equal(stint_select_for(BACKGROUND, -5, &one, 1), -EAGAIN);
	stint_chan_free(ch);
}

static void
select_for_tells_the_context_from_the_time(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 0);
	struct stint_case one = {STINT_SEND, ch, &(int){1}, 1};
	struct stint_ctx *ctx = new_ctx_until(BACKGROUND, stint_at_ms(10));

	(void)state;
	assert_int_equal(stint_select_for(ctx, WAIT_AT_MOST_MS, &one, 1), -ETIMEDOUT);
	assert_int_equal(stint_select_for(ctx, 0, &one, 1), -ETIMEDOUT);
	stint_ctx_free(ctx);
	ctx = new_ctx(BACKGROUND);
	assert_int_equal(stint_select_for(ctx, 1, &one, 1), -EAGAIN);
	stint_ctx_cancel(ctx);
	assert_int_equal(stint_select_for(ctx, 1, &one, 1), -ECANCELED);
	assert_int_equal(stint_ctx_err(BACKGROUND), 0);
	stint_ctx_free(ctx);
	stint_chan_free(ch);
}

struct limited_select {
	struct stint_ctx *ctx;
	struct stint_case one;
	int chosen;
};

static void
run_limited_select(void *arg)
{
	struct limited_select *s = arg;

	s->chosen = stint_select_for(s->ctx, WAIT_AT_MOST_MS, &s->one, 1);
}

static void
select_for_wakes_for_a_case_and_for_the_context(void **state)
{
	(void)state;
	for (int cancels = 0; cancels < 2; cancels++) {
		struct stint_chan *ch = new_chan(sizeof(int), 0);
		int got = 0, item = 6;
		struct limited_select s = {
			.ctx = new_ctx(BACKGROUND), .one = {STINT_RECV, ch, &got, 1}};
		struct task task;

		task_start(&task, run_limited_select, &s);
		wait_until(task_sleeps(&task));
		if (cancels)
			stint_ctx_cancel(s.ctx);
		else
			assert_int_equal(stint_chan_send(BACKGROUND, ch, &item), 0);
		task_join(&task);
		assert_int_equal(s.chosen, cancels ? -ECANCELED : 0);
		assert_int_equal(got, cancels ? 0 : item);
		stint_ctx_free(s.ctx);
		stint_chan_free(ch);
	}
}

/* The time is up, and nobody has noticed when the context is cancelled: what has ended is
 * the context. */
static void
select_for_whose_time_is_up_tells_how_the_context_ended(void **state)
{
	struct stint_chan *ch = new_chan(0, 0);
	struct limited_select s = {.ctx = new_ctx(BACKGROUND), .one = {.ch = ch}};
	struct task task;

	(void)state;
	s.one.op = STINT_RECV;
	task_start(&task, run_limited_select, &s);
	wait_until(task_sleeps(&task));
	stint_clock_set(stint_now_ms() + 2 * WAIT_AT_MOST_MS, 0);
	stint_ctx_cancel(s.ctx);
	task_join(&task);
	assert_int_equal(s.chosen, -ECANCELED);
	stint_ctx_free(s.ctx);
	stint_chan_free(ch);
}

/* ---- which operations wait ---- */

static void
which_operations_wait(void **state)
{
	struct stint_chan *meet = new_chan(sizeof(int), 0);
	struct stint_chan *empty = new_chan(sizeof(int), 1),
			  *full = new_chan(sizeof(int), 1);
	int item = 1;
	struct stint_case rows[] = {
		{STINT_SEND, NULL, &item, 1},
		{STINT_RECV, NULL, &item, 1},
		{STINT_SEND, meet, &item, 1},
		{STINT_RECV, meet, &item, 1},
		{STINT_RECV, empty, &item, 1},
		{STINT_SEND, full, &item, 1},
	};
	enum { ROWS = sizeof(rows) / sizeof(*rows) };

	(void)state;
	assert_int_equal(stint_chan_try_send(full, &item), 0);
	for (int i = 0; i < ROWS; i++) {
		struct stint_ctx *ctx = new_ctx_until(BACKGROUND, stint_at_ms(2));
		int r = rows[i].op == STINT_SEND
				? stint_chan_send(ctx, rows[i].ch, &item)
				: stint_chan_recv(ctx, rows[i].ch, &item);

		assert_int_equal(r, -ETIMEDOUT);
		assert_int_equal(stint_select_for(BACKGROUND, 2, &rows[i], 1), -EAGAIN);
		stint_ctx_free(ctx);
	}
	/* all of them at once, too, though the two at `meet` would fit each other */
	assert_int_equal(stint_select_for(BACKGROUND, 2, rows, ROWS), -EAGAIN);
	assert_int_equal(stint_chan_len(empty) + stint_chan_len(full), 1);
	stint_chan_free(meet);
	stint_chan_free(empty);
	stint_chan_free(full);
}

/* ---- one sender, one receiver ---- */

static void
send_ascending(void *arg)
{
	struct op *op = arg;

	for (int i = 0; i < op->item; i++)
		if (stint_chan_send(op->ctx, op->ch, &i) < 0)
			abort();
	stint_chan_close(op->ch);
}

static void
order_is_kept_at_every_capacity(void **state)
{
	enum { ITEMS = 1000, CAP_MAX = 12 };

	(void)state;
	for (size_t cap = 0; cap <= CAP_MAX; cap++) {
		struct stint_chan *ch = new_chan(sizeof(int), cap);
		struct op op = {.ctx = BACKGROUND, .ch = ch, .item = ITEMS};
		struct task task;
		int item, next = 0, r;

		task_start(&task, send_ascending, &op);
		STINT_CHAN_EACH (BACKGROUND, ch, &item, r)
			assert_int_equal(item, next++);
		assert_int_equal(r, -EPIPE);
		assert_int_equal(next, ITEMS);
		task_join(&task);
		stint_chan_free(ch);
	}
}

struct race {
	pthread_barrier_t start;
	struct stint_chan *ch;
	int item, sent;
};

static void
send_or_close(void *arg)
{
	struct race *race = arg;

	pthread_barrier_wait(&race->start);
	if (race->item > 0)
		race->sent = stint_chan_try_send(race->ch, &race->item) == 0;
	else
		stint_chan_close(race->ch);
}

/* A try that races with a send or a close sees all of it or nothing. */
static void
try_recv_invents_nothing(void **state)
{
	enum { ROUNDS = 1000 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct race race = {.ch = new_chan(sizeof(int), (size_t)round / 2 % 2)};
		struct task task;
		int got = -1, r;

		race.item = round % 2 ? round : 0;
		pthread_barrier_init(&race.start, NULL, 2);
		task_start(&task, send_or_close, &race);
		pthread_barrier_wait(&race.start);
		r = stint_chan_try_recv(race.ch, &got);
		task_join(&task);
		assert_true(r == 0 || r == -EAGAIN || (r == -EPIPE && race.item == 0));
		assert_int_equal(got, r == 0 ? race.item : -1);
		if (r != 0)
			assert_int_equal(stint_chan_len(race.ch), race.sent);
		pthread_barrier_destroy(&race.start);
		stint_chan_free(race.ch);
	}
}

/* ---- the end of a channel ---- */

static void
answer_all(void *arg)
{
	struct op *op = arg;
	struct stint_chan *answer;

	STINT_CHAN_EACH (op->ctx, op->ch, &answer, op->result)
		if (stint_chan_send(op->ctx, answer, &op->item) < 0)
			abort();
}

/* Who has received the answer frees the channel, while the sender is still about to
 * leave it. */
static void
channel_may_be_freed_once_its_answer_is_there(void **state)
{
	enum { ROUNDS = 20000 };
	struct stint_chan *questions = new_chan(sizeof(struct stint_chan *), 4);
	struct op op = {.ctx = BACKGROUND, .ch = questions, .item = 42};
	struct task task;

	(void)state;
	task_start(&task, answer_all, &op);
	for (int round = 0; round < ROUNDS; round++) {
		struct stint_chan *answer = new_chan(sizeof(int), (size_t)round % 2);
		int got = 0;

		assert_int_equal(stint_chan_send(BACKGROUND, questions, &answer), 0);
		assert_int_equal(stint_chan_recv(BACKGROUND, answer, &got), 0);
		stint_chan_free(answer);
		assert_int_equal(got, 42);
	}
	stint_chan_close(questions);
	task_join(&task);
	stint_chan_free(questions);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiting_costs_no_processor),
		cmocka_unit_test(threads_on_one_processor_take_turns),
		cmocka_unit_test(select_for_ends_when_time_is_up),
		cmocka_unit_test(select_for_takes_what_is_ready_whatever_the_time),
		cmocka_unit_test(select_for_tells_the_context_from_the_time),
		cmocka_unit_test(select_for_wakes_for_a_case_and_for_the_context),
		cmocka_unit_test_teardown(
			select_for_whose_time_is_up_tells_how_the_context_ended,
			reset_clock),
		cmocka_unit_test(which_operations_wait),
		cmocka_unit_test(order_is_kept_at_every_capacity),
		cmocka_unit_test(try_recv_invents_nothing),
		cmocka_unit_test(channel_may_be_freed_once_its_answer_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
