/*
 * test_wg.c - wait groups
 */
#include "tests/unit/conc_util.h"

#include <fcntl.h>
#include <limits.h>

struct wg_op {
	struct stint_ctx *ctx;
	struct stint_wg *wg;
	int result;
};

static void
op_wait(void *arg)
{
	struct wg_op *op = arg;

	op->result = stint_wg_wait(op->ctx, op->wg);
}

static struct stint_wg *
new_wg(void)
{
	struct stint_wg *wg = NULL;

	assert_int_equal(stint_wg_new(&wg), 0);
	return wg;
}

static void
nothing_to_wait_for_is_done(void **state)
{
	struct stint_wg *wg = new_wg();
	struct stint_ctx *ctx = new_ctx(BACKGROUND);

	(void)state;
	assert_int_equal(stint_wg_wait(BACKGROUND, wg), 0);
	stint_ctx_cancel(ctx);
	assert_int_equal(stint_wg_wait(ctx, wg), 0);
	assert_int_equal(stint_wg_add(wg, 0), 0);
	stint_ctx_free(ctx);
	stint_wg_free(wg);
	stint_wg_free(NULL);
}

static void
count_outside_of_its_range_is_refused(void **state)
{
	struct stint_wg *wg = new_wg();

	(void)state;
	assert_int_equal(stint_wg_done(wg), -EINVAL);
	assert_int_equal(stint_wg_add(wg, INT_MIN), -EINVAL);
	assert_int_equal(stint_wg_add(wg, 2), 0);
	assert_int_equal(stint_wg_add(wg, -3), -EINVAL);
	assert_int_equal(stint_wg_add(wg, INT_MAX), -EOVERFLOW);
	assert_int_equal(stint_wg_add(wg, -2), 0);
	assert_int_equal(stint_wg_wait(BACKGROUND, wg), 0);
	stint_wg_free(wg);
}

/* Standard error into a temporary file, and back. */
static FILE *
capture_begin(int *ret_saved_fd)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	fflush(stderr);
	*ret_saved_fd = dup(STDERR_FILENO);
	assert_true(*ret_saved_fd >= 0);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	return file;
}

static void
capture_end(FILE *file, int saved_fd, char *text, size_t size)
{
	size_t used;

	fflush(stderr);
	dup2(saved_fd, STDERR_FILENO);
	close(saved_fd);
	rewind(file);
	used = fread(text, 1, size - 1, file);
	text[used] = '\0';
	fclose(file);
}

static void
misuse_is_told_with_the_place_of_the_group(void **state)
{
	struct stint_wg *wg = NULL;
	char text[512];
	int saved_fd, r[4];
	FILE *file;

	(void)state;
	assert_int_equal(stint_wg_new_at(&wg, "crawl.c:7"), 0);
	file = capture_begin(&saved_fd);
	r[0] = stint_wg_done(wg);
	r[1] = stint_wg_add(wg, 1);
	r[2] = stint_wg_add(wg, INT_MAX);
	r[3] = stint_wg_done(wg);
	capture_end(file, saved_fd, text, sizeof(text));
	assert_int_equal(r[0], -EINVAL);
	assert_int_equal(r[1], 0);
	assert_int_equal(r[2], -EOVERFLOW);
	assert_int_equal(r[3], 0);
	assert_string_equal(text,
		"stint: wait group made at crawl.c:7: more done than expected\n"
		"stint: wait group made at crawl.c:7: more expected than it can count\n");
	stint_wg_free(wg);
}

static void
all_waiters_wake_when_the_last_is_done(void **state)
{
	enum { WAITERS = 4 };
	struct stint_wg *wg = new_wg();
	struct wg_op op[WAITERS];
	struct task task[WAITERS];

	(void)state;
	assert_int_equal(stint_wg_add(wg, 2), 0);
	for (int i = 0; i < WAITERS; i++) {
		op[i] = (struct wg_op){BACKGROUND, wg, 1};
		task_start(&task[i], op_wait, &op[i]);
		wait_until(task_sleeps(&task[i]));
	}
	assert_int_equal(stint_wg_done(wg), 0);
	for (int i = 0; i < WAITERS; i++)
		assert_true(task_sleeps(&task[i]));
	assert_int_equal(stint_wg_done(wg), 0);
	for (int i = 0; i < WAITERS; i++) {
		task_join(&task[i]);
		assert_int_equal(op[i].result, 0);
	}
	stint_wg_free(wg);
}

/* Raise the count the moment a waiter was woken, who needs longer than that to
 * return: -EINVAL, or 0 when it was faster. */
static int
raise_while_the_waiter_wakes(struct stint_wg *wg)
{
	struct wg_op op = {BACKGROUND, wg, 1};
	struct task task;
	int r;

	assert_int_equal(stint_wg_add(wg, 1), 0);
	task_start(&task, op_wait, &op);
	wait_until(task_sleeps(&task));
	assert_int_equal(stint_wg_add(wg, 1), 0); /* from 1: fine */
	assert_int_equal(stint_wg_add(wg, -2), 0);
	r = stint_wg_add(wg, 1);
	task_join(&task);
	assert_int_equal(op.result, 0);
	if (r == 0)
		assert_int_equal(stint_wg_done(wg), 0);
	return r;
}

