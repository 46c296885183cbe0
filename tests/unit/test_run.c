/*
 * test_run.c - one function over many inputs
 */
#include "tests/unit/conc_util.h"

#include <dirent.h>

enum { THREAD_NAME_BYTES = 16 };

/* What the functions under test have seen; every test begins with a clean one. */
static struct probe {
	_Atomic int begun;
	_Atomic int active;
	_Atomic int most_active;
	_Atomic int threads; /* of the process, at most */
	struct stint_ctx *ctx;
	struct stint_chan *ch;
} probe;

static int
setup(void **state)
{
	(void)state;
	memset(&probe, 0, sizeof(probe));
	return 0;
}

static int
thread_count(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

static void
raise_to(_Atomic int *most, int value)
{
	int old = atomic_load(most);

	while (old < value && !atomic_compare_exchange_weak(most, &old, value))
		;
}

/* For functions under test, where an assertion would be in the wrong thread. */
static bool
comes_true(bool (*cond)(void))
{
	int64_t give_up_at_ms = real_ms() + WAIT_AT_MOST_MS;

	while (!cond()) {
		if (real_ms() > give_up_at_ms)
			return false;
		usleep(LOOK_EVERY_US);
	}
	return true;
}

static struct stint_results *
run_it(struct stint_ctx *ctx, size_t concurrency, const struct stint_run *run)
{
	struct stint_results *results = NULL;

	assert_int_equal(stint_pool_run(ctx, concurrency, run, &results), 0);
	assert_non_null(results);
	assert_int_equal(stint_results_count(results), run->count);
	return results;
}

static int
square(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	const int *number = input;
	int64_t *result = ret_output;

	(void)ctx, (void)err;
	if (*result != 0)
		return -EEXIST;
	*result = (int64_t)*number * *number + *(int *)arg;
	return 0;
}

static void
outputs_stand_in_the_order_of_the_inputs(void **state)
{
	enum { COUNT = 20000 };
	static int inputs[COUNT];
	int add = 3;
	const struct stint_run run = {.fn = square,
		.arg = &add,
		.inputs = inputs,
		.count = COUNT,
		.input_bytes = sizeof(int),
		.output_bytes = sizeof(int64_t)};
	struct stint_results *results;
	struct stint_err err;
	int64_t result;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		inputs[i] = COUNT - i;
	results = run_it(BACKGROUND, 4, &run);
	assert_int_equal(stint_results_summary(results, &err), 0);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(stint_results_get(results, (size_t)i, &result, &err), 0);
		assert_int_equal(result, (int64_t)(COUNT - i) * (COUNT - i) + 3);
	}
	stint_results_free(results);
}

static int
fail_odd(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	const int *number = input;

	(void)ctx, (void)arg;
	*(int *)ret_output = *number;
	if (*number == 3)
		return -ENOENT;
	if (*number % 2)
		return stint_err_set(err, -EIO, "%d is odd", *number);
	return 0;
}

static void
failed_inputs_leave_the_others_alone(void **state)
{
	static const int inputs[] = {0, 1, 2, 3, 4, 5};
	const struct stint_run run = {.fn = fail_odd,
		.inputs = inputs,
		.count = 6,
		.input_bytes = sizeof(int),
		.output_bytes = sizeof(int)};
	struct stint_results *results;
	struct stint_err err;
	int result = -1;

	(void)state;
	results = run_it(BACKGROUND, 1, &run);
	assert_int_equal(stint_results_summary(results, &err), -EIO);
	assert_string_equal(err.msg, "3 of 6 failed, first: 1 is odd");
	for (size_t i = 0; i < 6; i += 2) {
		assert_int_equal(stint_results_get(results, i, &result, &err), 0);
		assert_int_equal(result, i);
	}
	assert_int_equal(stint_results_get(results, 3, &result, &err), -ENOENT);
	assert_string_equal(err.msg, "No such file or directory");
	assert_int_equal(stint_results_get(results, 5, &result, &err), -EIO);
	assert_string_equal(err.msg, "5 is odd");
	assert_int_equal(result, 4); /* what a failure left in its output is not shown */
	stint_results_free(results);
}

static int
say_seven(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	(void)ctx, (void)arg, (void)input, (void)ret_output, (void)err;
	return 7;
}

