/*
 * test_task.c - tasks: results, contexts, joining
 */
#include "tests/unit/task_util.h"

#include <signal.h>
#include <sys/prctl.h>

static struct stint_task *
start(struct stint_ctx *ctx, stint_task_fn fn, void *arg)
{
	struct stint_task *task = NULL;

	assert_int_equal(stint_task_start(ctx, "test", fn, arg, &task), 0);
	return task;
}

static struct stint_err
join(struct stint_task *task)
{
	struct stint_err result = {1, "not written"};

	assert_int_equal(stint_task_join(BACKGROUND, task, &result), 0);
	return result;
}

static struct stint_err
result_of(stint_task_fn fn, void *arg)
{
	return join(start(BACKGROUND, fn, arg));
}

/* ---- results ---- */

static int
add_one(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)err;
	++*(int *)arg;
	return 0;
}

static int
fail_in_words(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	return stint_err_set(err, -EIO, "cannot read %s", (const char *)arg);
}

static int
return_number(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)err;
	return *(int *)arg;
}

static int
recover(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)fail_in_words(ctx, arg, err);
	return 0;
}

static int
fail_with_the_words_of_another(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)fail_in_words(ctx, arg, err);
	return -EPROTO;
}

static void
what_a_task_did_is_there_after_the_join(void **state)
{
	int number = 41;
	struct stint_err result = result_of(add_one, &number);

	(void)state;
	assert_int_equal(result.code, 0);
	assert_string_equal(result.msg, "");
	assert_int_equal(number, 42);
}

static void
failure_travels_in_its_own_words(void **state)
{
	struct stint_err result = result_of(fail_in_words, "x");

	(void)state;
	assert_int_equal(result.code, -EIO);
	assert_string_equal(result.msg, "cannot read x");
}

static void
failure_without_words_gets_those_of_the_system(void **state)
{
	int number = -ENOSPC;
	struct stint_err result = result_of(return_number, &number);

	(void)state;
	assert_int_equal(result.code, -ENOSPC);
	assert_string_equal(result.msg, "No space left on device");
	number = -12345;
	result = result_of(return_number, &number);
	assert_int_equal(result.code, -12345);
	assert_string_equal(result.msg, "unknown error");
}

static void
positive_result_is_a_failure_that_says_so(void **state)
{
	int number = 3;
	struct stint_err result = result_of(return_number, &number);

	(void)state;
	assert_int_equal(result.code, -EINVAL);
	assert_string_equal(
		result.msg, "returned 3, neither 0 nor a negative errno value");
}

static void
code_is_the_returned_one_whatever_the_words(void **state)
{
	struct stint_err result = result_of(recover, "x");

	(void)state;
	assert_int_equal(result.code, 0);
	assert_string_equal(result.msg, "");
	result = result_of(fail_with_the_words_of_another, "x");
	assert_int_equal(result.code, -EPROTO);
	assert_string_equal(result.msg, "cannot read x");
}

/* ---- threads ---- */

static int
tell_name(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)err;
	return prctl(PR_GET_NAME, arg) < 0 ? -errno : 0;
}

static void
name_is_that_of_the_thread_cut_at_15_bytes(void **state)
{
	struct stint_task *task;
	char name[16] = "";

	(void)state;
	assert_int_equal(result_of(tell_name, name).code, 0);
	assert_string_equal(name, "test");
	assert_int_equal(stint_task_start(BACKGROUND, "0123456789abcdefgh", tell_name,
				 name, &task),
		0);
	assert_int_equal(join(task).code, 0);
	assert_string_equal(name, "0123456789abcde");
	assert_int_equal(stint_task_start(BACKGROUND, NULL, tell_name, name, &task), 0);
	assert_int_equal(join(task).code, 0);
	assert_string_equal(name, "task");
}

static int
tell_mask(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)err;
	return -pthread_sigmask(SIG_SETMASK, NULL, arg);
}

static void
signal_mask_is_that_of_the_starter(void **state)
{
	sigset_t mask, before, seen;

	(void)state;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &mask, &before), 0);
	assert_int_equal(result_of(tell_mask, &seen).code, 0);
	assert_int_equal(sigismember(&seen, SIGUSR2), 1);
	assert_int_equal(sigismember(&seen, SIGUSR1), 0);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

