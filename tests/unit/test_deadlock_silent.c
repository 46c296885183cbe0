/*
 * test_deadlock_silent.c - what is no deadlock, and not reported
 */
#include "tests/unit/deadlock_util.h"

static int
recv_for_a_while_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_ctx *bounded;
	int r = stint_ctx_with_timeout(ctx, WAIT_AT_MOST_MS, &bounded);

	(void)err;
	if (r < 0)
		return r;
	r = stint_chan_recv(bounded, arg, NULL);
	stint_ctx_free(bounded);
	return r;
}

/* Blocks in something that the library does not know, until the pipe is closed. */
static int
read_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	char byte;

	(void)ctx;
	(void)err;
	return read(*(int *)arg, &byte, 1) < 0 ? -errno : 0;
}

static void
nothing_is_said_while_one_can_still_go_on(void **state)
{
	enum { GROUPS = 3 };
	struct stint_chan *ch = chan_at(0, "quiet.c:1");
	struct waiting w[GROUPS];
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	for (int i = 0; i < GROUPS; i++) {
		begin_group(&w[i]);
		go(&w[i], "quiet", recv_fn, ch);
	}
	go(&w[0], "bounded", recv_for_a_while_fn, ch);
	go(&w[1], "outside", read_fn, &pipe_fds[0]);
	assert_int_equal(
		stint_ctx_with_timeout(BACKGROUND, WAIT_AT_MOST_MS, &w[2].ctx), 0);
	for (int i = 0; i < GROUPS; i++)
		begin_wait(&w[i]);
	wait_for_another_report();
	assert_false(was_told("quiet"));
	close(pipe_fds[1]);
	for (int i = 0; i < GROUPS; i++)
		end_group(&w[i]);
	stint_ctx_free(w[2].ctx);
	close(pipe_fds[0]);
	stint_chan_free(ch);
}

static int
join_given_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	return stint_task_join(ctx, arg, err);
}

static void
nothing_is_said_while_a_task_that_is_joined_runs_elsewhere(void **state)
{
	struct stint_task *task = NULL;
	struct waiting w;
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(
		stint_task_start(BACKGROUND, "quiet", read_fn, &pipe_fds[0], &task), 0);
	begin_group(&w);
	go(&w, "quiet", join_given_fn, task);
	begin_wait(&w);
	wait_for_another_report();
	assert_false(was_told("quiet"));
	close(pipe_fds[1]);
	task_join(&w.owner);
	assert_int_equal(w.first.code, 0);
	stint_group_free(w.group);
	close(pipe_fds[0]);
}

/* Two that never are awake at the same time for long, for longer than a look takes. */
static int
play_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_chan **ch = arg;
	int item, r = 0;

	(void)err;
	while (r == 0) {
		r = stint_chan_recv(ctx, ch[0], &item);
		if (r == 0)
			r = stint_chan_send(ctx, ch[1], &item);
	}
	return r;
}

static void
nothing_is_said_of_those_who_wake_each_other(void **state)
{
	struct stint_chan *ch[] = {chan_at(0, "quiet.c:1"), chan_at(0, "quiet.c:2")};
	struct stint_chan *hc[] = {ch[1], ch[0]};
	struct waiting w;
	int item = 0;

	(void)state;
	begin_group(&w);
	go(&w, "quiet", play_fn, ch);
	go(&w, "quiet", play_fn, hc);
	begin_wait(&w);
	assert_int_equal(stint_chan_send(BACKGROUND, ch[0], &item), 0);
	wait_for_another_report();
	assert_false(was_told("quiet"));
	end_group(&w);
	stint_chan_free(ch[0]);
	stint_chan_free(ch[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		heard_test(nothing_is_said_while_one_can_still_go_on),
		heard_test(nothing_is_said_while_a_task_that_is_joined_runs_elsewhere),
		heard_test(nothing_is_said_of_those_who_wake_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
