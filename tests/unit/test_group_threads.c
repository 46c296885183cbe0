/*
 * test_group_threads.c - error groups: where their threads come from and go
 */
#include <malloc.h>
#include "tests/unit/task_util.h"

static int
count_up(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)err;
	atomic_fetch_add((_Atomic int *)arg, 1);
	return 0;
}

static int
receive(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)err;
	return stint_chan_recv(ctx, arg, NULL);
}

static int
send(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)err;
	return stint_chan_send(ctx, arg, NULL);
}

static void
many_tasks_in_turn_keep_no_memory(void **state)
{
	enum { TASKS = 20000, KEPT_AT_MOST_BYTES = 65536 };
	struct stint_group *group = new_group(BACKGROUND);
	struct mallinfo2 before, after;
	_Atomic int count = 0;

	(void)state;
	assert_int_equal(stint_group_set_limit(group, 2), 0);
	go(group, count_up, &count);
	wait_until(count == 1);
	before = mallinfo2();
	for (int i = 1; i < TASKS; i++)
		go(group, count_up, &count);
	wait_until(count == TASKS);
	after = mallinfo2();
	assert_true(after.uordblks < before.uordblks + KEPT_AT_MOST_BYTES);
	assert_int_equal(finish(group).code, 0);
	stint_group_free(group);
}

static int
tell_thread(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	pid_t tid = gettid();

	(void)err;
	return stint_chan_send(ctx, arg, &tid);
}

static void
thread_is_used_again_by_the_next_task(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_chan *ch = new_chan(sizeof(pid_t), 1);
	pid_t first, next = 0;

	(void)state;
	go(group, tell_thread, ch);
	assert_int_equal(stint_chan_recv(BACKGROUND, ch, &first), 0);
	/* Once it is idle; a task that is too early for it gets a thread of its own. */
	while (next != first) {
		go(group, tell_thread, ch);
		assert_int_equal(stint_chan_recv(BACKGROUND, ch, &next), 0);
	}
	assert_int_equal(finish(group).code, 0);
	stint_group_free(group);
	stint_chan_free(ch);
}

static int
tell_name(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)err;
	return -pthread_getname_np(pthread_self(), arg, 16);
}

static void
thread_has_the_name_of_its_task(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	char *names[] = {"alpha", "beta", "beta", "0123456789abcdefgh"};
	char seen[4][16];

	(void)state;
	assert_int_equal(stint_group_set_limit(group, 1), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			stint_group_go(BACKGROUND, group, names[i], tell_name, seen[i]),
			0);
	assert_int_equal(finish(group).code, 0);
	for (int i = 0; i < 3; i++)
		assert_string_equal(seen[i], names[i]);
	assert_string_equal(seen[3], "0123456789abcde");
	stint_group_free(group);
}

static void
task_may_wait_for_one_that_is_started_later(void **state)
{
	enum { PAIRS = 200 };
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_chan *ch[PAIRS];

	(void)state;
	for (int i = 0; i < PAIRS; i++) {
		ch[i] = new_chan(0, 0);
		go(group, receive, ch[i]);
	}
	for (int i = 0; i < PAIRS; i++)
		go(group, send, ch[i]);
	assert_int_equal(finish(group).code, 0);
	stint_group_free(group);
	for (int i = 0; i < PAIRS; i++)
		stint_chan_free(ch[i]);
}

static void
most_threads_leave_when_there_is_nothing_to_do(void **state)
{
	enum { TASKS = 60, IDLE_AT_MOST = 16 };
	struct stint_group *group = new_group(BACKGROUND);
	struct stint_chan *ch = new_chan(0, 0);
	size_t before = thread_count();

	(void)state;
	for (int i = 0; i < TASKS; i++)
		go(group, receive, ch);
	assert_int_equal(thread_count(), before + TASKS);
	for (int i = 0; i < TASKS; i++)
		assert_int_equal(stint_chan_send(BACKGROUND, ch, NULL), 0);
	wait_until(thread_count() <= before + IDLE_AT_MOST);
	assert_int_equal(finish(group).code, 0);
	wait_until(thread_count() <= before);
	stint_group_free(group);
	stint_chan_free(ch);
}

static void
thread_that_cannot_be_had_is_an_error_and_counts_for_nothing(void **state)
{
	struct stint_group *group = new_group(BACKGROUND);
	_Atomic int count = 0;
	int wanted, went, tried;

	(void)state;
	assert_int_equal(stint_group_set_limit(group, 1), 0);
	wanted = forbid_threads();
	went = stint_group_go(BACKGROUND, group, "test", count_up, &count);
	tried = stint_group_try_go(group, "test", count_up, &count);
	allow_threads();
	assert_int_equal(went, wanted);
	assert_int_equal(tried, wanted);
	go(group, count_up, &count);
	assert_int_equal(finish(group).code, 0);
	assert_int_equal(count, 1);
	stint_group_free(group);
}

struct starter {
	struct stint_group *group;
	_Atomic int count;
	_Atomic int refused;
};

enum { STARTERS = 4, TASKS_EACH = 500 };

static int
fail_now_and_then(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct starter *starter = arg;
	int number = atomic_fetch_add(&starter->count, 1);

	(void)ctx;
	return number % 100 == 99 ? stint_err_set(err, -EIO, "number %d", number) : 0;
}

static void
start_many(void *arg)
{
	struct starter *starter = arg;

	for (int i = 0; i < TASKS_EACH; i++)
		if (stint_group_go(BACKGROUND, starter->group, "test", fail_now_and_then,
			    starter) < 0)
			atomic_fetch_add(&starter->refused, 1);
}

static void
many_start_tasks_at_once_and_no_result_is_lost(void **state)
{
	struct starter starter = {.group = new_group(BACKGROUND)};
	struct stint_err first;
	struct task task[STARTERS];
	size_t count;

	(void)state;
	assert_int_equal(stint_group_set_limit(starter.group, 3), 0);
	for (int i = 0; i < STARTERS; i++)
		task_start(&task[i], start_many, &starter);
	for (int i = 0; i < STARTERS; i++)
		task_join(&task[i]);
	assert_int_equal(
		stint_group_wait_all(BACKGROUND, starter.group, &first, 1, &count), 0);
	assert_int_equal(starter.refused, 0);
	assert_int_equal(starter.count, STARTERS * TASKS_EACH);
	assert_int_equal(count, STARTERS * TASKS_EACH / 100);
	assert_int_equal(first.code, -EIO);
	stint_group_free(starter.group);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_tasks_in_turn_keep_no_memory),
		cmocka_unit_test(thread_is_used_again_by_the_next_task),
		cmocka_unit_test(thread_has_the_name_of_its_task),
		cmocka_unit_test(task_may_wait_for_one_that_is_started_later),
		cmocka_unit_test(most_threads_leave_when_there_is_nothing_to_do),
		cmocka_unit_test(
			thread_that_cannot_be_had_is_an_error_and_counts_for_nothing),
		cmocka_unit_test(many_start_tasks_at_once_and_no_result_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
