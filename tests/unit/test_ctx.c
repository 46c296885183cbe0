/*
 * test_ctx.c - contexts: ends, causes, deadlines, descriptors
 */
#include "tests/unit/conc_util.h"

#include <fcntl.h>
#include <sys/resource.h>

static void
background_never_ends(void **state)
{
	struct stint_ctx *bg = BACKGROUND;

	(void)state;
	stint_ctx_cancel(bg);
	stint_ctx_cancel_cause(bg, -EIO, "no");
	stint_ctx_free(bg);
	assert_int_equal(stint_ctx_err(bg), 0);
	assert_int_equal(stint_ctx_cause(bg, NULL), 0);
	assert_true(stint_ctx_deadline(bg) == STINT_NEVER);
	assert_int_equal(stint_ctx_done_fd(bg), -EOPNOTSUPP);
	stint_ctx_free(NULL);
}

static void
cancel_ends_and_says_so(void **state)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct stint_err cause = {.code = 1, .msg = "stale"};

	(void)state;
	assert_int_equal(stint_ctx_err(ctx), 0);
	assert_int_equal(stint_ctx_cause(ctx, &cause), 0);
	assert_int_equal(cause.code, 0);
	assert_string_equal(cause.msg, "");
	stint_ctx_cancel(ctx);
	assert_int_equal(stint_ctx_err(ctx), -ECANCELED);
	assert_int_equal(stint_ctx_cause(ctx, &cause), -ECANCELED);
	assert_int_equal(cause.code, -ECANCELED);
	assert_string_equal(cause.msg, "cancelled");
	stint_ctx_free(ctx);
}

static void
first_cause_wins_and_keeps_its_words(void **state)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	char why[] = "disk is full";
	struct stint_err cause;

	(void)state;
	stint_ctx_cancel_cause(ctx, -ENOSPC, why);
	why[0] = '?';
	stint_ctx_cancel_cause(ctx, -EIO, "late");
	stint_ctx_cancel(ctx);
	assert_int_equal(stint_ctx_err(ctx), -ECANCELED);
	assert_int_equal(stint_ctx_cause(ctx, &cause), -ENOSPC);
	assert_string_equal(cause.msg, "disk is full");
	stint_ctx_free(ctx);
}

static void
cause_without_code_or_words_is_filled_in(void **state)
{
	static const struct {
		int code;
		const char *why;
		int want_code;
		const char *want_msg;
	} rows[] = {
		{0, NULL, -ECANCELED, "cancelled"},
		{0, "enough", -ECANCELED, "enough"},
		{-EIO, NULL, -EIO, "Input/output error"},
		{-99999, NULL, -99999, "unknown error"},
		{-EIO, "100%s", -EIO, "100%s"},
		{EIO, NULL, -EINVAL, "Invalid argument"},
		{EIO, "cable cut", -EINVAL, "cable cut"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct stint_ctx *ctx = new_ctx(BACKGROUND);
		struct stint_err cause;

		stint_ctx_cancel_cause(ctx, rows[i].code, rows[i].why);
		assert_int_equal(stint_ctx_cause(ctx, &cause), rows[i].want_code);
		assert_string_equal(cause.msg, rows[i].want_msg);
		stint_ctx_free(ctx);
	}
}

static void
parents_end_reaches_all_descendants_with_its_cause(void **state)
{
	enum { LEVELS = 4, WIDTH = 3, COUNT = LEVELS * WIDTH };
	struct stint_ctx *root = new_ctx(BACKGROUND), *ctx[COUNT];
	struct stint_err cause;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		ctx[i] = new_ctx(i < WIDTH ? root : ctx[i - WIDTH]);
	stint_ctx_cancel_cause(root, -EIO, "cable cut");
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(stint_ctx_err(ctx[i]), -ECANCELED);
		assert_int_equal(stint_ctx_cause(ctx[i], &cause), -EIO);
		assert_string_equal(cause.msg, "cable cut");
		stint_ctx_free(ctx[i]);
	}
	stint_ctx_free(root);
}

static void
childs_end_leaves_parent_and_siblings_alone(void **state)
{
	struct stint_ctx *root = new_ctx(BACKGROUND);
	struct stint_ctx *one = new_ctx(root), *two = new_ctx(root),
			 *below = new_ctx(one);

	(void)state;
	stint_ctx_cancel(one);
	assert_int_equal(stint_ctx_err(root), 0);
	assert_int_equal(stint_ctx_err(two), 0);
	assert_int_equal(stint_ctx_err(below), -ECANCELED);
	stint_ctx_free(two);
	stint_ctx_free(one);
	assert_int_equal(stint_ctx_err(root), 0);
	stint_ctx_free(below);
	stint_ctx_free(root);
}

