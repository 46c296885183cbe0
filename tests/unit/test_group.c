/*
 * test_group.c - error groups: failures, contexts, waiting; the rest is in
 * test_group_limit.c and test_group_threads.c
 */
#include "tests/unit/task_util.h"

/* ---- failures ---- */

static void
group_without_tasks_has_ended(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);

	(void)state;
	assert_int_equal(finish(group).code, 0);
	stint_group_free(group);
	stint_group_free(new_group(BACKGROUND));
	stint_group_free(NULL);
}

static void
no_failure_is_no_failure(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_err first;

	(void)state;
	for (int i = 0; i < 10; i++)
		go(group, do_nothing, NULL);
	first = finish(group);
	assert_int_equal(first.code, 0);
	assert_string_equal(first.msg, "");
	stint_group_free(group);
}

/* One after the other, so that the order in time is known. */
static void
fail_in_turn(struct stint_group *group, char *words[], size_t count)
{
	assert_int_equal(stint_group_set_limit(group, 1), 0);
	for (size_t i = 0; i < count; i++)
		go(group, words[i] ? fail_as : do_nothing, words[i]);
}

static void
first_failure_in_time_wins(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	char *words[] = {NULL, "one", NULL, "two"};
	struct stint_err first;

	(void)state;
	fail_in_turn(group, words, 4);
	first = finish(group);
	assert_int_equal(first.code, -EIO);
	assert_string_equal(first.msg, "one");
	first = finish(group); /* again the same */
	assert_string_equal(first.msg, "one");
	stint_group_free(group);
}

static void
first_failure_is_the_cause_of_the_groups_context(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	char *words[] = {"one", "two"};
	struct stint_err cause;

	(void)state;
	fail_in_turn(group, words, 2);
	assert_int_equal(finish(group).code, -EIO);
	assert_int_equal(stint_ctx_err(stint_group_ctx(group)), -ECANCELED);
	assert_int_equal(stint_ctx_cause(stint_group_ctx(group), &cause), -EIO);
	assert_string_equal(cause.msg, "one");
	stint_group_free(group);
}

static void
failure_ends_the_others_with_it_as_the_cause(void **state)
{
	enum { OTHERS = 4 };
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_err errs[OTHERS + 1];
	size_t count = 0;

	(void)state;
	for (int i = 0; i < OTHERS; i++)
		go(group, sleep_until_end, NULL);
	go(group, fail_as, "broken");
	assert_int_equal(
		stint_group_wait_all(BACKGROUND, group, errs, OTHERS + 1, &count), 0);
	assert_int_equal(count, OTHERS + 1);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(errs[i].code, -EIO);
		assert_string_equal(errs[i].msg, "broken");
	}
	stint_group_free(group);
}

static void
wait_ends_the_groups_context(void **state)
{
	struct stint_ctx *parent = new_ctx(BACKGROUND);
	struct stint_group *group = new_group(parent);

	(void)state;
	go(group, do_nothing, NULL);
	assert_int_equal(stint_ctx_err(stint_group_ctx(group)), 0);
	assert_int_equal(finish(group).code, 0);
	assert_int_equal(stint_ctx_err(stint_group_ctx(group)), -ECANCELED);
	assert_int_equal(stint_ctx_err(parent), 0);
	stint_group_free(group);
	stint_ctx_free(parent);
}

static void
end_of_the_parent_reaches_the_tasks(void **state)
{
	struct stint_ctx *parent = new_ctx(BACKGROUND);
	struct stint_group *group = new_group(parent);

	(void)state;
	go(group, sleep_until_end, NULL);
	stint_ctx_cancel_cause(parent, -ENODEV, "unplugged");
	assert_string_equal(finish(group).msg, "unplugged");
	stint_group_free(group);
	stint_ctx_free(parent);
}

