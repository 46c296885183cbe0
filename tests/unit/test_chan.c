/*
 * test_chan.c - channels: order, blocking, closing, batches
 */
#include "tests/unit/conc_util.h"

/* ---- one thread ---- */

static void
new_refuses_what_it_cannot_hold(void **state)
{
	struct stint_chan *ch = NULL;

	(void)state;
	assert_int_equal(stint_chan_new(STINT_CHAN_ITEM_MAX + 1, 1, &ch), -EINVAL);
	assert_int_equal(stint_chan_new(STINT_CHAN_ITEM_MAX, SIZE_MAX / 2, &ch), -ENOMEM);
	assert_int_equal(stint_chan_new(1, SIZE_MAX, &ch), -ENOMEM);
	assert_null(ch);
	ch = new_chan(STINT_CHAN_ITEM_MAX, 1);
	stint_chan_free(ch);
	stint_chan_free(NULL);
}

static void
try_recv_says_empty_and_try_send_full(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 2);
	int item = 7;

	(void)state;
	assert_int_equal(stint_chan_try_recv(ch, &item), -EAGAIN);
	assert_int_equal(item, 7);
	assert_int_equal(stint_chan_try_send(ch, &item), 0);
	assert_int_equal(stint_chan_try_send(ch, &item), 0);
	assert_int_equal(stint_chan_try_send(ch, &item), -EAGAIN);
	stint_chan_free(ch);
}

static void
without_a_ring_try_needs_the_other_side(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 0);
	struct op recv = {.ctx = BACKGROUND, .ch = ch}, send = recv;
	struct task task;
	int item = 5;

	(void)state;
	assert_int_equal(stint_chan_try_send(ch, &item), -EAGAIN);
	assert_int_equal(stint_chan_try_recv(ch, &item), -EAGAIN);
	task_start(&task, op_recv, &recv);
	wait_until(stint_chan_try_send(ch, &item) == 0);
	task_join(&task);
	assert_int_equal(recv.result, 0);
	assert_int_equal(recv.item, 5);
	send.item = 6;
	task_start(&task, op_send, &send);
	wait_until(stint_chan_try_recv(ch, &item) == 0);
	task_join(&task);
	assert_int_equal(send.result, 0);
	assert_int_equal(item, 6);
	stint_chan_free(ch);
}

static void
len_and_cap_tell_items_and_room(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 3);
	int item = 0;

	(void)state;
	assert_int_equal(stint_chan_cap(ch), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(stint_chan_len(ch), i);
		assert_int_equal(stint_chan_try_send(ch, &item), 0);
	}
	assert_int_equal(stint_chan_len(ch), 3);
	assert_int_equal(stint_chan_try_recv(ch, NULL), 0);
	assert_int_equal(stint_chan_len(ch), 2);
	stint_chan_free(ch);
	assert_int_equal(stint_chan_len(NULL), 0);
	assert_int_equal(stint_chan_cap(NULL), 0);
}

static void
recv_after_close_drains_then_says_epipe(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 3);
	int item;

	(void)state;
	for (item = 1; item <= 3; item++)
		assert_int_equal(stint_chan_send(BACKGROUND, ch, &item), 0);
	assert_int_equal(stint_chan_close(ch), 0);
	for (int want = 1; want <= 3; want++) {
		assert_int_equal(stint_chan_recv(BACKGROUND, ch, &item), 0);
		assert_int_equal(item, want);
	}
	for (int again = 0; again < 3; again++) {
		assert_int_equal(stint_chan_recv(BACKGROUND, ch, &item), -EPIPE);
		assert_int_equal(stint_chan_try_recv(ch, &item), -EPIPE);
		assert_int_equal(stint_chan_try_recv_many(ch, &item, 1), -EPIPE);
	}
	assert_int_equal(item, 3);
	stint_chan_free(ch);
}