static void
each_keeps_the_cause_that_came_first(void **state)
{
	struct stint_ctx *parent = new_ctx(BACKGROUND), *child = new_ctx(parent);

	(void)state;
	stint_ctx_cancel_cause(child, -EIO, "child");
	stint_ctx_cancel_cause(parent, -ENOSPC, "parent");
	assert_int_equal(stint_ctx_cause(child, NULL), -EIO);
	assert_int_equal(stint_ctx_cause(parent, NULL), -ENOSPC);
	stint_ctx_free(child);
	child = new_ctx(parent);
	stint_ctx_cancel_cause(child, -EIO, "child");
	assert_int_equal(stint_ctx_cause(child, NULL), -ENOSPC);
	stint_ctx_free(child);
	stint_ctx_free(parent);
}

static void
deadline_of_the_parent_is_the_cause_of_all_below(void **state)
{
	struct stint_ctx *late, *child, *without = NULL;
	struct stint_err cause;

	(void)state;
	stint_clock_set(0, 0);
	late = new_ctx_until(BACKGROUND, 100);
	child = new_ctx_until(late, 200);
	assert_int_equal(stint_ctx_without_cancel(child, &without), 0);
	stint_clock_set(100, 0);
	stint_ctx_cancel_cause(child, -EIO, "too late");
	assert_int_equal(stint_ctx_cause(child, &cause), -ETIMEDOUT);
	assert_string_equal(cause.msg, "deadline passed");
	assert_int_equal(stint_ctx_cause(late, NULL), -ETIMEDOUT);
	assert_int_equal(stint_ctx_cause(without, &cause), 0);
	stint_ctx_cancel_cause(without, -EIO, "its own");
	assert_int_equal(stint_ctx_cause(without, NULL), -EIO);
	stint_ctx_free(without);
	stint_ctx_free(child);
	stint_ctx_free(late);
}

static void
child_of_ended_parent_is_born_ended(void **state)
{
	struct stint_ctx *parent = new_ctx(BACKGROUND), *child, *grandchild;
	struct stint_err cause;

	(void)state;
	stint_ctx_cancel_cause(parent, -EIO, "before");
	child = new_ctx_until(parent, stint_at_ms(10));
	grandchild = new_ctx(child);
	stint_ctx_free(parent);
	stint_ctx_free(child);
	assert_int_equal(stint_ctx_err(grandchild), -ECANCELED);
	assert_int_equal(stint_ctx_cause(grandchild, &cause), -EIO);
	assert_string_equal(cause.msg, "before");
	wait_until(fd_is_readable(stint_ctx_done_fd(grandchild)));
	stint_ctx_free(grandchild);
}

static void
freeing_ends_the_children_which_live_on(void **state)
{
	struct stint_ctx *root = new_ctx(BACKGROUND);
	struct stint_ctx *middle = new_ctx_until(root, stint_at_ms(60000));
	struct stint_ctx *leaf = new_ctx(middle);

	(void)state;
	stint_ctx_free(middle);
	assert_int_equal(stint_ctx_err(root), 0);
	assert_int_equal(stint_ctx_err(leaf), -ECANCELED);
	stint_ctx_free(root);
	assert_int_equal(stint_ctx_cause(leaf, NULL), -ECANCELED);
	wait_until(fd_is_readable(stint_ctx_done_fd(leaf)));
	stint_ctx_cancel(leaf);
	stint_ctx_free(leaf);
}

static void
deadline_passes_by_the_clock(void **state)
{
	struct stint_ctx *ctx, *past;
	struct stint_err cause;

	(void)state;
	stint_clock_set(1000, 0);
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 500, &ctx), 0);
	assert_true(stint_ctx_deadline(ctx) == 1500);
	stint_clock_set(1499, 0);
	assert_int_equal(stint_ctx_err(ctx), 0);
	stint_clock_set(1500, 0);
	assert_int_equal(stint_ctx_err(ctx), -ETIMEDOUT);
	assert_int_equal(stint_ctx_cause(ctx, &cause), -ETIMEDOUT);
	assert_string_equal(cause.msg, "deadline passed");
	past = new_ctx_until(BACKGROUND, 1499);
	assert_int_equal(stint_ctx_err(past), -ETIMEDOUT);
	stint_clock_set(0, 0);
	assert_int_equal(stint_ctx_err(ctx), -ETIMEDOUT);
	stint_ctx_free(ctx);
	stint_ctx_free(past);
}