static void
positive_answer_is_a_failure(void **state)
{
	const struct stint_run run = {.fn = say_seven, .count = 1};
	struct stint_results *results;
	struct stint_err err;

	(void)state;
	results = run_it(BACKGROUND, 1, &run);
	assert_int_equal(stint_results_get(results, 0, NULL, &err), -EINVAL);
	assert_string_equal(err.msg, "returned 7, neither 0 nor a negative errno value");
	stint_results_free(results);
}

static bool
three_have_met(void)
{
	return atomic_load(&probe.most_active) >= 3;
}

static int
meet(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	bool have_met;

	(void)ctx, (void)arg, (void)input, (void)ret_output, (void)err;
	raise_to(&probe.most_active, atomic_fetch_add(&probe.active, 1) + 1);
	raise_to(&probe.threads, thread_count());
	have_met = comes_true(three_have_met);
	atomic_fetch_sub(&probe.active, 1);
	return have_met ? 0 : -ETIME;
}

static void
concurrency_is_used_and_never_exceeded(void **state)
{
	const struct stint_run run = {.fn = meet, .count = 300};
	int threads_before = thread_count();
	struct stint_results *results;
	struct stint_err err;

	(void)state;
	results = run_it(BACKGROUND, 3, &run);
	assert_int_equal(stint_results_summary(results, &err), 0);
	assert_int_equal(atomic_load(&probe.most_active), 3);
	assert_in_range(atomic_load(&probe.threads), 1, threads_before + 3);
	stint_results_free(results);
}

static void
there_are_no_more_threads_than_inputs(void **state)
{
	const struct stint_run run = {.fn = meet, .count = 3};
	int threads_before = thread_count();
	struct stint_results *results;
	struct stint_err err;

	(void)state;
	results = run_it(BACKGROUND, 1000, &run);
	assert_int_equal(stint_results_summary(results, &err), 0);
	assert_in_range(atomic_load(&probe.threads), 1, threads_before + 3);
	stint_results_free(results);
}

static int
tell_name(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	(void)ctx, (void)arg, (void)input, (void)err;
	return -pthread_getname_np(pthread_self(), ret_output, THREAD_NAME_BYTES);
}

static void
threads_are_named(void **state)
{
	struct stint_run run = {
		.fn = tell_name, .count = 1, .output_bytes = THREAD_NAME_BYTES};
	struct stint_results *results;
	char name[THREAD_NAME_BYTES];
	struct stint_err err;

	(void)state;
	results = run_it(BACKGROUND, 1, &run);
	assert_int_equal(stint_results_get(results, 0, name, &err), 0);
	assert_string_equal(name, "run/0");
	stint_results_free(results);

	run.name = "thumbnails-of-cats";
	results = run_it(BACKGROUND, 1, &run);
	assert_int_equal(stint_results_get(results, 0, name, &err), 0);
	assert_string_equal(name, "thumbnails/0");
	stint_results_free(results);
}

enum { INPUTS = 8, LAST_BEGUN = 2 };

static int
cancel_at_three(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	(void)ctx, (void)arg, (void)input, (void)ret_output, (void)err;
	if (atomic_fetch_add(&probe.begun, 1) == LAST_BEGUN)
		stint_ctx_cancel_cause(probe.ctx, -ENOSPC, "the disk is full");
	return 0;
}

static void
inputs_not_begun_are_marked_with_the_cause(void **state)
{
	const struct stint_run run = {.fn = cancel_at_three, .count = INPUTS};
	struct stint_results *results;
	struct stint_err err;

	(void)state;
	probe.ctx = new_ctx(BACKGROUND);
	results = run_it(probe.ctx, 1, &run);
	assert_int_equal(atomic_load(&probe.begun), LAST_BEGUN + 1);
	for (size_t i = 0; i <= LAST_BEGUN; i++)
		assert_int_equal(stint_results_get(results, i, NULL, &err), 0);
	for (size_t i = LAST_BEGUN + 1; i < INPUTS; i++) {
		assert_int_equal(stint_results_get(results, i, NULL, &err), -ECANCELED);
		assert_string_equal(err.msg, "not begun: the disk is full");
	}
	stint_results_free(results);
	stint_ctx_free(probe.ctx);
}

static int
take_two_ms(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	(void)ctx, (void)arg, (void)input, (void)ret_output, (void)err;
	stint_clock_set(stint_now_ms() + 2, 0);
	atomic_fetch_add(&probe.begun, 1);
	return 0;
}

