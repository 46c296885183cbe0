/*
 * test_zygote.c - the life of zygotes, and what is left when the daemon dies
 *
 * The test is a subreaper: whatever a zygote would leave behind becomes its child.
 */
#include <sys/prctl.h>
#include <sys/wait.h>
#include "tests/unit/command_fixture.h"

static int
setup_reaper(void **state)
{
	(void)state;
	return mkdtemp(dir) && prctl(PR_SET_CHILD_SUBREAPER, 1L) == 0 ? 0 : -1;
}

static int
teardown_reaper(void **state)
{
	(void)state;
	return remove_dir();
}

static int
start_zygote(void **state)
{
	struct stint_err err;

	(void)state;
	return zygote_start(&no_groups, &zygote, &err) < 0
		       ? -1
		       : handler_slot_new(zygote, &slot);
}

static bool
has_no_child(void)
{
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* Whatever ends meanwhile is reaped. */
static void
wait_for_no_child(void)
{
	int64_t give_up_at_ms = stint_at_ms(PATIENCE_MS);

	while (!has_no_child() && stint_now_ms() < give_up_at_ms)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	assert_true(has_no_child());
}

static void
stop_leaves_no_process(void **state)
{
	struct attempt a;

	(void)state;
	run_script(&a, "echo $PPID");
	assert_outcome(&a, JOB_OK, "");
	handler_slot_free(slot);
	zygote_stop(zygote);
	assert_true(has_no_child());
	assert_all_gone(&a, 1);
	attempt_fini(&a);
}

static void
stop_ends_keepers_of_slots_that_are_still_there(void **state)
{
	struct attempt a;

	(void)state;
	run_script(&a, "echo $PPID");
	zygote_stop(zygote);
	assert_true(has_no_child());
	assert_all_gone(&a, 1);
	attempt_fini(&a);
	handler_slot_free(slot);
	zygote_stop(NULL);
	handler_slot_free(NULL);
}

static void
signals_of_the_terminal_do_not_end_it(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE};
	char script[128];
	struct attempt a;

	(void)state;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		assert_int_equal(kill(zygote_pid(zygote), signals[i]), 0);
	snprintf(script, sizeof script,
		"for s in INT TERM HUP QUIT TSTP PIPE; do kill -$s $PPID; done; echo on");
	run_script(&a, script);
	assert_outcome(&a, JOB_OK, "");
	attempt_fini(&a);
	run_script(&a, "echo on");
	assert_outcome(&a, JOB_OK, "");
	attempt_fini(&a);
	handler_slot_free(slot);
	zygote_stop(zygote);
}

static void
a_lost_zygote_is_an_error_that_may_be_retried(void **state)
{
	struct stint_err err;
	struct attempt a;
	int fd;

	(void)state;
	assert_int_equal(kill(zygote_pid(zygote), SIGKILL), 0);
	/* seen without reaping: zygote_stop() wants to */
	assert_int_equal(waitid(P_PID, (id_t)zygote_pid(zygote), &(siginfo_t){0},
				 WEXITED | WNOWAIT),
		0);
	assert_int_equal(zygote_fork_keeper(zygote, &fd, &err), -EPIPE);
	run_script(&a, "echo on");
	assert_outcome(
		&a, JOB_ERROR, "cannot fork a supervisor: the zygote process is gone");
	assert_false(a.out.for_good);
	attempt_fini(&a);
	handler_slot_free(slot);
	zygote_stop(zygote);
	assert_true(has_no_child());
}

/* A daemon in a process of its own that runs one long job, until it is killed. */
static _Noreturn void
be_daemon(const char *script)
{
	struct attempt a;

	if (start_zygote(NULL) < 0)
		_exit(1);
	run_script(&a, script);
	_exit(0);
}

static void
death_of_the_daemon_ends_all_that_it_ran(void **state)
{
	pid_t daemon_pid = fork();

	(void)state;
	assert_true(daemon_pid >= 0);
	if (daemon_pid == 0)
		be_daemon("trap '' TERM HUP\n"
			  "(setsid sh -c 'trap \"\" TERM; : >$D/detached; exec sleep "
			  "1000' &)\n"
			  "until [ -e $D/detached ]; do sleep 0.01; done\n"
			  ": >$D/runs; while :; do sleep 1; done");
	wait_for_file("runs");
	assert_int_equal(kill(daemon_pid, SIGKILL), 0);
	wait_for_no_child();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(stop_leaves_no_process, start_zygote),
		cmocka_unit_test_setup(
			stop_ends_keepers_of_slots_that_are_still_there, start_zygote),
		cmocka_unit_test_setup(
			signals_of_the_terminal_do_not_end_it, start_zygote),
		cmocka_unit_test_setup(
			a_lost_zygote_is_an_error_that_may_be_retried, start_zygote),
		cmocka_unit_test(death_of_the_daemon_ends_all_that_it_ran),
	};

	return cmocka_run_group_tests_name(
		"zygote", tests, setup_reaper, teardown_reaper);
}
