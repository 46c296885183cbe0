/*
 * test_deadlock.c - the report of tasks that all wait for each other
 */
#include "tests/unit/deadlock_util.h"

#include <signal.h>
#include <sys/wait.h>

static int
send_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	int item = 0;

	(void)err;
	return stint_chan_send(ctx, arg, &item);
}

static int
select_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_case cases[] = {
		{.op = STINT_RECV, .ch = arg},
		{.op = STINT_SEND, .ch = NULL},
	};

	(void)err;
	return stint_select(ctx, cases, 2);
}

static int
select_nothing_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)arg;
	(void)err;
	return stint_select(ctx, NULL, 0);
}

static int
wg_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)err;
	return stint_wg_wait(ctx, arg);
}

static void
tasks_that_wait_for_each_other_are_reported_once(void **state)
{
	struct stint_chan *full = chan_at(1, "full.c:1"),
			  *empty = chan_at(4, "empty.c:1");
	struct waiting w;
	int item = 0;

	(void)state;
	assert_int_equal(stint_chan_send(BACKGROUND, full, &item), 0);
	begin_group(&w);
	go(&w, "fetch", send_fn, full);
	go(&w, "parse", recv_fn, empty);
	begin_wait(&w);
	wait_until(was_told("only a thread outside could\n"));
	wait_for_another_report();
	assert_ptr_equal(strstr(told, "stint: deadlock in group made at owner.c:1: its "
				      "owner and all tasks in it (2) sleep\n"),
		told);
	assert_true(was_told("\nstint:   task \"fetch\" made at owner.c:2: send on "
			     "channel made at full.c:1 (1 of 1)\n"));
	assert_true(was_told("\nstint:   task \"parse\" made at owner.c:2: recv on "
			     "channel made at empty.c:1 (0 of 4)\n"));
	assert_null(strstr(strstr(told, "full.c:1") + 1, "full.c:1"));
	end_group(&w);
	stint_chan_free(full);
	stint_chan_free(empty);
}

/* What the report says of a task that sleeps like this. */
static void
assert_told_of(stint_task_fn fn, void *arg, const char *words)
{
	struct waiting w;

	begin_group(&w);
	go(&w, "test", fn, arg);
	begin_wait(&w);
	wait_until(was_told(words));
	end_group(&w);
}

static void
every_kind_of_sleep_is_put_in_words(void **state)
{
	struct stint_chan *ch = chan_at(0, "x.c:1");
	struct stint_wg *wg = NULL;

	(void)state;
	assert_int_equal(stint_wg_new_at(&wg, "x.c:2"), 0);
	assert_int_equal(stint_wg_add(wg, 1), 0);
	assert_told_of(select_fn, ch,
		": select of 2: recv on channel made at x.c:1 (0 of 0), "
		"send on no channel (NULL)\n");
	assert_told_of(recv_fn, NULL, ": recv on no channel (NULL)\n");
	assert_told_of(select_nothing_fn, NULL, ": select of 0\n");
	assert_told_of(wg_fn, wg, ": wait group made at x.c:2\n");
	stint_wg_free(wg);
	stint_chan_free(ch);
}

struct deep {
	struct stint_chan *ch;
	struct stint_once once;
};

static int
once_recv_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct deep *deep = arg;

	return stint_once_do_at(ctx, &deep->once, recv_fn, deep->ch, err, "once.c:1");
}

static void
those_who_wait_for_a_once_are_reported(void **state)
{
	struct deep deep = {chan_at(0, "x.c:1"), STINT_ONCE_INIT};
	struct waiting w;

	(void)state;
	begin_group(&w);
	go(&w, "one", once_recv_fn, &deep);
	go(&w, "two", once_recv_fn, &deep);
	begin_wait(&w);
	wait_until(was_told(": once, which runs since once.c:1\n"));
	assert_true(was_told(": recv on channel made at x.c:1 (0 of 0)\n"));
	end_group(&w);
	stint_chan_free(deep.ch);
}

