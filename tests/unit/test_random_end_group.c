/*
 * test_random_end_group.c - as test_random_end.c: groups, once, pools, runs, pipelines
 */
#include "tests/unit/rival_util.h"

/* ---- groups and once ---- */

static void
group_wait_ends_and_the_tasks_go_on(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < test_rounds(ROUNDS); i++) {
		struct stint_chan *gate = new_chan(0, 0);
		struct stint_group *group = new_group(BACKGROUND);
		struct stint_err first = {0};
		struct round round;

		go(group, do_nothing, NULL);
		go(group, wait_and_fail, gate);
		round = begin_round(i, open_gate, gate);
		count(&tally,
			end_round(&round, stint_group_wait(round.ctx, group, &first)));
		assert_int_equal(finish(group).code, -EXDEV);
		stint_group_free(group);
		stint_chan_free(gate);
	}
	check_tally(&tally);
}

static int
count_calls(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)err;
	atomic_fetch_add((_Atomic int *)arg, 1);
	return 0;
}

static void
go_at_the_limit_runs_the_task_or_does_not(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < test_rounds(ROUNDS); i++) {
		struct stint_chan *gate = new_chan(0, 0);
		struct stint_group *group = new_group(BACKGROUND);
		_Atomic int calls = 0;
		struct round round;
		bool is_done;
		int r;

		assert_int_equal(stint_group_set_limit(group, 1), 0);
		go(group, sleep_until_closed, gate);
		round = begin_round(i, open_gate, gate);
		r = stint_group_go(round.ctx, group, "late", count_calls, (void *)&calls);
		is_done = end_round(&round, r);
		count(&tally, is_done);
		assert_int_equal(finish(group).code, 0);
		assert_int_equal(atomic_load(&calls), is_done);
		stint_group_free(group);
		stint_chan_free(gate);
	}
	check_tally(&tally);
}

struct once_try {
	struct stint_once once;
	struct stint_chan *gate;
	_Atomic bool is_inside;
	int calls;
};

static int
once_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct once_try *try = arg;

	try->calls++;
	atomic_store(&try->is_inside, true);
	return wait_and_fail(ctx, try->gate, err);
}

static int
once_task(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct once_try *try = arg;

	return stint_once_do(ctx, &try->once, once_fn, try, err);
}

static void
once_goes_on_when_one_gives_up_waiting(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < test_rounds(ROUNDS); i++) {
		struct once_try try = {.once = STINT_ONCE_INIT, .gate = new_chan(0, 0)};
		struct stint_err result, err = {0};
		struct stint_task *task;
		struct round round;
		int r;

		assert_int_equal(
			stint_task_start(BACKGROUND, "t", once_task, &try, &task), 0);
		wait_until(atomic_load(&try.is_inside));
		round = begin_round(i, open_gate, try.gate);
		r = stint_once_do(round.ctx, &try.once, once_fn, &try, &err);
		count(&tally, end_round(&round, r == -EXDEV ? 0 : r));
		assert_int_equal(stint_task_join(BACKGROUND, task, &result), 0);
		assert_int_equal(result.code, -EXDEV);
		r = stint_once_do(BACKGROUND, &try.once, once_fn, &try, &err);
		assert_int_equal(r, -EXDEV);
		assert_int_equal(try.calls, 1);
		stint_chan_free(try.gate);
	}
	check_tally(&tally);
}

/* ---- pools and pipelines ---- */

struct pool_try {
	struct stint_chan *items, *gate;
	_Atomic int done;
};

static void
run_item(void *arg, void *worker_state, void *item)
{
	struct pool_try *try = arg;

	(void)worker_state;
	(void)item;
	if (stint_chan_recv(BACKGROUND, try->gate, NULL) != -EPIPE)
		abort();
	atomic_fetch_add(&try->done, 1);
}

