/*
 * test_conc_alloc.c - everything that the library asks the system for is refused
 *
 * Memory and threads, each request in turn: only that one, and all from there on; each
 * thing is made again and again until nothing is left to be refused. And there are no
 * descriptors left. What a maker gives must be the error or a whole thing, and nothing is
 * left behind either way. With a sanitizer, which has a malloc() of its own, memory and
 * threads are not refused.
 */
#include "tests/unit/task_util.h"

#include <sys/resource.h>
#include "tests/unit/refuse_util.h"

/* ---- what is made: 0 or the error, with nothing left behind ---- */

static char things_key;

static int
make_channel(void)
{
	struct stint_chan *ch = NULL;
	int r = stint_chan_new(16, 8, &ch);

	if (r == 0)
		r = stint_chan_recv_fd(ch);
	stint_chan_free(ch);
	return r < 0 ? r : 0;
}

static int
make_contexts(void)
{
	struct stint_ctx *ctx = NULL, *valued = NULL, *kept = NULL;
	int r = stint_ctx_with_timeout(BACKGROUND, 60000, &ctx);

	if (r == 0)
		r = stint_ctx_with_value(ctx, &things_key, &things_key, &valued);
	if (r == 0)
		r = stint_ctx_without_cancel(valued, &kept);
	stint_ctx_free(ctx);
	stint_ctx_free(valued);
	stint_ctx_free(kept);
	return r;
}

static void
do_nothing_after(struct stint_ctx *ctx, void *arg)
{
	(void)ctx;
	(void)arg;
}

static int
make_after(void)
{
	struct stint_after *after = NULL;
	int r = stint_ctx_after_func(BACKGROUND, do_nothing_after, NULL, &after);

	if (r == 0 && !stint_after_stop(after))
		r = -EPROTO;
	return r;
}

static int
make_wg(void)
{
	struct stint_wg *wg = NULL;
	int r = stint_wg_new(&wg);

	stint_wg_free(wg);
	return r;
}

static int
make_results(void)
{
	struct stint_results *results = NULL;
	struct stint_err err = {-EIO, "lost"};
	int r = stint_results_new(3, sizeof(int), &results);

	if (r == 0)
		r = stint_results_fail(results, 2, &err);
	if (r == 0 && stint_results_get(results, 2, NULL, &err) != -EIO)
		r = -EPROTO;
	stint_results_free(results);
	return r;
}

static int
select_for_some_time(void)
{
	struct stint_case one = {.op = STINT_RECV};
	int r = stint_select_for(BACKGROUND, 1, &one, 1);

	return r == -EAGAIN ? 0 : r;
}

static int
select_of_many(void)
{
	enum { COUNT = 100 };
	struct stint_case cases[COUNT] = {0};
	struct stint_ctx *ctx = NULL;
	struct stint_chan *ch = NULL;
	int r = stint_chan_new(1, 0, &ch);

	for (int i = 0; i < COUNT; i++)
		cases[i] = (struct stint_case){.op = STINT_RECV, .ch = ch};
	if (r == 0)
		r = stint_ctx_with_timeout(BACKGROUND, 1, &ctx);
	if (r == 0)
		r = stint_select(ctx, cases, COUNT);
	stint_ctx_free(ctx);
	stint_chan_free(ch);
	return r == -ETIMEDOUT ? 0 : r;
}

static void
run_item(void *arg, void *worker_state, void *item)
{
	(void)arg;
	(void)worker_state;
	(void)item;
}

static int
make_pool(void)
{
	const struct stint_pool_ops ops = {.run = run_item};
	struct stint_chan *ch = NULL;
	struct stint_pool *pool = NULL;
	struct stint_err err;
	int r = stint_chan_new(1, 4, &ch);

	if (r == 0)
		r = stint_pool_new("p", 2, ch, &ops, NULL, &pool, &err);
	if (r == 0)
		r = stint_pool_resize(pool, 4, &err);
	stint_pool_free(pool);
	stint_chan_free(ch);
	return r;
}

static int
succeed(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)arg;
	(void)err;
	return stint_ctx_err(ctx) > 0;
}

static int
start_task(void)
{
	struct stint_task *task = NULL;
	struct stint_err result;
	int r = stint_task_start(BACKGROUND, "t", succeed, NULL, &task);

	if (r == 0)
		r = stint_task_join(BACKGROUND, task, &result);
	return r == 0 ? result.code : r;
}

static int
start_task_and_stop(void)
{
	struct stint_task *task = NULL;
	struct stint_err result;
	int r = stint_task_start(BACKGROUND, "t", sleep_until_end, NULL, &task);

	stint_task_stop(task, &result);
	return r;
}

static int
fail_in_group(void)
{
	struct stint_group *group = NULL;
	struct stint_err errs[2];
	size_t count = 0;
	int r = stint_group_new(BACKGROUND, &group), waited;

	if (r < 0)
		return r;
	r = stint_group_set_limit(group, 1);
	if (r == 0)
		r = stint_group_go(BACKGROUND, group, "g", fail_as, (void *)"so");
	waited = stint_group_wait_all(BACKGROUND, group, errs, 2, &count);
	if (waited == 0 && r == 0 && (count != 1 || errs[0].code != -EIO))
		r = -EPROTO;
	stint_group_free(group);
	return waited < 0 ? waited : r;
}

static int
start_group(void)
{
	struct stint_group *group = NULL;
	struct stint_err first = {0};
	int r = stint_group_new(BACKGROUND, &group), waited;

	if (r < 0)
		return r;
	for (int i = 0; i < 3 && r == 0; i++)
		r = stint_group_go(BACKGROUND, group, "g", succeed, NULL);
	waited = stint_group_wait(BACKGROUND, group, &first);
	stint_group_free(group);
	return waited < 0 ? waited : r;
}

