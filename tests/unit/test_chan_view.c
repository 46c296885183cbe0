/*
 * test_chan_view.c - views of a channel, and the loop over all of its items
 */
#include "tests/unit/conc_util.h"

static void
views_do_what_the_channel_does(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 4);
	struct stint_sender s = stint_chan_sender(ch);
	struct stint_receiver r = stint_chan_receiver(ch);
	int in[3] = {3, 4, 5}, item = 1, got[4];

	(void)state;
	assert_int_equal(stint_receiver_try_recv(r, &item), -EAGAIN);
	assert_int_equal(stint_sender_send(BACKGROUND, s, &item), 0);
	item = 2;
	assert_int_equal(stint_sender_try_send(s, &item), 0);
	assert_int_equal(stint_sender_try_send_many(s, in, 3), 2);
	assert_int_equal(stint_sender_try_send(s, &item), -EAGAIN);
	assert_int_equal(stint_sender_len(s), 4);
	assert_int_equal(stint_receiver_len(r), 4);
	assert_int_equal(stint_sender_cap(s), 4);
	assert_int_equal(stint_receiver_cap(r), 4);
	assert_true(fd_is_readable(stint_receiver_fd(r)));
	assert_int_equal(stint_receiver_recv(BACKGROUND, r, &item), 0);
	assert_int_equal(item, 1);
	assert_int_equal(stint_receiver_try_recv(r, &item), 0);
	assert_int_equal(item, 2);
	assert_int_equal(stint_sender_close(s), 0);
	assert_int_equal(stint_sender_close(s), -EPIPE);
	assert_int_equal(stint_sender_send(BACKGROUND, s, &item), -EPIPE);
	assert_int_equal(stint_receiver_try_recv_many(r, got, 4), 2);
	assert_int_equal(got[1], 4);
	assert_int_equal(stint_receiver_recv(BACKGROUND, r, &item), -EPIPE);
	stint_chan_free(ch);
}

static void
views_are_cases_of_a_select(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	const int out = 7;
	int in = 0;
	struct stint_case cases[] = {
		stint_sender_case(stint_chan_sender(ch), &out),
		stint_receiver_case(stint_chan_receiver(ch), &in),
	};

	(void)state;
	/* one item and one place: they take turns */
	for (int round = 0; round < 4; round++) {
		assert_int_equal(stint_select(BACKGROUND, cases, 2), round % 2);
		assert_int_equal(cases[round % 2].result, 0);
	}
	assert_int_equal(in, 7);
	stint_chan_free(ch);
}

static void
views_of_no_channel_are_never_ready(void **state)
{
	struct stint_sender s = stint_chan_sender(NULL);
	struct stint_receiver r = stint_chan_receiver(NULL);
	int item = 0;

	(void)state;
	assert_int_equal(stint_sender_try_send(s, &item), -EAGAIN);
	assert_int_equal(stint_receiver_try_recv(r, &item), -EAGAIN);
	assert_int_equal(stint_sender_close(s), -EINVAL);
	assert_int_equal(stint_receiver_fd(r), -EINVAL);
	assert_int_equal(stint_sender_cap(s) + stint_receiver_cap(r), 0);
}

/* op->item, op->item - 1, ... 1 */
static void
op_send_and_close(void *arg)
{
	struct op *op = arg;

	for (; op->item > 0; op->item--)
		if (stint_chan_send(op->ctx, op->ch, &op->item) < 0)
			abort();
	stint_chan_close(op->ch);
}

/* ---- what the compiler refuses ---- */

/* Does a function with a sender s, a receiver r, a channel ch, ... and this statement? */
static bool
compiles(const char *statement)
{
	/* the folder is that of the whole tree's root, where tests run */
	FILE *cc =
		popen("cc -std=c11 -fsyntax-only -Ilib/include -x c - 2>/dev/null", "w");

	assert_non_null(cc);
	fprintf(cc,
		"#include <stint/stint.h>\n"
		"int f(struct stint_ctx *ctx, struct stint_chan *ch, struct stint_sender "
		"s,\n"
		"	struct stint_receiver r, int *item);\n"
		"int f(struct stint_ctx *ctx, struct stint_chan *ch, struct stint_sender "
		"s,\n"
		"	struct stint_receiver r, int *item)\n"
		"{ return %s; }\n",
		statement);
	return pclose(cc) == 0;
}

static void
wrong_use_does_not_compile(void **state)
{
	static const struct {
		const char *statement;
		bool compiles;
	} rows[] = {
		{"stint_sender_send(ctx, s, item)", true},
		{"stint_receiver_recv(ctx, r, item)", true},
		{"stint_sender_close(stint_chan_sender(ch))", true},
		{"stint_receiver_recv(ctx, s, item)", false},
		{"stint_sender_send(ctx, r, item)", false},
		{"stint_sender_try_send(r, item)", false},
		{"stint_receiver_try_recv(s, item)", false},
		{"stint_sender_close(r)", false},
		{"stint_receiver_fd(s)", false},
		{"stint_receiver_case(s, item).result", false},
		{"stint_sender_case(r, item).result", false},
		{"stint_sender_send(ctx, stint_chan_receiver(ch), item)", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (compiles(rows[i].statement) != rows[i].compiles)
			fail_msg("%s: %s", rows[i].statement,
				rows[i].compiles ? "is refused" : "compiles");
}

/* ---- the loop over all items ---- */

static void
each_runs_until_closed_and_says_so(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 3; cap++) {
		struct stint_chan *ch = new_chan(sizeof(int), cap);
		struct op send = {.ctx = BACKGROUND, .ch = ch, .item = 5};
		struct task task;
		int item, sum = 0, r = 1;

		task_start(&task, op_send_and_close, &send);
		STINT_CHAN_EACH (BACKGROUND, ch, &item, r) {
			assert_int_equal(r, 0);
			sum += item;
		}
		assert_int_equal(r, -EPIPE);
		assert_int_equal(sum, 5 + 4 + 3 + 2 + 1);
		task_join(&task);
		stint_chan_free(ch);
	}
}

static void
each_ends_with_the_context_and_says_so(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 4);
	struct stint_receiver in = stint_chan_receiver(ch);
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	int item = 1, count = 0, r;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(stint_chan_try_send(ch, &item), 0);
	STINT_RECEIVER_EACH (ctx, in, &item, r)
		if (++count == 2)
			stint_ctx_cancel(ctx);
	assert_int_equal(r, -ECANCELED);
	assert_int_equal(count, 2);
	STINT_RECEIVER_EACH (BACKGROUND, in, &item, r)
		break;
	assert_int_equal(r, 0);
	assert_int_equal(stint_chan_len(ch), 1);
	stint_ctx_free(ctx);
	stint_chan_free(ch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views_do_what_the_channel_does),
		cmocka_unit_test(views_are_cases_of_a_select),
		cmocka_unit_test(views_of_no_channel_are_never_ready),
		cmocka_unit_test(wrong_use_does_not_compile),
		cmocka_unit_test(each_runs_until_closed_and_says_so),
		cmocka_unit_test(each_ends_with_the_context_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