static void
pool_stop_ends_and_items_are_done_or_still_there(void **state)
{
	enum { ITEMS = 5, WORKERS = 2 };
	const struct stint_pool_ops ops = {.run = run_item};
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < test_rounds(ROUNDS); i++) {
		struct pool_try try = {
			.items = new_chan(sizeof(int), ITEMS), .gate = new_chan(0, 0)};
		struct stint_pool *pool;
		struct stint_err err;
		struct round round;

		assert_int_equal(
			stint_pool_new("p", WORKERS, try.items, &ops, &try, &pool, &err),
			0);
		for (int item = 0; item < ITEMS; item++)
			assert_int_equal(stint_chan_try_send(try.items, &item), 0);
		round = begin_round(i, open_gate, try.gate);
		count(&tally, end_round(&round, stint_pool_stop(round.ctx, pool)));
		assert_int_equal(stint_pool_stop(BACKGROUND, pool), 0);
		assert_int_equal(stint_pool_busy(pool), 0);
		assert_int_equal(
			atomic_load(&try.done) + (int)stint_chan_len(try.items), ITEMS);
		stint_pool_free(pool);
		stint_chan_free(try.items);
		stint_chan_free(try.gate);
	}
	check_tally(&tally);
}

static int
run_input(struct stint_ctx *ctx, void *arg, const void *input, void *ret_output,
	struct stint_err *err)
{
	int r = sleep_until_closed(ctx, arg, err);

	memcpy(ret_output, input, sizeof(int));
	return r;
}

static void
pool_run_has_a_result_for_each_input(void **state)
{
	enum { INPUTS = 5 };
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < test_rounds(ROUNDS); i++) {
		const int inputs[INPUTS] = {3, 1, 4, 1, 5};
		struct stint_chan *gate = new_chan(0, 0);
		const struct stint_run run = {.fn = run_input,
			.arg = gate,
			.inputs = inputs,
			.count = INPUTS,
			.input_bytes = sizeof(int),
			.output_bytes = sizeof(int)};
		struct stint_results *results;
		struct round round = begin_round(i, open_gate, gate);
		struct stint_err err;
		int output;

		assert_int_equal(stint_pool_run(round.ctx, 2, &run, &results), 0);
		count(&tally, end_round(&round, stint_results_summary(results, &err)));
		for (size_t k = 0; k < INPUTS; k++) {
			int r = stint_results_get(results, k, &output, &err);

			assert_true(r == 0 || r == round.end);
			if (r == 0)
				assert_int_equal(output, inputs[k]);
		}
		stint_results_free(results);
		stint_chan_free(gate);
	}
	check_tally(&tally);
}

static _Atomic int letters_alive;

static void
letter_drop(void *item)
{
	char *letter;

	memcpy(&letter, item, sizeof(letter));
	free(letter);
	atomic_fetch_sub(&letters_alive, 1);
}

/* Letters until the gate is opened. */
static int
write_letters(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	int r = 0;

	(void)err;
	while (r == 0 && stint_chan_try_recv(flow->arg, NULL) == -EAGAIN) {
		char *letter = malloc(1);

		if (!letter)
			abort();
		atomic_fetch_add(&letters_alive, 1);
		r = stint_sender_send(ctx, flow->out, &letter);
		if (r < 0)
			letter_drop(&letter);
	}
	return r;
}

static int
read_letters(struct stint_ctx *ctx, const struct stint_flow *flow, struct stint_err *err)
{
	char *letter;
	int r;

	(void)err;
	STINT_RECEIVER_EACH (ctx, flow->in, &letter, r)
		letter_drop(&letter);
	return r == -EPIPE ? 0 : r;
}

static void
pipeline_ends_and_leaves_no_item(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < test_rounds(ROUNDS); i++) {
		struct stint_chan *gate = new_chan(0, 0);
		const struct stint_stage stages[] = {
			{.name = "write",
				.fn = write_letters,
				.arg = gate,
				.workers = 2,
				.out_bytes = sizeof(char *),
				.out_capacity = (size_t)i % 4,
				.drop = letter_drop},
			{.name = "read", .fn = read_letters},
		};
		struct round round = begin_round(i, open_gate, gate);
		int r = stint_pipeline_run(round.ctx, stages, 2, NULL);

		count(&tally, end_round(&round, r));
		assert_int_equal(atomic_load(&letters_alive), 0);
		stint_chan_free(gate);
	}
	check_tally(&tally);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(group_wait_ends_and_the_tasks_go_on),
		cmocka_unit_test(go_at_the_limit_runs_the_task_or_does_not),
		cmocka_unit_test(once_goes_on_when_one_gives_up_waiting),
		cmocka_unit_test(pool_stop_ends_and_items_are_done_or_still_there),
		cmocka_unit_test(pool_run_has_a_result_for_each_input),
		cmocka_unit_test(pipeline_ends_and_leaves_no_item),
	};

	return cmocka_run_group_tests(tests, hire_rivals, dismiss_rivals);
}
