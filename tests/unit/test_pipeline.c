/*
 * test_pipeline.c - stages in a row: order, numbers, names; how they end is in
 * test_pipeline_end.c
 */
#include "tests/unit/pipeline_util.h"

static int
expect_order(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	struct parcel *parcel;
	int r, number;

	STINT_RECEIVER_EACH (ctx, flow->in, &parcel, r) {
		number = parcel->number;
		parcel_free(parcel);
		if (number != atomic_fetch_add(&probe.received, 1) + 1)
			return stint_err_set(err, -EILSEQ, "%d is out of order", number);
	}
	return clean_end(r);
}

static void
one_worker_a_stage_keeps_the_order(void **state)
{
	(void)state;
	probe.count = 300;
	for (size_t capacity = 0; capacity < 4; capacity++) {
		const struct stint_stage stages[] = {
			stage("make", generate, 1, capacity),
			stage("one", pass_on, 0, capacity),
			stage("two", pass_on, 1, 3 - capacity),
			stage("look", expect_order, 1, 0),
		};
		struct stint_err err = {0};

		atomic_store(&probe.received, 0);
		assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 4, &err), 0);
		assert_string_equal(err.msg, "");
		assert_int_equal(atomic_load(&probe.received), 300);
	}
	assert_int_equal(atomic_load(&parcels_dropped), 0);
}

static void
fan_out_and_fan_in_lose_nothing(void **state)
{
	enum { COUNT = 4000, MAKERS = 2 };
	const struct stint_stage stages[] = {
		stage("make", generate, MAKERS, 8),
		stage("pass", pass_on, 4, 0),
		stage("again", pass_on, 3, 16),
		stage("add", add_up, 2, 0),
	};

	(void)state;
	probe.count = COUNT;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 4, NULL), 0);
	assert_int_equal(atomic_load(&probe.received), MAKERS * COUNT);
	assert_int_equal(
		atomic_load(&probe.sum), (int64_t)MAKERS * COUNT * (COUNT + 1) / 2);
}

static int
generate_nothing(
	struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	(void)ctx, (void)flow, (void)err;
	return 0;
}

static void
no_items_end_all_stages(void **state)
{
	const struct stint_stage stages[] = {
		stage("make", generate_nothing, 3, 4),
		stage("pass", pass_on, 4, 0),
		stage("add", add_up, 2, 0),
	};

	(void)state;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 3, NULL), 0);
	assert_int_equal(atomic_load(&probe.received), 0);
	assert_true(atomic_load(&probe.has_drained));
}

static void
one_stage_is_a_pipeline(void **state)
{
	const struct stint_stage stages[] = {stage("alone", generate_nothing, 3, 0)};

	(void)state;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 1, NULL), 0);
}

static void
sieve_finds_the_primes_and_ends(void **state)
{
	enum { PRIMES = 20 };
	static const int expected[PRIMES] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37,
		41, 43, 47, 53, 59, 61, 67, 71};
	struct stint_stage stages[STAGES_MAX];
	int primes[PRIMES];
	size_t count = sieve_stages(stages, primes, PRIMES);

	(void)state;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, count, NULL), 0);
	assert_memory_equal(primes, expected, sizeof(expected));
}

struct watch {
	int fits;
	int sent; /* while the consumer slept */
};

static void
watch_the_generator(void *arg)
{
	struct watch *watch = arg;
	int64_t until_ms;

	while (atomic_load(&probe.sent) < watch->fits)
		usleep(LOOK_EVERY_US);
	/* time for it to go too far */
	for (until_ms = real_ms() + 20; real_ms() < until_ms;)
		if (atomic_load(&probe.sent) > watch->fits)
			break;
	watch->sent = atomic_load(&probe.sent);
	atomic_store(&probe.is_shut, false);
}