static void
earlier_deadline_of_parent_and_child_wins(void **state)
{
	struct stint_ctx *outer, *later, *sooner;

	(void)state;
	stint_clock_set(0, 0);
	outer = new_ctx_until(BACKGROUND, 100);
	later = new_ctx_until(outer, 200);
	sooner = new_ctx_until(outer, 50);
	assert_true(stint_ctx_deadline(later) == 100);
	assert_true(stint_ctx_deadline(sooner) == 50);
	stint_clock_set(50, 0);
	assert_int_equal(stint_ctx_err(sooner), -ETIMEDOUT);
	assert_int_equal(stint_ctx_err(later), 0);
	stint_clock_set(100, 0);
	assert_int_equal(stint_ctx_err(later), -ETIMEDOUT);
	assert_int_equal(stint_ctx_err(outer), -ETIMEDOUT);
	stint_ctx_free(outer);
	stint_ctx_free(later);
	stint_ctx_free(sooner);
}

static void
whichever_of_cancel_and_deadline_was_first_counts(void **state)
{
	struct stint_ctx *cancelled, *late, *parent, *child;

	(void)state;
	stint_clock_set(0, 0);
	cancelled = new_ctx_until(BACKGROUND, 100);
	late = new_ctx_until(BACKGROUND, 100);
	parent = new_ctx(BACKGROUND);
	child = new_ctx_until(parent, 100);
	stint_ctx_cancel_cause(cancelled, -EIO, "early");
	stint_clock_set(100, 0);
	stint_ctx_cancel_cause(late, -EIO, "too late"); /* nobody has looked before */
	stint_ctx_cancel_cause(parent, -EIO, "too late for the child");
	assert_int_equal(stint_ctx_err(cancelled), -ECANCELED);
	assert_int_equal(stint_ctx_cause(cancelled, NULL), -EIO);
	assert_int_equal(stint_ctx_err(late), -ETIMEDOUT);
	assert_int_equal(stint_ctx_cause(late, NULL), -ETIMEDOUT);
	assert_int_equal(stint_ctx_err(child), -ETIMEDOUT);
	assert_int_equal(stint_ctx_cause(parent, NULL), -EIO);
	stint_ctx_free(cancelled);
	stint_ctx_free(late);
	stint_ctx_free(child);
	stint_ctx_free(parent);
}

static void
timeouts_of_any_size_are_kept_apart_from_never(void **state)
{
	struct stint_ctx *ctx;

	(void)state;
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, STINT_NEVER, &ctx), 0);
	assert_true(stint_ctx_deadline(ctx) == STINT_NEVER);
	assert_int_equal(stint_ctx_err(ctx), 0);
	stint_ctx_free(ctx);
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, STINT_NEVER - 1, &ctx), 0);
	assert_int_equal(stint_ctx_err(ctx), 0);
	assert_false(fd_is_readable(stint_ctx_done_fd(ctx)));
	stint_ctx_free(ctx);
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, -5, &ctx), 0);
	assert_int_equal(stint_ctx_err(ctx), -ETIMEDOUT);
	stint_ctx_free(ctx);
	ctx = new_ctx_until(BACKGROUND, INT64_MIN);
	wait_until(fd_is_readable(stint_ctx_done_fd(ctx)));
	assert_int_equal(stint_ctx_err(ctx), -ETIMEDOUT);
	stint_ctx_free(ctx);
}

static void
done_fd_turns_readable_at_the_end_only(void **state)
{
	struct stint_ctx *root = new_ctx(BACKGROUND), *child = new_ctx(root), *late;
	int fd = stint_ctx_done_fd(child), late_fd;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(stint_ctx_done_fd(child), fd);
	assert_false(fd_is_readable(fd));
	stint_ctx_cancel(root);
	wait_until(fd_is_readable(fd));
	wait_until(fd_is_readable(stint_ctx_done_fd(root)));
	stint_ctx_free(child);
	stint_ctx_free(root);

	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 20, &late), 0);
	late_fd = stint_ctx_done_fd(late);
	wait_until(fd_is_readable(late_fd));
	assert_int_equal(stint_ctx_err(late), -ETIMEDOUT);
	stint_ctx_free(late);

	late = new_ctx_until(BACKGROUND, stint_at_ms(60000));
	late_fd = stint_ctx_done_fd(late);
	assert_false(fd_is_readable(late_fd));
	stint_ctx_cancel(late);
	wait_until(fd_is_readable(late_fd));
	stint_ctx_free(late);
}