static void
inputs_after_the_deadline_are_marked(void **state)
{
	const struct stint_run run = {.fn = take_two_ms, .count = INPUTS};
	struct stint_results *results;
	struct stint_err err;

	(void)state;
	stint_clock_set(1000, 0);
	probe.ctx = new_ctx_until(BACKGROUND, 1005);
	results = run_it(probe.ctx, 1, &run);
	assert_int_equal(atomic_load(&probe.begun), 3);
	assert_int_equal(stint_results_get(results, 2, NULL, &err), 0);
	assert_int_equal(stint_results_get(results, 3, NULL, &err), -ETIMEDOUT);
	assert_string_equal(err.msg, "not begun: deadline passed");
	assert_int_equal(stint_results_summary(results, &err), -ETIMEDOUT);
	assert_string_equal(err.msg, "5 of 8 failed, first: not begun: deadline passed");
	stint_results_free(results);
	stint_ctx_free(probe.ctx);
}

static void
ended_context_begins_nothing(void **state)
{
	const struct stint_run run = {.fn = take_two_ms, .count = INPUTS};
	struct stint_ctx *ctx = new_ctx(BACKGROUND);
	struct stint_results *results;
	struct stint_err err;

	(void)state;
	stint_ctx_cancel(ctx);
	results = run_it(ctx, 4, &run);
	assert_int_equal(atomic_load(&probe.begun), 0);
	assert_int_equal(stint_results_summary(results, &err), -ECANCELED);
	assert_string_equal(err.msg, "8 of 8 failed, first: not begun: cancelled");
	stint_results_free(results);
	stint_ctx_free(ctx);
}

static int
wait_for_nothing(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	(void)arg, (void)input, (void)ret_output, (void)err;
	atomic_fetch_add(&probe.begun, 1);
	return stint_chan_recv(ctx, probe.ch, NULL);
}

static void
cancel_when_two_wait(void *arg)
{
	(void)arg;
	while (atomic_load(&probe.begun) < 2)
		usleep(LOOK_EVERY_US);
	stint_ctx_cancel(probe.ctx);
}

static void
running_inputs_end_with_the_context(void **state)
{
	const struct stint_run run = {.fn = wait_for_nothing, .count = 5};
	struct stint_results *results;
	struct stint_err err;
	struct task task;

	(void)state;
	probe.ctx = new_ctx(BACKGROUND);
	probe.ch = new_chan(0, 0);
	task_start(&task, cancel_when_two_wait, NULL);
	results = run_it(probe.ctx, 2, &run);
	task_join(&task);
	assert_int_equal(atomic_load(&probe.begun), 2);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(stint_results_get(results, i, NULL, &err), -ECANCELED);
		assert_int_equal(!strncmp(err.msg, "not begun: ", 11), i >= 2);
	}
	stint_results_free(results);
	stint_chan_free(probe.ch);
	stint_ctx_free(probe.ctx);
}

static void
no_inputs_are_no_results(void **state)
{
	const struct stint_run run = {.fn = say_seven, .count = 0};
	struct stint_results *results = run_it(BACKGROUND, 4, &run);
	struct stint_err err;

	(void)state;
	assert_int_equal(stint_results_summary(results, &err), 0);
	stint_results_free(results);
}

static void
wrong_use_is_refused(void **state)
{
	const struct stint_run run = {.fn = say_seven, .count = 1}, no_fn = {.count = 1};
	struct stint_results *results = NULL;

	(void)state;
	assert_int_equal(stint_pool_run(BACKGROUND, 0, &run, &results), -EINVAL);
	assert_int_equal(stint_pool_run(BACKGROUND, 1, &no_fn, &results), -EINVAL);
	assert_null(results);
}

int
main(void)
{
#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, reset_clock)
	const struct CMUnitTest tests[] = {
		RUN_TEST(outputs_stand_in_the_order_of_the_inputs),
		RUN_TEST(failed_inputs_leave_the_others_alone),
		RUN_TEST(positive_answer_is_a_failure),
		RUN_TEST(concurrency_is_used_and_never_exceeded),
		RUN_TEST(there_are_no_more_threads_than_inputs),
		RUN_TEST(threads_are_named),
		RUN_TEST(inputs_not_begun_are_marked_with_the_cause),
		RUN_TEST(inputs_after_the_deadline_are_marked),
		RUN_TEST(ended_context_begins_nothing),
		RUN_TEST(running_inputs_end_with_the_context),
		RUN_TEST(no_inputs_are_no_results),
		RUN_TEST(wrong_use_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
