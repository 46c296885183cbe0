/*
 * test_group_limit.c - error groups: how many tasks at once
 */
#include "tests/unit/task_util.h"

struct crowd {
	_Atomic int here;
	_Atomic int most;
};

static int
come_and_go(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct crowd *crowd = arg;
	int here = atomic_fetch_add(&crowd->here, 1) + 1;
	int most = atomic_load(&crowd->most);

	(void)ctx;
	(void)err;
	while (here > most && !atomic_compare_exchange_weak(&crowd->most, &most, here))
		;
	sched_yield();
	atomic_fetch_sub(&crowd->here, 1);
	return 0;
}

static void
never_more_than_the_limit_run_at_once(void **state)
{
	enum { TASKS = 1000, LIMIT = 10 };
	struct stint_group *group = new_group(BACKGROUND);
	struct crowd crowd = {0};

	(void)state;
	assert_int_equal(stint_group_set_limit(group, LIMIT), 0);
	for (int i = 0; i < TASKS; i++)
		go(group, come_and_go, &crowd);
	assert_int_equal(finish(group).code, 0);
	assert_in_range(crowd.most, 1, LIMIT);
	assert_int_equal(crowd.here, 0);
	stint_group_free(group);
}

static void
try_go_says_when_the_limit_is_reached(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_chan *ch = new_chan(0, 0);

	(void)state;
	assert_int_equal(stint_group_set_limit(group, 2), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			stint_group_try_go(group, "test", sleep_until_closed, ch), 0);
	assert_int_equal(stint_group_try_go(group, "test", fail_as, "ran"), -EAGAIN);
	assert_int_equal(stint_chan_close(ch), 0);
	wait_until(stint_group_try_go(group, "test", do_nothing, NULL) == 0);
	assert_int_equal(finish(group).code, 0);
	stint_group_free(group);
	stint_chan_free(ch);
}

static void
limit_is_only_changed_while_nothing_runs(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_chan *ch = new_chan(0, 0);

	(void)state;
	assert_int_equal(stint_group_set_limit(group, 1), 0);
	go(group, sleep_until_closed, ch);
	assert_int_equal(stint_group_set_limit(group, 2), -EBUSY);
	assert_int_equal(stint_group_try_go(group, "test", do_nothing, NULL), -EAGAIN);
	assert_int_equal(stint_chan_close(ch), 0);
	wait_until(stint_group_set_limit(group, 0) == 0); /* none */
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			stint_group_try_go(group, "test", sleep_until_end, NULL), 0);
	stint_ctx_cancel(stint_group_ctx(group));
	assert_int_equal(finish(group).code, -ECANCELED);
	stint_group_free(group);
	stint_chan_free(ch);
}

static void
go_waits_for_room_no_longer_than_its_context(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_ctx *ended = new_ctx(BACKGROUND), *late = NULL;
	struct stint_chan *ch = new_chan(0, 0);

	(void)state;
	stint_ctx_cancel(ended);
	assert_int_equal(
		stint_group_go(ended, group, "test", fail_as, "ran"), -ECANCELED);
	assert_int_equal(stint_group_set_limit(group, 1), 0);
	go(group, sleep_until_closed, ch);
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 5, &late), 0);
	assert_int_equal(stint_group_go(late, group, "test", fail_as, "ran"), -ETIMEDOUT);
	assert_int_equal(stint_chan_close(ch), 0);
	assert_int_equal(finish(group).code, 0);
	stint_chan_free(ch);
	stint_ctx_free(late);
	stint_ctx_free(ended);
	stint_group_free(group);
}

struct comer {
	struct stint_group *group;
	int result;
	_Atomic bool is_back;
};

static void
go_at_the_limit(void *arg)
{
	struct comer *comer = arg;

	comer->result =
		stint_group_go(BACKGROUND, comer->group, "test", do_nothing, NULL);
	atomic_store(&comer->is_back, true);
}

/* The last task ends while several wait for its room: whoever does not get it before the
 * wait is over learns so, and does not sleep on. */
static void
those_who_wait_for_room_learn_of_the_end(void **state)
{
	enum { COMERS = 4, ROUNDS = 20 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct stint_group *group = new_group(BACKGROUND);
		struct stint_chan *ch = new_chan(0, 0);
		struct comer comer[COMERS];
		struct task task[COMERS];

		assert_int_equal(stint_group_set_limit(group, 1), 0);
		go(group, sleep_until_closed, ch);
		for (int i = 0; i < COMERS; i++) {
			comer[i] = (struct comer){.group = group};
			task_start(&task[i], go_at_the_limit, &comer[i]);
			wait_until(task_sleeps(&task[i]));
		}
		assert_int_equal(stint_chan_close(ch), 0);
		assert_int_equal(finish(group).code, 0);
		for (int i = 0; i < COMERS; i++) {
			wait_until(atomic_load(&comer[i].is_back));
			task_join(&task[i]);
			if (comer[i].result != 0)
				assert_int_equal(comer[i].result, -EPIPE);
		}
		stint_group_free(group);
		stint_chan_free(ch);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_more_than_the_limit_run_at_once),
		cmocka_unit_test(try_go_says_when_the_limit_is_reached),
		cmocka_unit_test(limit_is_only_changed_while_nothing_runs),
		cmocka_unit_test(go_waits_for_room_no_longer_than_its_context),
		cmocka_unit_test(those_who_wait_for_room_learn_of_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
