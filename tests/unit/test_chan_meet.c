/*
 * test_chan_meet.c - channels without a ring, between threads that are both awake
 *
 * Such a wait lasts microseconds, so what can go wrong in it is left to chance, many
 * times over: each round ends it at another moment.
 */
#include "tests/unit/conc_util.h"

#include <sched.h>

enum { ROUNDS = 3000, MOMENTS_MAX = 400, SIZE_MAX_BYTES = 65536 };

/* The wait may have begun, and its thread sleep already, or not. */
static void
let_some_time_pass(uint64_t *seed)
{
	for (uint64_t i = random_next(seed) % MOMENTS_MAX; i > 0; i--)
		atomic_signal_fence(memory_order_seq_cst);
}

/* ---- a cancel ---- */

static void
cancel_and_try(bool is_receiver, int yields)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct op op = {.ctx = ctx, .ch = new_chan(sizeof(int), 0)};
	struct task task;
	int item = 0, r;

	task_start(&task, is_receiver ? op_recv : op_send, &op);
	for (int i = 0; i < yields; i++)
		sched_yield();
	stint_ctx_cancel(ctx);
	r = is_receiver ? stint_chan_try_send(op.ch, &item)
			: stint_chan_try_recv(op.ch, &item);
	task_join(&task);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(op.result, -ECANCELED);
	stint_chan_free(op.ch);
	stint_ctx_free(ctx);
}

/* What comes after the cancel is not for who was cancelled, however little after. On one
 * processor, which the one who waits awake yields: so it is caught there, without having
 * seen the cancel. */
static void
whoever_was_cancelled_gets_and_gives_nothing_more(void **state)
{
	cpu_set_t all, one;
	int cpu = sched_getcpu();

	(void)state;
	cancel_and_try(true, 1); /* the library counts processors once */
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	for (int i = 0, rounds = test_rounds(ROUNDS); i < rounds; i++)
		cancel_and_try(i % 2, i % 8);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

/* ---- streams ---- */

struct stream {
	struct stint_chan *ch;
	struct stint_ctx *ctx;
	size_t item_bytes;
	int count; /* to do; then what was done */
	int result;
};

static void
send_each_until_told(void *arg)
{
	struct stream *s = arg;
	unsigned char *item = calloc(1, s->item_bytes + sizeof(int));
	int done = 0;

	for (s->result = 0; done < s->count; done++) {
		memset(item, done % 251, s->item_bytes);
		if (s->item_bytes >= sizeof(int))
			memcpy(item, &done, sizeof(int));
		s->result = stint_chan_send(s->ctx, s->ch, item);
		if (s->result < 0)
			break;
	}
	s->count = done;
	free(item);
}

/* How many came, each as it was sent. */
static int
recv_each_until_told(struct stream *s, int count)
{
	unsigned char *item = malloc(s->item_bytes + 1);
	int done = 0, number;

	for (; done < count && stint_chan_recv(s->ctx, s->ch, item) == 0; done++) {
		if (s->item_bytes >= sizeof(int)) {
			memcpy(&number, item, sizeof(int));
			assert_int_equal(number, done);
		}
		for (size_t b = sizeof(int); b < s->item_bytes; b++)
			if (item[b] != done % 251)
				fail_msg("item %d differs at byte %zu", done, b);
	}
	free(item);
	return done;
}

/* Some are copied in the meeting place, some are too large for it. */
static void
items_of_every_size_arrive_whole(void **state)
{
	static const size_t sizes[] = {0, 1, 4, 8, 47, 48, 49, 64, 1000, SIZE_MAX_BYTES};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		int count = test_rounds(sizes[i] < SIZE_MAX_BYTES ? 2000 : 100);
		struct stream s = {new_chan(sizes[i], 0), BACKGROUND, sizes[i], count, 0};
		struct task sender;

		task_start(&sender, send_each_until_told, &s);
		assert_int_equal(recv_each_until_told(&s, count), count);
		task_join(&sender);
		assert_int_equal(s.count, count);
		stint_chan_free(s.ch);
	}
}