static void
raising_from_zero_under_a_waiter_is_refused(void **state)
{
	struct stint_wg *wg = new_wg();
	char text[512];
	int saved_fd;
	FILE *file;

	(void)state;
	file = capture_begin(&saved_fd);
	wait_until(raise_while_the_waiter_wakes(wg) == -EINVAL);
	capture_end(file, saved_fd, text, sizeof(text));
	assert_non_null(strstr(text, "raised from 0 while someone waits\n"));
	/* Nothing was changed, and with no waiter left it is allowed again. */
	assert_int_equal(stint_wg_wait(BACKGROUND, wg), 0);
	assert_int_equal(stint_wg_add(wg, 1), 0);
	assert_int_equal(stint_wg_done(wg), 0);
	stint_wg_free(wg);
}

static void
context_ends_the_wait_and_the_count_goes_on(void **state)
{
	struct stint_wg *wg = new_wg();
	struct wg_op op = {new_ctx(BACKGROUND), wg, 1};
	struct stint_ctx *late;
	struct task task;

	(void)state;
	assert_int_equal(stint_wg_add(wg, 1), 0);
	task_start(&task, op_wait, &op);
	wait_until(task_sleeps(&task));
	stint_ctx_cancel(op.ctx);
	task_join(&task);
	assert_int_equal(op.result, -ECANCELED);
	assert_int_equal(stint_wg_wait(op.ctx, wg), -ECANCELED);
	assert_int_equal(stint_ctx_with_timeout(BACKGROUND, 10, &late), 0);
	assert_int_equal(stint_wg_wait(late, wg), -ETIMEDOUT);
	assert_int_equal(stint_wg_done(wg), 0);
	assert_int_equal(stint_wg_wait(BACKGROUND, wg), 0);
	stint_ctx_free(late);
	stint_ctx_free(op.ctx);
	stint_wg_free(wg);
}

static void
finish_one(void *arg)
{
	stint_wg_done(arg);
}

/* The waiter frees the group the moment it returns: done() must not touch it. */
static void
group_may_be_freed_as_soon_as_wait_returns(void **state)
{
	enum { ROUNDS = 300, TASKS = 3 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct stint_wg *wg = new_wg();
		struct task task[TASKS];

		assert_int_equal(stint_wg_add(wg, TASKS), 0);
		for (int i = 0; i < TASKS; i++)
			task_start(&task[i], finish_one, wg);
		assert_int_equal(stint_wg_wait(BACKGROUND, wg), 0);
		stint_wg_free(wg);
		for (int i = 0; i < TASKS; i++)
			task_join(&task[i]);
	}
}

static void
group_is_used_again_and_again(void **state)
{
	enum { ROUNDS = 100, TASKS = 3 };
	struct stint_wg *wg = new_wg();

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct task task[TASKS];

		for (int i = 0; i < TASKS; i++) {
			assert_int_equal(stint_wg_add(wg, 1), 0);
			task_start(&task[i], finish_one, wg);
		}
		assert_int_equal(stint_wg_wait(BACKGROUND, wg), 0);
		for (int i = 0; i < TASKS; i++)
			task_join(&task[i]);
	}
	stint_wg_free(wg);
}

static void
op_done_too_often(void *arg)
{
	struct wg_op *op = arg;

	op->result = stint_wg_add(op->wg, -INT_MAX);
}

/* Standard error is a pipe that nobody reads: who is told waits, and nobody else does. */
static void
misuse_that_cannot_be_told_keeps_nobody_else(void **state)
{
	static char many[1 << 16];
	struct wg_op wrong = {.wg = new_wg()}, right = {.ctx = BACKGROUND};
	struct task telling, waiting;
	int saved_fd, ends[2];
	bool is_free = false;

	(void)state;
	right.wg = wrong.wg;
	assert_int_equal(pipe(ends), 0);
	while (fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0 &&
		write(ends[1], many, sizeof(many)) > 0)
		;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	fflush(stderr);
	saved_fd = dup(STDERR_FILENO);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	task_start(&telling, op_done_too_often, &wrong);
	while (!task_sleeps(&telling))
		usleep(LOOK_EVERY_US);
	task_start(&waiting, op_wait, &right); /* for nothing */
	for (int i = 0; i < 1000 && !is_free; i++) {
		usleep(LOOK_EVERY_US);
		is_free = pthread_tryjoin_np(waiting.thread, NULL) == 0;
	}
	assert_true(read(ends[0], many, sizeof(many)) > 0);
	task_join(&telling);
	if (!is_free)
		task_join(&waiting);
	assert_true(dup2(saved_fd, STDERR_FILENO) >= 0);
	close(saved_fd);
	close(ends[0]);
	close(ends[1]);
	stint_wg_free(wrong.wg);
	assert_int_equal(wrong.result, -EINVAL);
	assert_true(is_free);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_wait_for_is_done),
		cmocka_unit_test(count_outside_of_its_range_is_refused),
		cmocka_unit_test(misuse_is_told_with_the_place_of_the_group),
		cmocka_unit_test(all_waiters_wake_when_the_last_is_done),
		cmocka_unit_test(raising_from_zero_under_a_waiter_is_refused),
		cmocka_unit_test(context_ends_the_wait_and_the_count_goes_on),
		cmocka_unit_test(group_may_be_freed_as_soon_as_wait_returns),
		cmocka_unit_test(group_is_used_again_and_again),
		cmocka_unit_test(misuse_that_cannot_be_told_keeps_nobody_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