static void
task_that_is_started_after_a_failure_finds_its_context_ended(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_err errs[2];
	size_t count = 0;

	(void)state;
	go(group, fail_as, "broken");
	wait_until(stint_ctx_err(stint_group_ctx(group)) < 0);
	go(group, sleep_until_end, NULL);
	assert_int_equal(stint_group_wait_all(BACKGROUND, group, errs, 2, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(errs[1].msg, "broken");
	stint_group_free(group);
}

static void
all_failures_come_in_the_order_in_time(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	char *words[] = {"one", NULL, "two", "three"};
	struct stint_err errs[3] = {{0}};
	size_t count = 0;

	(void)state;
	fail_in_turn(group, words, 4);
	assert_int_equal(stint_group_wait_all(BACKGROUND, group, errs, 2, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(errs[0].msg, "one");
	assert_string_equal(errs[1].msg, "two");
	assert_string_equal(errs[2].msg, ""); /* no room for it */
	assert_int_equal(stint_group_wait_all(BACKGROUND, group, NULL, 0, &count), 0);
	assert_int_equal(count, 3);
	stint_group_free(group);
}

static void
failure_that_nobody_took_is_told_at_the_end(void **state)
{
	struct stint_group *group = NULL;
	struct heard heard;

	(void)state;
	assert_int_equal(stint_group_new_at(BACKGROUND, &group, "x.c:1"), 0);
	assert_int_equal(stint_group_set_limit(group, 1), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(stint_group_go_at(BACKGROUND, group, "test", fail_as,
					 "bad", "x.c:2"),
			0);
	listen_to_stderr(&heard);
	stint_group_free(group);
	stop_listening(&heard);
	assert_string_equal(heard.text,
		"stint: group made at x.c:1: 2 failed, unseen: take failures with "
		"stint_group_wait(); first, task \"test\" made at x.c:2: bad\n");
}

static void
failure_that_was_taken_is_not_told(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct heard heard;

	(void)state;
	go(group, fail_as, "one");
	listen_to_stderr(&heard);
	assert_int_equal(finish(group).code, -EIO);
	stint_group_free(group);
	group = new_group(BACKGROUND);
	go(group, do_nothing, NULL);
	stint_group_free(group);
	stop_listening(&heard);
	assert_string_equal(heard.text, "");
}

/* ---- waiting ---- */

static void
wait_is_bounded_and_may_be_tried_again(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_ctx *ended = new_ctx(BACKGROUND), *late = NULL;
	struct stint_chan *ch = new_chan(0, 0);
	struct stint_err first = {1, "kept"};

	(void)state;
	go(group, sleep_until_closed, ch);
	stint_ctx_cancel(ended);
	assert_int_equal(stint_group_wait(ended, group, &first), -ECANCELED);
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 5, &late), 0);
	assert_int_equal(stint_group_wait(late, group, &first), -ETIMEDOUT);
	assert_string_equal(first.msg, "kept");
	assert_int_equal(stint_ctx_err(stint_group_ctx(group)), 0);
	go(group, do_nothing, NULL);
	assert_int_equal(stint_chan_close(ch), 0);
	assert_int_equal(finish(group).code, 0);
	assert_int_equal(stint_group_wait(ended, group, &first), 0); /* an end wins */
	stint_chan_free(ch);
	stint_ctx_free(late);
	stint_ctx_free(ended);
	stint_group_free(group);
}

static void
nothing_is_started_after_the_wait(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);

	(void)state;
	assert_int_equal(finish(group).code, 0);
	assert_int_equal(
		stint_group_go(BACKGROUND, group, "test", do_nothing, NULL), -EPIPE);
	assert_int_equal(stint_group_try_go(group, "test", do_nothing, NULL), -EPIPE);
	stint_group_free(group);
}

static int
wait_for_own_group(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_err first;

	(void)err;
	return stint_group_wait(ctx, arg, &first);
}

static void
task_that_would_wait_for_its_own_group_is_told(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);

	(void)state;
	go(group, wait_for_own_group, group);
	assert_int_equal(finish(group).code, -EDEADLK);
	stint_group_free(group);
}

static void
free_ends_the_tasks_and_waits_for_them(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct heard heard;

	(void)state;
	go(group, sleep_until_end, NULL);
	listen_to_stderr(&heard);
	stint_group_free(group);
	stop_listening(&heard);
	assert_non_null(strstr(heard.text, ": cancelled\n"));
}

static int
free_own_group(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)err;
	stint_group_free(arg);
	return 0;
}

static void
task_that_would_free_its_own_group_does_not(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct heard heard;

	(void)state;
	listen_to_stderr(&heard);
	go(group, free_own_group, group);
	assert_int_equal(finish(group).code, 0);
	stop_listening(&heard);
	assert_non_null(strstr(heard.text, "one of its own tasks"));
	stint_group_free(group);
}

struct family {
	struct stint_group *group;
	_Atomic int *born;
	int generations;
};

static int
have_two_children(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct family *parent = arg;
	int r = 0;

	(void)err;
	atomic_fetch_add(parent->born, 1);
	for (int i = 0; i < 2 && parent->generations > 1 && r == 0; i++) {
		struct family *child = malloc(sizeof(*child));

		if (!child)
			return -ENOMEM;
		*child = *parent;
		child->generations--;
		r = stint_group_go(ctx, child->group, "child", have_two_children, child);
		if (r < 0)
			free(child);
	}
	free(parent);
	return r;
}

static void
tasks_start_tasks_and_the_wait_is_for_all(void **state)
{
	enum { GENERATIONS = 7 };
	struct stint_group *group = new_group(BACKGROUND);
	struct family *eldest = malloc(sizeof(*eldest));
	_Atomic int born = 0;

	(void)state;
	assert_non_null(eldest);
	*eldest = (struct family){group, &born, GENERATIONS};
	go(group, have_two_children, eldest);
	assert_int_equal(finish(group).code, 0);
	assert_int_equal(born, (1 << GENERATIONS) - 1);
	stint_group_free(group);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(group_without_tasks_has_ended),
		cmocka_unit_test(no_failure_is_no_failure),
		cmocka_unit_test(first_failure_in_time_wins),
		cmocka_unit_test(first_failure_is_the_cause_of_the_groups_context),
		cmocka_unit_test(failure_ends_the_others_with_it_as_the_cause),
		cmocka_unit_test(wait_ends_the_groups_context),
		cmocka_unit_test(end_of_the_parent_reaches_the_tasks),
		cmocka_unit_test(
			task_that_is_started_after_a_failure_finds_its_context_ended),
		cmocka_unit_test(all_failures_come_in_the_order_in_time),
		cmocka_unit_test(failure_that_nobody_took_is_told_at_the_end),
		cmocka_unit_test(failure_that_was_taken_is_not_told),
		cmocka_unit_test(wait_is_bounded_and_may_be_tried_again),
		cmocka_unit_test(nothing_is_started_after_the_wait),
		cmocka_unit_test(task_that_would_wait_for_its_own_group_is_told),
		cmocka_unit_test(free_ends_the_tasks_and_waits_for_them),
		cmocka_unit_test(task_that_would_free_its_own_group_does_not),
		cmocka_unit_test(tasks_start_tasks_and_the_wait_is_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