static void
slow_consumer_holds_the_generator_back(void **state)
{
	enum { CAPACITY = 3, COUNT = 50 };
	const struct stint_stage stages[] = {
		stage("make", generate, 1, CAPACITY),
		stage("pass", pass_on, 1, CAPACITY),
		stage("add", add_up, 1, 0),
	};
	/* two channels full, and an item in the hand of each stage behind one */
	struct watch watch = {.fits = 2 * CAPACITY + 2};
	struct task task;

	(void)state;
	probe.count = COUNT;
	atomic_store(&probe.is_shut, true);
	task_start(&task, watch_the_generator, &watch);
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 3, NULL), 0);
	task_join(&task);
	assert_int_equal(watch.sent, watch.fits);
	assert_int_equal(atomic_load(&probe.sum), COUNT * (COUNT + 1) / 2);
}

static int
tell_name(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	const size_t *first = flow->arg;

	(void)ctx, (void)err;
	return -pthread_getname_np(
		pthread_self(), probe.names[*first + flow->worker], THREAD_NAME_BYTES);
}

static void
threads_have_the_names_of_their_stages(void **state)
{
	struct stint_stage stages[] = {
		stage("read", tell_name, 1, 0),
		stage("very-long-name", tell_name, 3, 0),
	};
	size_t first[] = {0, 1};

	(void)state;
	stages[0].arg = &first[0];
	stages[1].arg = &first[1];
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 2, NULL), 0);
	assert_string_equal(probe.names[0], "read");
	assert_string_equal(probe.names[1], "very-long-/0");
	assert_string_equal(probe.names[3], "very-long-/2");
}

static void
wrong_use_is_refused_with_a_sentence(void **state)
{
	const struct stint_stage nameless = stage(NULL, generate, 1, 0);
	const struct stint_stage idle = stage("idle", NULL, 1, 0);
	struct stint_stage large[] = {
		stage("large", generate, 1, 0), stage("add", add_up, 1, 0)};
	struct stint_err err = {-EIO, "what was there before does not count"};

	(void)state;
	assert_int_equal(stint_pipeline_run(BACKGROUND, NULL, 0, &err), -EINVAL);
	assert_string_equal(err.msg, "a pipeline without stages");
	assert_int_equal(stint_pipeline_run(BACKGROUND, &nameless, 1, &err), -EINVAL);
	assert_string_equal(err.msg, "stage 0 has no name");
	assert_int_equal(stint_pipeline_run(BACKGROUND, &idle, 1, &err), -EINVAL);
	assert_string_equal(err.msg, "idle: has no function");
	large[0].out_bytes = STINT_CHAN_ITEM_MAX + 1;
	assert_int_equal(stint_pipeline_run(BACKGROUND, large, 2, &err), -EINVAL);
	assert_string_equal(
		err.msg, "large: no channel of 0 items of 65537 bytes: Invalid argument");
}

/* Numbers that went wrong before they came here: a -1, or what was never set. */
static void
absurd_numbers_are_refused_or_not_looked_at(void **state)
{
	struct stint_stage stages[] = {
		stage("many", generate, SIZE_MAX, 0), stage("add", add_up, 1, 0)};
	struct stint_err err = {0};

	(void)state;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 2, &err), -ENOMEM);
	assert_string_equal(err.msg, "pipeline: out of memory");
	stages[0].workers = 1;
	stages[0].out_bytes = SIZE_MAX;
	err = (struct stint_err){0};
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 2, &err), -EINVAL);
	stages[0].out_bytes = sizeof(struct parcel *);
	stages[1].out_bytes = SIZE_MAX; /* of the last one: not used */
	probe.count = 1;
	assert_int_equal(stint_pipeline_run(BACKGROUND, stages, 2, &err), 0);
	assert_int_equal(atomic_load(&probe.received), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PIPELINE_TEST(one_worker_a_stage_keeps_the_order),
		PIPELINE_TEST(fan_out_and_fan_in_lose_nothing),
		PIPELINE_TEST(no_items_end_all_stages),
		PIPELINE_TEST(one_stage_is_a_pipeline),
		PIPELINE_TEST(sieve_finds_the_primes_and_ends),
		PIPELINE_TEST(slow_consumer_holds_the_generator_back),
		PIPELINE_TEST(threads_have_the_names_of_their_stages),
		PIPELINE_TEST(wrong_use_is_refused_with_a_sentence),
		PIPELINE_TEST(absurd_numbers_are_refused_or_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