static void
done_fd_closes_with_the_context_and_fails_in_words(void **state)
{
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct rlimit old, none;
	int fd;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(stint_ctx_done_fd(ctx), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	fd = stint_ctx_done_fd(ctx);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	stint_ctx_free(ctx);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void
cancel_wakes_all_who_wait_with_it_or_below(void **state)
{
	enum { COUNT = 6 };
	struct stint_ctx *root = new_ctx(BACKGROUND), *other = new_ctx(BACKGROUND);
	struct stint_ctx *child = new_ctx_until(root, stint_at_ms(60000));
	struct stint_chan *ch = new_chan(sizeof(int), 0);
	struct op op[COUNT], outside = {.ctx = other, .ch = ch};
	struct task task[COUNT], out_task;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		op[i] = (struct op){.ctx = i % 2 ? root : child, .ch = ch};
		task_start(&task[i], op_recv, &op[i]);
	}
	task_start(&out_task, op_recv, &outside);
	for (int i = 0; i < COUNT; i++)
		wait_until(task_sleeps(&task[i]));
	wait_until(task_sleeps(&out_task));
	stint_ctx_cancel(root);
	for (int i = 0; i < COUNT; i++) {
		task_join(&task[i]);
		assert_int_equal(op[i].result, -ECANCELED);
	}
	assert_true(task_sleeps(&out_task));
	stint_ctx_cancel(other);
	task_join(&out_task);
	assert_int_equal(outside.result, -ECANCELED);
	stint_chan_free(ch);
	stint_ctx_free(other);
	stint_ctx_free(child);
	stint_ctx_free(root);
}

static void
waiting_ends_at_the_deadline(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	int64_t begin_ms = real_ms();
	struct stint_ctx *parent, *ctx;
	int item;

	(void)state;
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 30, &parent), 0);
	ctx = new_ctx(parent);
	assert_int_equal(stint_chan_recv(ctx, ch, &item), -ETIMEDOUT);
	assert_true(real_ms() - begin_ms >= 29);
	assert_int_equal(stint_chan_recv(parent, ch, &item), -ETIMEDOUT);
	stint_ctx_free(ctx);
	stint_ctx_free(parent);
	stint_chan_free(ch);
}

static void
who_sleeps_to_a_deadline_looks_at_the_scripted_clock(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(int), 1);
	struct op op = {.ch = ch};
	struct task task;

	(void)state;
	stint_clock_set(1000, 0);
	op.ctx = new_ctx_until(BACKGROUND, 1020);
	task_start(&task, op_recv, &op);
	wait_until(task_sleeps(&task));
	stint_clock_set(1020, 0);
	task_join(&task);
	assert_int_equal(op.result, -ETIMEDOUT);
	stint_ctx_free(op.ctx);
	stint_chan_free(ch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(background_never_ends),
		cmocka_unit_test(cancel_ends_and_says_so),
		cmocka_unit_test(first_cause_wins_and_keeps_its_words),
		cmocka_unit_test(cause_without_code_or_words_is_filled_in),
		cmocka_unit_test(parents_end_reaches_all_descendants_with_its_cause),
		cmocka_unit_test(childs_end_leaves_parent_and_siblings_alone),
		cmocka_unit_test(each_keeps_the_cause_that_came_first),
		cmocka_unit_test_teardown(
			deadline_of_the_parent_is_the_cause_of_all_below, reset_clock),
		cmocka_unit_test(child_of_ended_parent_is_born_ended),
		cmocka_unit_test(freeing_ends_the_children_which_live_on),
		cmocka_unit_test_teardown(deadline_passes_by_the_clock, reset_clock),
		cmocka_unit_test_teardown(
			earlier_deadline_of_parent_and_child_wins, reset_clock),
		cmocka_unit_test_teardown(
			whichever_of_cancel_and_deadline_was_first_counts, reset_clock),
		cmocka_unit_test(timeouts_of_any_size_are_kept_apart_from_never),
		cmocka_unit_test(done_fd_turns_readable_at_the_end_only),
		cmocka_unit_test(done_fd_closes_with_the_context_and_fails_in_words),
		cmocka_unit_test(cancel_wakes_all_who_wait_with_it_or_below),
		cmocka_unit_test(waiting_ends_at_the_deadline),
		cmocka_unit_test_teardown(
			who_sleeps_to_a_deadline_looks_at_the_scripted_clock,
			reset_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