static void
send_after_close_fails_with_room_and_without(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 3; cap++) {
		struct stint_chan *ch = new_chan(sizeof(int), cap);
		int item = 1;

		assert_int_equal(stint_chan_close(ch), 0);
		assert_int_equal(stint_chan_send(BACKGROUND, ch, &item), -EPIPE);
		assert_int_equal(stint_chan_try_send(ch, &item), -EPIPE);
		assert_int_equal(stint_chan_try_send_many(ch, &item, 1), -EPIPE);
		assert_int_equal(stint_chan_len(ch), 0);
		stint_chan_free(ch);
	}
}

static void
closing_twice_or_nothing_is_an_error(void **state)
{
	struct stint_chan *ch = new_chan(0, 1);

	(void)state;
	assert_int_equal(stint_chan_close(ch), 0);
	assert_int_equal(stint_chan_close(ch), -EPIPE);
	assert_int_equal(stint_chan_close(NULL), -EINVAL);
	stint_chan_free(ch);
}

static void
no_channel_is_never_ready(void **state)
{
	struct stint_ctx *ctx;
	int item = 0;

	(void)state;
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 10, &ctx), 0);
	assert_int_equal(stint_chan_try_send(NULL, &item), -EAGAIN);
	assert_int_equal(stint_chan_try_recv(NULL, &item), -EAGAIN);
	assert_int_equal(stint_chan_try_recv_many(NULL, &item, 1), -EAGAIN);
	assert_int_equal(stint_chan_recv_fd(NULL), -EINVAL);
	assert_int_equal(stint_chan_send(ctx, NULL, &item), -ETIMEDOUT);
	stint_ctx_free(ctx);
	ctx = new_ctx(BACKGROUND);
	stint_ctx_cancel(ctx);
	assert_int_equal(stint_chan_recv(ctx, NULL, &item), -ECANCELED);
	stint_ctx_free(ctx);
}

static void
ended_context_wins_over_room_and_items(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 2);
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	int item = 1;

	(void)state;
	assert_int_equal(stint_chan_try_send(ch, &item), 0);
	stint_ctx_cancel(ctx);
	assert_int_equal(stint_chan_send(ctx, ch, &item), -ECANCELED);
	assert_int_equal(stint_chan_recv(ctx, ch, &item), -ECANCELED);
	assert_int_equal(stint_chan_len(ch), 1);
	stint_ctx_free(ctx);
	stint_chan_free(ch);
}

static void
items_of_any_size_arrive_whole(void **state)
{
	static const size_t sizes[] = {0, 1, 3, 8, 100, STINT_CHAN_ITEM_MAX};
	static unsigned char in[STINT_CHAN_ITEM_MAX], out[STINT_CHAN_ITEM_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct stint_chan *ch = new_chan(sizes[i], 2);

		for (int round = 0; round < 5; round++) {
			memset(in, round + 1, sizeof(in));
			memset(out, 0, sizeof(out));
			assert_int_equal(stint_chan_send(BACKGROUND, ch, in), 0);
			assert_int_equal(stint_chan_recv(BACKGROUND, ch, out), 0);
			assert_memory_equal(in, out, sizes[i]);
			if (sizes[i] < sizeof(out))
				assert_int_equal(out[sizes[i]], 0);
		}
		stint_chan_free(ch);
	}
}

static void
events_without_content_are_counted(void **state)
{
	struct stint_chan *ch = new_chan(0, SIZE_MAX / 2);

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(stint_chan_send(BACKGROUND, ch, NULL), 0);
	assert_int_equal(stint_chan_try_send_many(ch, NULL, 1000), 1000);
	assert_int_equal(stint_chan_len(ch), 2000);
	assert_int_equal(stint_chan_try_recv_many(ch, NULL, 5000), 2000);
	stint_chan_free(ch);
}