static int
copy_int(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	(void)ctx;
	(void)arg;
	(void)err;
	memcpy(ret_output, input, sizeof(int));
	return 0;
}

static int
run_over_inputs(void)
{
	const int inputs[] = {1, 2, 3, 4};
	const struct stint_run run = {.fn = copy_int,
		.inputs = inputs,
		.count = 4,
		.input_bytes = sizeof(int),
		.output_bytes = sizeof(int)};
	struct stint_results *results = NULL;
	struct stint_err err;
	int r = stint_pool_run(BACKGROUND, 3, &run, &results);

	if (r == 0)
		r = stint_results_summary(results, &err);
	stint_results_free(results);
	return r;
}

static int
pass_on(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	char item = 0;
	int r = 0;

	(void)err;
	if (flow->arg) /* the first stage */
		return stint_sender_send(ctx, flow->out, &item);
	STINT_RECEIVER_EACH (ctx, flow->in, &item, r) {
		if (flow->out.ch)
			r = stint_sender_send(ctx, flow->out, &item);
		if (r < 0)
			break;
	}
	return r == -EPIPE ? 0 : r;
}

static int
run_pipeline(void)
{
	struct stint_err err;
	const struct stint_stage stages[] = {
		{.name = "a", .fn = pass_on, .arg = &err, .out_bytes = 1},
		{.name = "b", .fn = pass_on, .out_bytes = 1, .workers = 2},
		{.name = "c", .fn = pass_on},
	};

	return stint_pipeline_run(BACKGROUND, stages, 3, &err);
}

/* ---- tests ---- */

static const struct {
	const char *name;
	int (*make)(void);
	int requests_at_least[REFUSED_KINDS]; /* for memory, for threads */
} things[] = {
	{"contexts", make_contexts, {4, 0}},
	{"after-func", make_after, {3, 1}},
	{"wait group", make_wg, {1, 0}},
	{"channel", make_channel, {1, 0}},
	{"results", make_results, {4, 0}},
	{"select for some time", select_for_some_time, {1, 0}},
	{"select of many", select_of_many, {3, 0}},
	{"pool", make_pool, {10, 4}},
	{"task", start_task, {2, 1}},
	{"task that is stopped", start_task_and_stop, {2, 1}},
	{"group", start_group, {4, 1}},
	{"group with a failure", fail_in_group, {4, 1}},
	{"run", run_over_inputs, {4, 1}},
	{"pipeline", run_pipeline, {5, 1}},
};

enum { THING_COUNT = sizeof(things) / sizeof(*things) };

static void
all_are_made_when_nothing_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < THING_COUNT; i++)
		assert_int_equal(things[i].make(), 0);
}

/* One thing, all requests from the @granted-th on, or that one, refused. How many were.
 */
static int
make_one(size_t thing, enum refused_kind kind, long granted, bool goes_on)
{
	const char *name = things[thing].name;
	size_t alive = blocks_alive();
	int r, refused_count;

	refuse(kind, granted, goes_on);
	r = things[thing].make();
	refused_count = refuse_no_more(kind);
	if (r != 0 && r != -EAGAIN && (r != -ENOMEM || kind != REFUSED_MEMORY))
		fail_msg("%s, request %ld: %d", name, granted, r);
	if (stint_leak_check(stderr) > 0)
		fail_msg("%s, request %ld: leaks", name, granted);
	if (blocks_alive() != alive)
		fail_msg("%s, request %ld: %zu blocks of memory before, %zu after", name,
			granted, alive, blocks_alive());
	if (refused_count == 0)
		assert_int_equal(r, 0);
	return refused_count;
}

static void
make_all(enum refused_kind kind, bool goes_on)
{
	for (size_t i = 0; i < THING_COUNT; i++) {
		long granted = 0;

		while (make_one(i, kind, granted, goes_on) > 0)
			granted++;
		if (CAN_REFUSE)
			assert_true(granted >= things[i].requests_at_least[kind]);
	}
}

static void
one_refused_allocation_is_an_error_or_made_up_for(void **state)
{
	(void)state;
	make_all(REFUSED_MEMORY, false);
}

static void
no_more_memory_is_an_error_or_made_up_for(void **state)
{
	(void)state;
	make_all(REFUSED_MEMORY, true);
}

static void
one_refused_thread_is_an_error_or_made_up_for(void **state)
{
	(void)state;
	make_all(REFUSED_THREADS, false);
}

static void
no_more_threads_is_an_error_or_made_up_for(void **state)
{
	(void)state;
	make_all(REFUSED_THREADS, true);
}

/* ---- descriptors ---- */

static void
only_a_channels_own_descriptor_needs_one(void **state)
{
	struct rlimit old, none;
	int results[THING_COUNT];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){0, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (size_t i = 0; i < THING_COUNT; i++)
		results[i] = things[i].make();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (size_t i = 0; i < THING_COUNT; i++)
		if (results[i] != (things[i].make == make_channel ? -EMFILE : 0))
			fail_msg("%s: %d", things[i].name, results[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_made_when_nothing_is_refused),
		cmocka_unit_test(one_refused_allocation_is_an_error_or_made_up_for),
		cmocka_unit_test(no_more_memory_is_an_error_or_made_up_for),
		cmocka_unit_test(one_refused_thread_is_an_error_or_made_up_for),
		cmocka_unit_test(no_more_threads_is_an_error_or_made_up_for),
		cmocka_unit_test(only_a_channels_own_descriptor_needs_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
