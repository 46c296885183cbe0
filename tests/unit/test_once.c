/*
 * test_once.c - doing something once
 */
#include "tests/unit/conc_util.h"

#include <stint/once.h>

/* What a function sees of its call: how often, and when it may go on. */
struct call {
	struct stint_once once;
	struct stint_chan *entered; /* gets one item when the function runs */
	struct stint_chan *leave;   /* closed: it may return */
	_Atomic int count;
	int value; /* not atomic: the once must make it visible */
	int result;
};

static struct call
new_call(int result)
{
	return (struct call){
		.once = STINT_ONCE_INIT,
		.entered = new_chan(0, 1),
		.leave = new_chan(0, 0),
		.result = result,
	};
}

static void
free_call(struct call *call)
{
	stint_chan_free(call->entered);
	stint_chan_free(call->leave);
}

static int
call_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct call *call = arg;
	int r = stint_chan_send(ctx, call->entered, NULL);

	if (r == 0)
		r = stint_chan_recv(ctx, call->leave, NULL);
	call->value = 42;
	atomic_fetch_add(&call->count, 1);
	if (r != -EPIPE)
		return r;
	return call->result < 0 ? stint_err_set(err, call->result, "cannot load")
				: call->result;
}

struct caller {
	struct stint_ctx *ctx;
	struct call *call;
	struct stint_err err;
	int result;
	int value;
};

static void
call_once(void *arg)
{
	struct caller *caller = arg;

	caller->result = stint_once_do(
		caller->ctx, &caller->call->once, call_fn, caller->call, &caller->err);
	if (caller->result != -ECANCELED)
		caller->value = caller->call->value;
}

static struct caller
call_at_once(struct stint_ctx *ctx, struct call *call)
{
	struct caller caller = {.ctx = ctx, .call = call};

	call_once(&caller);
	return caller;
}

/* Many at the same time; what they got is in @callers. */
static void
call_by_many(struct call *call, struct caller *callers, int count)
{
	struct task task[count];

	for (int i = 0; i < count; i++) {
		callers[i] = (struct caller){.ctx = BACKGROUND, .call = call};
		task_start(&task[i], call_once, &callers[i]);
	}
	for (int i = 0; i < count; i++)
		wait_until(task_sleeps(&task[i]));
	assert_int_equal(stint_chan_close(call->leave), 0);
	for (int i = 0; i < count; i++)
		task_join(&task[i]);
}

static void
one_runs_and_the_others_wait_for_it(void **state)
{
	enum { CALLERS = 8 };
	struct call call = new_call(0);
	struct caller callers[CALLERS];

	(void)state;
	call_by_many(&call, callers, CALLERS);
	assert_int_equal(call.count, 1);
	for (int i = 0; i < CALLERS; i++) {
		assert_int_equal(callers[i].result, 0);
		assert_int_equal(callers[i].value, 42);
		assert_string_equal(callers[i].err.msg, "");
	}
	free_call(&call);
}

static void
failure_is_everybodys_and_is_not_tried_again(void **state)
{
	enum { CALLERS = 4 };
	struct call call = new_call(-EIO);
	struct caller callers[CALLERS + 1];

	(void)state;
	call_by_many(&call, callers, CALLERS);
	callers[CALLERS] = call_at_once(BACKGROUND, &call);
	assert_int_equal(call.count, 1);
	for (int i = 0; i <= CALLERS; i++) {
		assert_int_equal(callers[i].result, -EIO);
		assert_string_equal(callers[i].err.msg, "cannot load");
	}
	assert_int_equal(
		stint_once_do(BACKGROUND, &call.once, call_fn, &call, NULL), -EIO);
	free_call(&call);
}

static void
positive_result_is_a_failure_that_says_so(void **state)
{
	struct call call = new_call(1);
	struct caller caller;

	(void)state;
	assert_int_equal(stint_chan_close(call.leave), 0);
	caller = call_at_once(BACKGROUND, &call);
	assert_int_equal(caller.result, -EINVAL);
	assert_non_null(strstr(caller.err.msg, "returned 1"));
	free_call(&call);
}

static void
wait_is_bounded_and_the_function_runs_on(void **state)
{
	struct call call = new_call(0);
	struct caller first = {.ctx = BACKGROUND, .call = &call}, other;
	struct stint_ctx *ended = new_ctx(BACKGROUND), *late = NULL;
	struct task task;

	(void)state;
	task_start(&task, call_once, &first);
	assert_int_equal(stint_chan_recv(BACKGROUND, call.entered, NULL), 0);
	stint_ctx_cancel_cause(ended, -ENODEV, "unplugged");
	other = call_at_once(ended, &call);
	assert_int_equal(other.result, -ECANCELED);
	assert_string_equal(other.err.msg, "gave up waiting for a once: unplugged");
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 5, &late), 0);
	assert_int_equal(
		stint_once_do(late, &call.once, call_fn, &call, NULL), -ETIMEDOUT);
	assert_int_equal(stint_chan_close(call.leave), 0);
	task_join(&task);
	assert_int_equal(first.result, 0);
	other = call_at_once(ended, &call); /* a result wins over an ended context */
	assert_int_equal(other.result, 0);
	assert_int_equal(call.count, 1);
	stint_ctx_free(late);
	stint_ctx_free(ended);
	free_call(&call);
}

static int
call_itself(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	return stint_once_do(ctx, arg, call_itself, arg, err);
}

static void
call_from_within_is_told(void **state)
{
	struct stint_once once = STINT_ONCE_INIT;
	struct stint_err err;

	(void)state;
	assert_int_equal(
		stint_once_do(BACKGROUND, &once, call_itself, &once, &err), -EDEADLK);
	assert_string_equal(err.msg, "a once was called from within itself");
}

static int
call_another(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct call *call = arg;

	return stint_once_do(ctx, &call->once, call_fn, call, err);
}

static void
function_of_one_may_call_another(void **state)
{
	struct stint_once outer = STINT_ONCE_INIT;
	struct call call = new_call(-EIO);
	struct stint_err err;

	(void)state;
	assert_int_equal(stint_chan_close(call.leave), 0);
	assert_int_equal(
		stint_once_do(BACKGROUND, &outer, call_another, &call, &err), -EIO);
	assert_string_equal(err.msg, "cannot load");
	free_call(&call);
}

static void
race_of_many_calls_it_once(void **state)
{
	enum { ROUNDS = 100, CALLERS = 4 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct call call = new_call(0);
		struct caller callers[CALLERS];
		struct task task[CALLERS];

		assert_int_equal(stint_chan_close(call.leave), 0);
		for (int i = 0; i < CALLERS; i++) {
			callers[i] = (struct caller){.ctx = BACKGROUND, .call = &call};
			task_start(&task[i], call_once, &callers[i]);
		}
		for (int i = 0; i < CALLERS; i++) {
			task_join(&task[i]);
			assert_int_equal(callers[i].result, 0);
			assert_int_equal(callers[i].value, 42);
		}
		assert_int_equal(call.count, 1);
		free_call(&call);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_runs_and_the_others_wait_for_it),
		cmocka_unit_test(failure_is_everybodys_and_is_not_tried_again),
		cmocka_unit_test(positive_result_is_a_failure_that_says_so),
		cmocka_unit_test(wait_is_bounded_and_the_function_runs_on),
		cmocka_unit_test(call_from_within_is_told),
		cmocka_unit_test(function_of_one_may_call_another),
		cmocka_unit_test(race_of_many_calls_it_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