/* A task that makes a group and waits for it. */
static int
inner_group_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_group *group;
	int r = stint_group_new_at(ctx, &group, "inner.c:1");

	if (r < 0)
		return r;
	r = stint_group_go_at(ctx, group, "inner", recv_fn, arg, "inner.c:2");
	if (r == 0)
		r = stint_group_wait(BACKGROUND, group, err);
	stint_group_free(group);
	return r < 0 ? r : err->code;
}

static void
group_in_a_group_is_reported_once(void **state)
{
	struct stint_chan *ch = chan_at(0, "x.c:1");
	struct waiting w;
	char *first;

	(void)state;
	begin_group(&w);
	go(&w, "outer", inner_group_fn, ch);
	begin_wait(&w);
	wait_until(was_told("only a thread outside could\n"));
	wait_for_another_report();
	first = strstr(told, "task \"inner\" made at inner.c:2");
	assert_non_null(first);
	assert_null(strstr(first + 1, "task \"inner\""));
	end_group(&w);
	stint_chan_free(ch);
}

static int
join_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_task *task;
	int r = stint_task_start_at(ctx, "alone", recv_fn, arg, &task, "alone.c:1");

	(void)ctx;
	return r < 0 ? r : stint_task_join(BACKGROUND, task, err);
}

static void
task_that_is_joined_is_reported(void **state)
{
	struct stint_chan *ch = chan_at(0, "x.c:1");
	struct waiting w;

	(void)state;
	begin_group(&w);
	go(&w, "joiner", join_fn, ch);
	begin_wait(&w);
	wait_until(was_told("task \"alone\" made at alone.c:1: recv on channel made at "
			    "x.c:1 (0 of 0)\n"));
	end_group(&w);
	stint_chan_free(ch);
}

/* What waits for the end of another says so, when a report names more than that. */
static void
sleep_until_an_end_is_put_in_words(void **state)
{
	struct stint_chan *ch = chan_at(0, "x.c:1");
	struct waiting w;

	(void)state;
	begin_group(&w);
	go(&w, "outer", inner_group_fn, ch);
	go(&w, "joiner", join_fn, ch);
	go(&w, "more", recv_fn, ch);
	begin_wait(&w);
	wait_until(was_told("\"outer\" made at owner.c:2: end of group made at "
			    "inner.c:1\n"));
	assert_true(
		was_told("\"joiner\" made at owner.c:2: join of task \"alone\" made at "
			 "alone.c:1\n"));
	end_group(&w);
	stint_chan_free(ch);
}

/* The only one that may run starts another one. */
static int
go_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_group *group = arg;

	(void)err;
	return stint_group_go_at(ctx, group, "next", recv_fn, NULL, "next.c:1");
}

static void
task_that_waits_for_room_is_reported(void **state)
{
	struct waiting w;

	(void)state;
	begin_group(&w);
	assert_int_equal(stint_group_set_limit(w.group, 1), 0);
	go(&w, "only", go_fn, w.group);
	begin_wait(&w);
	wait_until(was_told(": room for a task in group made at owner.c:1 (limit 1)\n"));
	end_group(&w);
}

static void
do_nothing(struct stint_ctx *ctx, void *arg)
{
	(void)ctx;
	(void)arg;
}

static int
recv_with_after_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct stint_after *after;
	int r = stint_ctx_after_func(ctx, do_nothing, NULL, &after);

	(void)err;
	if (r < 0)
		return r;
	r = stint_chan_recv(ctx, arg, NULL);
	stint_after_stop(after);
	return r;
}

static void
after_func_keeps_nobody_awake(void **state)
{
	struct stint_chan *ch = chan_at(0, "x.c:1");

	(void)state;
	assert_told_of(recv_with_after_fn, ch, "all tasks in it (2) sleep\n");
	stint_chan_free(ch);
}

struct outlived {
	struct stint_chan *ch;
	struct stint_chan *handles;
};