/* Whatever ends it, both have counted the same. */
static void
nothing_is_lost_when_it_ends(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (int i = 0, rounds = test_rounds(ROUNDS / 3); i < rounds; i++) {
		int some = (int)(random_next(&seed) % 20);
		struct stint_ctx *ctx = new_ctx(BACKGROUND);
		struct stream s = {new_chan(sizeof(int), 0), ctx, sizeof(int), ROUNDS, 0};
		struct stream mine = s;
		struct task sender;
		int came;

		mine.ctx = BACKGROUND;
		task_start(&sender, send_each_until_told, &s);
		came = recv_each_until_told(&mine, some);
		assert_int_equal(came, some);
		let_some_time_pass(&seed);
		if (i % 2)
			assert_int_equal(stint_chan_close(s.ch), 0);
		else
			stint_ctx_cancel(ctx);
		task_join(&sender);
		assert_int_equal(s.result, i % 2 ? -EPIPE : -ECANCELED);
		assert_int_equal(s.count, came);
		stint_chan_free(s.ch);
		stint_ctx_free(ctx);
	}
}

/* Who selects is in the queues, who sends is at the meeting place: they find each other,
 * and one who only tries finds both. */
static void
those_awake_and_those_in_queues_find_each_other(void **state)
{
	struct stream s = {new_chan(sizeof(int), 0), BACKGROUND, sizeof(int),
		test_rounds(ROUNDS), 0};
	int count = s.count, item, r;
	struct task sender;

	(void)state;
	task_start(&sender, send_each_until_told, &s);
	for (int i = 0; i < count; i++) {
		struct stint_case cases[] = {
			{STINT_RECV, NULL, NULL, 0},
			{STINT_RECV, s.ch, &item, 0},
		};

		if (i % 3 == 0) {
			assert_int_equal(stint_chan_recv(BACKGROUND, s.ch, &item), 0);
		} else if (i % 3 == 1) {
			assert_int_equal(stint_select(BACKGROUND, cases, 2), 1);
			assert_int_equal(cases[1].result, 0);
		} else {
			wait_until((r = stint_chan_try_recv(s.ch, &item)) != -EAGAIN);
			assert_int_equal(r, 0);
		}
		assert_int_equal(item, i);
	}
	task_join(&sender);
	stint_chan_free(s.ch);
}

/* Asked for in the middle of it, the descriptor tells of a sender who is awake. */
static void
descriptor_tells_of_who_is_awake(void **state)
{
	(void)state;
	for (int i = 0, rounds = test_rounds(200); i < rounds; i++) {
		struct stream s = {
			new_chan(sizeof(int), 0), BACKGROUND, sizeof(int), 20, 0};
		struct pollfd p = {.events = POLLIN};
		struct task sender;
		int item, came = 0;

		task_start(&sender, send_each_until_told, &s);
		assert_int_equal(recv_each_until_told(&s, 5), 5);
		p.fd = stint_chan_recv_fd(s.ch);
		while (came < 15) {
			assert_int_equal(poll(&p, 1, WAIT_AT_MOST_MS), 1);
			while (stint_chan_try_recv(s.ch, &item) == 0)
				came++;
		}
		task_join(&sender);
		assert_int_equal(item, 19);
		stint_chan_free(s.ch);
	}
}

/* ---- a close ---- */

/* Nothing comes after the close, also not from a sender who waits awake and has not seen
 * it yet. */
static void
nothing_is_received_after_the_close(void **state)
{
	(void)state;
	for (int i = 0, rounds = test_rounds(ROUNDS); i < rounds; i++) {
		struct stream s = {
			new_chan(sizeof(int), 0), BACKGROUND, sizeof(int), ROUNDS, 0};
		struct task sender;
		int item, r;

		task_start(&sender, send_each_until_told, &s);
		assert_int_equal(recv_each_until_told(&s, 3), 3);
		assert_int_equal(stint_chan_close(s.ch), 0);
		r = stint_chan_try_recv(s.ch, &item);
		task_join(&sender);
		assert_int_equal(r, -EPIPE);
		assert_int_equal(s.result, -EPIPE);
		assert_int_equal(s.count, 3);
		stint_chan_free(s.ch);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			whoever_was_cancelled_gets_and_gives_nothing_more, check_leaks),
		cmocka_unit_test_teardown(items_of_every_size_arrive_whole, check_leaks),
		cmocka_unit_test_teardown(nothing_is_lost_when_it_ends, check_leaks),
		cmocka_unit_test_teardown(
			those_awake_and_those_in_queues_find_each_other, check_leaks),
		cmocka_unit_test_teardown(descriptor_tells_of_who_is_awake, check_leaks),
		cmocka_unit_test_teardown(
			nothing_is_received_after_the_close, check_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