static void
batches_take_what_there_is_room_for(void **state)
{
	enum { CAP = 5 };
	struct stint_chan *ch = new_chan(sizeof(int), CAP);
	int in[8] = {0, 1, 2, 3, 4, 5, 6, 7}, out[8];

	(void)state;
	assert_int_equal(stint_chan_try_recv_many(ch, out, 8), -EAGAIN);
	assert_int_equal(stint_chan_try_send_many(ch, in, 0), -EAGAIN);
	assert_int_equal(stint_chan_try_send_many(ch, in, 3), 3);
	assert_int_equal(stint_chan_try_recv_many(ch, out, 2), 2);
	assert_int_equal(stint_chan_try_send_many(ch, in + 3, 5), 4);
	assert_int_equal(stint_chan_try_send_many(ch, in + 7, 1), -EAGAIN);
	assert_int_equal(stint_chan_try_recv_many(ch, out + 2, 6), 5);
	for (int i = 0; i < 7; i++)
		assert_int_equal(out[i], i);
	assert_int_equal(stint_chan_try_send_many(ch, in, 2), 2);
	assert_int_equal(stint_chan_close(ch), 0);
	assert_int_equal(stint_chan_try_recv_many(ch, out, 8), 2);
	assert_int_equal(stint_chan_try_recv_many(ch, out, 8), -EPIPE);
	stint_chan_free(ch);
}

/* ---- several threads ---- */

static void
recv_on_empty_blocks_until_send(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 2; cap++) {
		struct stint_chan *ch = new_chan(sizeof(int), cap);
		struct op op = {.ctx = BACKGROUND, .ch = ch};
		struct task task;
		int item = 42;

		task_start(&task, op_recv, &op);
		wait_until(task_sleeps(&task));
		assert_int_equal(stint_chan_send(BACKGROUND, ch, &item), 0);
		task_join(&task);
		assert_int_equal(op.result, 0);
		assert_int_equal(op.item, 42);
		stint_chan_free(ch);
	}
}

static void
send_on_full_blocks_until_recv(void **state)
{
	(void)state;
	for (int cap = 0; cap < 3; cap++) {
		struct stint_chan *ch = new_chan(sizeof(int), (size_t)cap);
		struct op op = {.ctx = BACKGROUND, .ch = ch, .item = cap};
		struct task task;
		int item;

		for (item = 0; item < cap; item++)
			assert_int_equal(stint_chan_try_send(ch, &item), 0);
		task_start(&task, op_send, &op);
		wait_until(task_sleeps(&task));
		assert_int_equal(stint_chan_try_send(ch, &item), -EAGAIN);
		for (int want = 0; want <= cap; want++) {
			assert_int_equal(stint_chan_recv(BACKGROUND, ch, &item), 0);
			assert_int_equal(item, want);
		}
		task_join(&task);
		assert_int_equal(op.result, 0);
		stint_chan_free(ch);
	}
}

static void
close_wakes_all_who_wait(void **state)
{
	enum { COUNT = 4 };

	(void)state;
	for (int side = 0; side < 4; side++) {
		size_t cap = (size_t)side / 2;
		struct stint_chan *ch = new_chan(sizeof(int), cap);
		struct task task[COUNT];
		struct op op[COUNT];
		int item = 0;

		if (side % 2 && cap > 0)
			assert_int_equal(stint_chan_try_send(ch, &item), 0);
		for (int i = 0; i < COUNT; i++) {
			op[i] = (struct op){.ctx = BACKGROUND, .ch = ch};
			task_start(&task[i], side % 2 ? op_send : op_recv, &op[i]);
		}
		for (int i = 0; i < COUNT; i++)
			wait_until(task_sleeps(&task[i]));
		assert_int_equal(stint_chan_close(ch), 0);
		for (int i = 0; i < COUNT; i++) {
			task_join(&task[i]);
			assert_int_equal(op[i].result, -EPIPE);
		}
		assert_int_equal(stint_chan_len(ch), side % 2 ? cap : 0);
		stint_chan_free(ch);
	}
}

static void
cancelled_send_leaves_nothing_behind(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 2; cap++) {
		struct stint_chan *ch = new_chan(sizeof(int), cap);
		struct op op = {.ctx = new_ctx(BACKGROUND), .ch = ch, .item = 99};
		struct task task;
		int item = 1;

		if (cap > 0)
			assert_int_equal(stint_chan_try_send(ch, &item), 0);
		task_start(&task, op_send, &op);
		wait_until(task_sleeps(&task));
		stint_ctx_cancel(op.ctx);
		task_join(&task);
		assert_int_equal(op.result, -ECANCELED);
		if (cap > 0)
			assert_int_equal(stint_chan_try_recv(ch, &item), 0);
		assert_int_equal(item, 1);
		assert_int_equal(stint_chan_try_recv(ch, &item), -EAGAIN);
		stint_ctx_free(op.ctx);
		stint_chan_free(ch);
	}
}

