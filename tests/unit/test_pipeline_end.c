/*
 * test_pipeline_end.c - all the ways in which a pipeline ends
 */
#include "tests/unit/pipeline_util.h"

/* Fits anywhere: takes what comes, sends what it can, then it has a bad day. */
static int
fail_later(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	struct parcel *parcel;
	int r = 0;

	for (int i = 0; i < probe.fail_after && r == 0; i++) {
		if (!flow->in.ch)
			parcel = parcel_new(i);
		else {
			r = stint_receiver_recv(ctx, flow->in, &parcel);
			if (r < 0)
				break;
		}
		if (flow->out.ch)
			r = send_parcel(ctx, flow, parcel);
		else
			parcel_free(parcel);
	}
	return r < 0 ? r : stint_err_set(err, -EIO, "a bad day");
}

static int
take_ten(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	struct parcel *parcel;
	int r = 0;

	(void)err;
	for (int i = 0; i < 10 && r == 0; i++) {
		r = stint_receiver_recv(ctx, flow->in, &parcel);
		if (r == 0) {
			atomic_fetch_add(&probe.sum, parcel->number);
			parcel_free(parcel);
		}
	}
	return r;
}

static void
stage_that_has_had_enough_ends_those_before_it(void **state)
{
	const struct stint_stage stages[] = {
		stage("make", generate, 1, 5),
		stage("pass", pass_on, 1, 7),
		stage("head", take_ten, 1, 0),
	};

	(void)state;
	probe.count = 0;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 3, NULL), 0);
	assert_int_equal(atomic_load(&probe.sum), 55);
	assert_true(atomic_load(&parcels_dropped) <= 5 + 7);
}

static void
cancel_in_the_middle(void *arg)
{
	while (atomic_load(&probe.sent) < *(const int *)arg)
		usleep(LOOK_EVERY_US);
	stint_ctx_cancel_cause(probe.ctx, -ESHUTDOWN, "closing time");
}

static void
run_cancelled(const struct stint_stage *stages, size_t count, int after)
{
	struct stint_err err = {0};
	struct task task;
	int r;

	probe.ctx = new_ctx(BACKGROUND);
	task_start(&task, cancel_in_the_middle, &after);
	r = stint_pipeline_run(probe.ctx, stages, count, &err);
	task_join(&task);
	assert_int_equal(r, -ECANCELED);
	assert_int_equal(err.code, -ECANCELED);
	assert_non_null(strstr(err.msg, ": closing time"));
	stint_ctx_free(probe.ctx);
	probe.ctx = NULL;
}

static void
cancelled_sieve_leaves_nothing(void **state)
{
	enum { FILTERS = 12, ROUNDS = 20 };
	struct stint_stage stages[STAGES_MAX];
	int primes[FILTERS];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		size_t count = sieve_stages(stages, primes, FILTERS);

		stages[count] = stage("sink", add_up, 1, 0);
		atomic_store(&probe.sent, 0);
		run_cancelled(stages, count + 1, 20 * round);
		assert_int_equal(atomic_load(&parcels_alive), 0);
	}
}

static void
deadline_ends_the_pipeline(void **state)
{
	const struct stint_stage stages[] = {
		stage("make", generate, 2, 2),
		stage("add", add_up, 1, 0),
	};
	struct stint_err err;

	(void)state;
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 20, &probe.ctx), 0);
	assert_int_equal(stint_pipeline_run(probe.ctx, stages, 2, &err), -ETIMEDOUT);
	assert_int_equal(err.code, -ETIMEDOUT);
}

static void
ended_context_runs_nothing_through(void **state)
{
	const struct stint_stage stages[] = {
		stage("make", generate, 1, 2),
		stage("add", add_up, 1, 0),
	};

	(void)state;
	probe.ctx = new_ctx(BACKGROUND);
	stint_ctx_cancel(probe.ctx);
	assert_int_equal(stint_pipeline_run(probe.ctx, stages, 2, NULL), -ECANCELED);
	assert_int_equal(atomic_load(&probe.received), 0);
}