static void
no_thread_is_left_after_the_join(void **state)
{
	enum { ROUNDS = 50 };
	size_t before = thread_count();
	int number = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(result_of(add_one, &number).code, 0);
	assert_int_equal(number, ROUNDS);
	wait_until(thread_count() == before);
}

static void
thread_that_cannot_be_had_is_an_error(void **state)
{
	struct stint_task *task = NULL;
	int number = 0, wanted, r;

	(void)state;
	wanted = forbid_threads();
	r = stint_task_start(BACKGROUND, "test", add_one, &number, &task);
	allow_threads();
	assert_int_equal(r, wanted);
	assert_null(task);
	assert_int_equal(number, 0);
}

/* ---- contexts ---- */

static void
cancel_ends_the_task_and_not_what_is_above(void **state)
{
	struct stint_ctx *parent = new_ctx(BACKGROUND);
	struct stint_task *task = start(parent, sleep_until_end, NULL);
	struct stint_err result;

	(void)state;
	stint_task_cancel(task);
	result = join(task);
	assert_int_equal(result.code, -ECANCELED);
	assert_string_equal(result.msg, "cancelled");
	assert_int_equal(stint_ctx_err(parent), 0);
	stint_ctx_free(parent);
}

static void
end_of_the_parent_ends_the_task_with_its_cause(void **state)
{
	struct stint_ctx *parent = new_ctx(BACKGROUND);
	struct stint_task *task = start(parent, sleep_until_end, NULL);
	struct stint_err result;

	(void)state;
	stint_ctx_cancel_cause(parent, -ENODEV, "unplugged");
	result = join(task);
	assert_int_equal(result.code, -ENODEV);
	assert_string_equal(result.msg, "unplugged");
	stint_ctx_free(parent);
}

static void
deadline_of_the_parent_ends_the_task(void **state)
{
	struct stint_ctx *parent = NULL;

	(void)state;
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 10, &parent), 0);
	assert_int_equal(join(start(parent, sleep_until_end, NULL)).code, -ETIMEDOUT);
	stint_ctx_free(parent);
}

static void
task_of_an_ended_context_runs_and_finds_it_ended(void **state)
{
	struct stint_ctx *parent = new_ctx(BACKGROUND);

	(void)state;
	stint_ctx_cancel_cause(parent, -ENODEV, "unplugged");
	assert_string_equal(join(start(parent, sleep_until_end, NULL)).msg, "unplugged");
	stint_ctx_free(parent);
}

/* ---- joining ---- */

static void
join_is_bounded_and_may_be_tried_again(void **state)
{
	struct stint_task *task = start(BACKGROUND, sleep_until_end, NULL);
	struct stint_err result = {1, "kept"};
	struct stint_ctx *ended = new_ctx(BACKGROUND), *late = NULL;

	(void)state;
	stint_ctx_cancel(ended);
	assert_int_equal(stint_task_join(ended, task, &result), -ECANCELED);
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 5, &late), 0);
	assert_int_equal(stint_task_join(late, task, &result), -ETIMEDOUT);
	assert_string_equal(result.msg, "kept");
	stint_task_cancel(task);
	assert_int_equal(join(task).code, -ECANCELED);
	stint_ctx_free(late);
	stint_ctx_free(ended);
}

static int
close_channel(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)err;
	return stint_chan_close(arg);
}

static void
end_of_the_task_wins_over_an_ended_context(void **state)
{
	struct stint_ctx *ended = new_ctx(BACKGROUND);
	struct stint_chan *ch = new_chan(0, 0);
	struct stint_task *task = start(BACKGROUND, close_channel, ch);
	struct stint_err result = {1, "not written"};
	int r = -ECANCELED;

	(void)state;
	stint_ctx_cancel(ended);
	assert_int_equal(stint_chan_recv(BACKGROUND, ch, NULL), -EPIPE);
	wait_until((r = stint_task_join(ended, task, &result)) != -ECANCELED);
	assert_int_equal(r, 0);
	assert_int_equal(result.code, 0);
	stint_chan_free(ch);
	stint_ctx_free(ended);
}