/* Ends, and leaves a task behind for another one to join. */
static int
start_and_leave_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct outlived *o = arg;
	struct stint_task *task;
	int r = stint_task_start_at(
		BACKGROUND, "orphan", recv_fn, o->ch, &task, "orphan.c:1");

	(void)err;
	return r < 0 ? r : stint_chan_send(ctx, o->handles, &task);
}

static int
take_and_join_fn(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct outlived *o = arg;
	struct stint_task *task;
	int r = stint_chan_recv(ctx, o->handles, &task);

	if (r < 0)
		return r;
	r = stint_task_join(ctx, task, err);
	if (r < 0)
		stint_task_stop(task, err);
	return err->code;
}

static void
task_that_outlives_its_starter_is_still_in_the_group(void **state)
{
	struct outlived o = {chan_at(0, "x.c:1"), NULL};
	struct waiting w;

	(void)state;
	assert_int_equal(stint_chan_new(sizeof(struct stint_task *), 1, &o.handles), 0);
	begin_group(&w);
	go(&w, "starter", start_and_leave_fn, &o);
	go(&w, "joiner", take_and_join_fn, &o);
	go(&w, "more", recv_fn, o.ch);
	begin_wait(&w);
	wait_until(
		was_told("group made at owner.c:1: its owner and all tasks in it (3)"));
	end_group(&w);
	stint_chan_free(o.handles);
	stint_chan_free(o.ch);
}

static void
deadlock_that_one_leaves_behind_is_reported(void **state)
{
	struct stint_chan *leave = chan_at(0, "leave.c:1"), *ch = chan_at(0, "x.c:1");
	struct waiting w;
	int item = 0;

	(void)state;
	begin_group(&w);
	go(&w, "stays", recv_fn, ch);
	go(&w, "leaves", recv_fn, leave);
	assert_int_equal(stint_chan_send(BACKGROUND, leave, &item), 0);
	begin_wait(&w);
	wait_until(was_told("all tasks in it (1) sleep\n"));
	assert_false(was_told("\"leaves\""));
	end_group(&w);
	stint_chan_free(leave);
	stint_chan_free(ch);
}

/* ---- the switch in the environment ---- */

static void
hang(void)
{
	struct stint_chan *ch = chan_at(0, "hang.c:1");
	struct waiting w;

	begin_group(&w);
	go(&w, "hangs", recv_fn, ch);
	wait_for_group(&w);
}

static pid_t
start_hanging(int stderr_fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (dup2(stderr_fd, STDERR_FILENO) >= 0 &&
		setenv("STINT_DEBUG", "none,deadlock", 1) == 0)
		execl("/proc/self/exe", "test_deadlock", "hang", NULL);
	_exit(127);
}

static void
environment_turns_it_on_and_standard_error_gets_it(void **state)
{
	char line[256] = "";
	int pipe_fds[2];
	FILE *out;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	pid = start_hanging(pipe_fds[1]);
	assert_true(pid > 0);
	close(pipe_fds[1]);
	out = fdopen(pipe_fds[0], "r");
	assert_non_null(out);
	while (fgets(line, sizeof(line), out) && !strstr(line, "\"hangs\""))
		;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fclose(out);
	assert_string_equal(line, "stint:   task \"hangs\" made at owner.c:2: recv on "
				  "channel made at hang.c:1 (0 of 0)\n");
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		heard_test(tasks_that_wait_for_each_other_are_reported_once),
		heard_test(every_kind_of_sleep_is_put_in_words),
		heard_test(those_who_wait_for_a_once_are_reported),
		heard_test(group_in_a_group_is_reported_once),
		heard_test(task_that_is_joined_is_reported),
		heard_test(sleep_until_an_end_is_put_in_words),
		heard_test(task_that_waits_for_room_is_reported),
		heard_test(after_func_keeps_nobody_awake),
		heard_test(task_that_outlives_its_starter_is_still_in_the_group),
		heard_test(deadlock_that_one_leaves_behind_is_reported),
		heard_test(environment_turns_it_on_and_standard_error_gets_it),
	};

	(void)argv;
	if (argc > 1)
		hang();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