static void
failure_in_any_stage_ends_all_and_is_returned(void **state)
{
	static const int items_before[] = {0, 1, 50};
	enum { STAGES = 4, CASES = sizeof(items_before) / sizeof(*items_before) };

	(void)state;
	for (size_t i = 0; i < STAGES * CASES; i++) {
		struct stint_stage stages[STAGES] = {
			stage("make", generate, 1, 3),
			stage("one", pass_on, 2, 0),
			stage("two", pass_on, 3, 4),
			stage("add", add_up, 1, 0),
		};
		struct stint_err err;

		probe.fail_after = items_before[i % CASES];
		stages[i / CASES].name = "bad";
		stages[i / CASES].fn = fail_later;
		assert_int_equal(
			stint_pipeline_run(BACKGROUND, stages, STAGES, &err), -EIO);
		assert_int_equal(err.code, -EIO);
		assert_string_equal(err.msg, "bad: a bad day");
		assert_int_equal(atomic_load(&parcels_alive), 0);
		assert_false(atomic_load(&probe.has_drained));
	}
}

static atomic_int clean_ends; /* of workers of that stage */

/* Once the others, of which arg says how many there are, have found the end. */
static int
fail_on_the_last(
	struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	const int *others = flow->arg;
	struct parcel *parcel;
	bool is_last;
	int r;

	STINT_RECEIVER_EACH (ctx, flow->in, &parcel, r) {
		is_last = parcel->number == probe.count;
		parcel_free(parcel);
		if (!is_last)
			continue;
		while (atomic_load(&clean_ends) < *others)
			usleep(LOOK_EVERY_US);
		return stint_err_set(err, -EBADMSG, "the last is rotten");
	}
	atomic_fetch_add(&clean_ends, 1);
	return clean_end(r);
}

/* Looks all the time, so as not to miss an end that lasts for an instant only. */
static int
watch_for_the_end(
	struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	struct parcel *parcel;
	int r;

	(void)err;
	while ((r = stint_receiver_try_recv(flow->in, &parcel)) != -EPIPE) {
		if (r == 0)
			parcel_free(parcel);
		else if ((r = stint_ctx_err(ctx)) < 0)
			return r;
	}
	if (stint_ctx_err(ctx) == 0)
		atomic_store(&probe.has_drained, true);
	return 0;
}

/* The others of its stage come to their clean end at the same time, or there are none. */
static void
failure_never_looks_like_the_end_of_the_data(void **state)
{
	struct stint_stage stages[] = {
		stage("make", generate, 1, 4),
		stage("look", fail_on_the_last, 4, 4),
		stage("watch", watch_for_the_end, 1, 0),
	};
	int others;

	(void)state;
	probe.count = 4;
	stages[1].arg = &others;
	for (int round = 0; round < 400; round++) {
		stages[1].workers = round % 2 ? 1 : 4;
		others = (int)stages[1].workers - 1;
		atomic_store(&clean_ends, 0);
		assert_int_equal(
			stint_pipeline_run(BACKGROUND, stages, 3, NULL), -EBADMSG);
		assert_false(atomic_load(&probe.has_drained));
	}
}

static int
fail_without_words(
	struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	(void)ctx, (void)err;
	return *(const int *)flow->arg;
}

static void
failure_without_a_sentence_gets_strerrors(void **state)
{
	struct stint_stage stages[] = {stage("mute", fail_without_words, 1, 0)};
	int answer = -ENOENT;
	struct stint_err err;

	(void)state;
	stages[0].arg = &answer;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 1, &err), -ENOENT);
	assert_string_equal(err.msg, "mute: No such file or directory");
	answer = -EPIPE; /* its own business, for no channel is there */
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 1, &err), -EPIPE);
	assert_string_equal(err.msg, "mute: Broken pipe");
	answer = 3;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 1, &err), -EINVAL);
	assert_string_equal(
		err.msg, "mute: returned 3, neither 0 nor a negative errno value");
}

static void
what_nobody_received_is_dropped(void **state)
{
	enum { CAPACITY = 100 };
	const struct stint_stage stages[] = {
		stage("make", generate, 1, CAPACITY),
		stage("head", take_ten, 1, 0),
	};

	(void)state;
	probe.count = CAPACITY;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 2, NULL), 0);
	assert_int_equal(atomic_load(&parcels_dropped), atomic_load(&probe.sent) - 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PIPELINE_TEST(stage_that_has_had_enough_ends_those_before_it),
		PIPELINE_TEST(cancelled_sieve_leaves_nothing),
		PIPELINE_TEST(deadline_ends_the_pipeline),
		PIPELINE_TEST(ended_context_runs_nothing_through),
		PIPELINE_TEST(failure_in_any_stage_ends_all_and_is_returned),
		PIPELINE_TEST(failure_never_looks_like_the_end_of_the_data),
		PIPELINE_TEST(failure_without_a_sentence_gets_strerrors),
		PIPELINE_TEST(what_nobody_received_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