static void
stop_ends_the_task_and_hands_out_its_result(void **state)
{
	struct stint_err result = {1, "not written"};

	(void)state;
	stint_task_stop(start(BACKGROUND, sleep_until_end, NULL), &result);
	assert_int_equal(result.code, -ECANCELED);
	stint_task_stop(start(BACKGROUND, fail_in_words, "y"), &result);
	assert_string_equal(result.msg, "cannot read y");
	stint_task_stop(NULL, &result);
	assert_int_equal(result.code, 0);
	assert_string_equal(result.msg, "");
}

static int
join_given(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_task *given = NULL;
	int r = stint_chan_recv(ctx, arg, &given);

	return r < 0 ? r : stint_task_join(ctx, given, err);
}

static void
task_that_would_join_itself_is_told(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(struct stint_task *), 0);
	struct stint_task *task = start(BACKGROUND, join_given, ch);

	(void)state;
	assert_int_equal(stint_chan_send(BACKGROUND, ch, &task), 0);
	assert_int_equal(join(task).code, -EDEADLK);
	stint_chan_free(ch);
}

static int
stop_given(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_task *given = NULL;
	int r = stint_chan_recv(ctx, arg, &given);

	if (r == 0)
		stint_task_stop(given, err);
	return r < 0 ? r : err->code;
}

static void
task_that_would_stop_itself_is_told(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(struct stint_task *), 0);
	struct stint_task *task = start(BACKGROUND, stop_given, ch);
	struct stint_err result;

	(void)state;
	assert_int_equal(stint_chan_send(BACKGROUND, ch, &task), 0);
	result = join(task);
	assert_int_equal(result.code, -EDEADLK);
	assert_string_equal(result.msg, "a task cannot stop itself");
	stint_chan_free(ch);
}

static void
handle_may_be_passed_on_and_joined_there(void **state)
{
	struct stint_chan *ch = new_chan(sizeof(struct stint_task *), 0);
	struct stint_task *joiner = start(BACKGROUND, join_given, ch), *task;
	int number = 0;

	(void)state;
	task = start(BACKGROUND, add_one, &number);
	assert_int_equal(stint_chan_send(BACKGROUND, ch, &task), 0);
	assert_int_equal(join(joiner).code, 0);
	assert_int_equal(number, 1);
	stint_chan_free(ch);
}

static void
cancel_races_with_the_end(void **state)
{
	enum { ROUNDS = 200 };
	struct stint_err result;
	int number = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct stint_task *task = start(BACKGROUND, add_one, &number);

		stint_task_cancel(task);
		stint_task_stop(task, &result);
		assert_int_equal(result.code, 0);
	}
	assert_int_equal(number, ROUNDS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_task_did_is_there_after_the_join),
		cmocka_unit_test(failure_travels_in_its_own_words),
		cmocka_unit_test(failure_without_words_gets_those_of_the_system),
		cmocka_unit_test(positive_result_is_a_failure_that_says_so),
		cmocka_unit_test(code_is_the_returned_one_whatever_the_words),
		cmocka_unit_test(name_is_that_of_the_thread_cut_at_15_bytes),
		cmocka_unit_test(signal_mask_is_that_of_the_starter),
		cmocka_unit_test(no_thread_is_left_after_the_join),
		cmocka_unit_test(thread_that_cannot_be_had_is_an_error),
		cmocka_unit_test(cancel_ends_the_task_and_not_what_is_above),
		cmocka_unit_test(end_of_the_parent_ends_the_task_with_its_cause),
		cmocka_unit_test(deadline_of_the_parent_ends_the_task),
		cmocka_unit_test(task_of_an_ended_context_runs_and_finds_it_ended),
		cmocka_unit_test(join_is_bounded_and_may_be_tried_again),
		cmocka_unit_test(end_of_the_task_wins_over_an_ended_context),
		cmocka_unit_test(stop_ends_the_task_and_hands_out_its_result),
		cmocka_unit_test(task_that_would_join_itself_is_told),
		cmocka_unit_test(task_that_would_stop_itself_is_told),
		cmocka_unit_test(handle_may_be_passed_on_and_joined_there),
		cmocka_unit_test(cancel_races_with_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