static void
room_goes_to_the_sender_who_waits_longest(void **state)
{
	enum { COUNT = 5 };
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	struct task task[COUNT];
	struct op op[COUNT];
	int item = 0, got[COUNT + 1];

	(void)state;
	assert_int_equal(stint_chan_try_send(ch, &item), 0);
	for (int i = 0; i < COUNT; i++) {
		op[i] = (struct op){.ctx = BACKGROUND, .ch = ch, .item = i + 1};
		task_start(&task[i], op_send, &op[i]);
		wait_until(task_sleeps(&task[i]));
	}
	assert_int_equal(stint_chan_try_recv_many(ch, got, COUNT + 1), COUNT + 1);
	for (int i = 0; i < COUNT; i++) {
		task_join(&task[i]);
		assert_int_equal(op[i].result, 0);
	}
	for (int i = 0; i <= COUNT; i++)
		assert_int_equal(got[i], i);
	stint_chan_free(ch);
}

struct meeting {
	struct stint_chan *ch;
	_Atomic int here;
	int expected;
};

/* Takes one item and does not let go before all others have one, too. */
static void
meet(void *arg)
{
	struct meeting *m = arg;
	int item;

	if (stint_chan_recv(BACKGROUND, m->ch, &item) < 0)
		return;
	atomic_fetch_add(&m->here, 1);
	while (atomic_load(&m->here) < m->expected)
		usleep(LOOK_EVERY_US);
}

static void
slow_items_get_a_thread_each(void **state)
{
	enum { COUNT = 16 };

	(void)state;
	for (int batched = 0; batched < 2; batched++) {
		struct stint_chan *ch = new_chan(sizeof(int), COUNT);
		struct meeting m = {.ch = ch, .expected = COUNT};
		struct task task[COUNT];
		int items[COUNT] = {0};

		for (int i = 0; i < COUNT; i++)
			task_start(&task[i], meet, &m);
		for (int i = 0; i < COUNT; i++)
			wait_until(task_sleeps(&task[i]));
		if (batched)
			assert_int_equal(
				stint_chan_try_send_many(ch, items, COUNT), COUNT);
		for (int i = 0; i < COUNT && !batched; i++)
			assert_int_equal(stint_chan_try_send(ch, &items[i]), 0);
		wait_until(atomic_load(&m.here) == COUNT);
		for (int i = 0; i < COUNT; i++)
			task_join(&task[i]);
		stint_chan_free(ch);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_refuses_what_it_cannot_hold),
		cmocka_unit_test(try_recv_says_empty_and_try_send_full),
		cmocka_unit_test(without_a_ring_try_needs_the_other_side),
		cmocka_unit_test(len_and_cap_tell_items_and_room),
		cmocka_unit_test(recv_after_close_drains_then_says_epipe),
		cmocka_unit_test(send_after_close_fails_with_room_and_without),
		cmocka_unit_test(closing_twice_or_nothing_is_an_error),
		cmocka_unit_test(no_channel_is_never_ready),
		cmocka_unit_test(ended_context_wins_over_room_and_items),
		cmocka_unit_test(items_of_any_size_arrive_whole),
		cmocka_unit_test(events_without_content_are_counted),
		cmocka_unit_test(batches_take_what_there_is_room_for),
		cmocka_unit_test(recv_on_empty_blocks_until_send),
		cmocka_unit_test(send_on_full_blocks_until_recv),
		cmocka_unit_test(close_wakes_all_who_wait),
		cmocka_unit_test(cancelled_send_leaves_nothing_behind),
		cmocka_unit_test(room_goes_to_the_sender_who_waits_longest),
		cmocka_unit_test(slow_items_get_a_thread_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
