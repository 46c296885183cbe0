/*
 * test_keeper.c - how commands are ended, and that nothing of them is left
 */
#include <pthread.h>
#include <stint/clock.h>
#include "tests/unit/command_fixture.h"

/* Shell words: a process that has left the job's session, says its number and stays,
 * holding stdout open; the shell goes on once it has spoken. */
#define DETACHED(sh)                                                                     \
	"exec 3>&1; { setsid sh -c '" sh "echo $$; exec sleep 1000 >&3' & } | head -n "  \
	"1\n"
#define DOUBLE_FORKED                                                                    \
	"exec 3>&1; { (setsid sh -c 'echo $$; exec sleep 1000 >&3' &) & } | head -n 1\n"

/* ---- the context ends ---- */

/* With a time-out that may come before the script has done anything. */
static void
run_for_100_ms(struct attempt *a, const char *script)
{
	attempt_init(a, script, NULL, 0);
	a->conf.timeout_ms = 100;
	attempt_run(a);
}

struct canceller {
	struct attempt *a;
	int code;
	const char *why;
};

static void *
cancel_when_it_runs(void *arg)
{
	const struct canceller *c = arg;

	wait_for_file("runs");
	stint_ctx_cancel_cause(c->a->ctx, c->code, c->why);
	return NULL;
}

/* Run a script until it makes the file "runs", then cancel it: for those that must have
 * come so far. -ETIMEDOUT stands for a time-out. */
static void
run_until_cancelled(struct attempt *a, int code, const char *why)
{
	struct canceller c = {a, code, why};
	pthread_t thread;
	char path[64];

	unlink(file_in_dir(path, "runs"));
	assert_int_equal(stint_ctx_with_cancel(stint_ctx_background(), &a->ctx), 0);
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_it_runs, &c), 0);
	attempt_run(a);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
run_and_cancel(struct attempt *a, const char *script, int64_t kill_grace_ms, int code,
	const char *why)
{
	attempt_init(a, script, NULL, 0);
	a->conf.kill_grace_ms = kill_grace_ms;
	run_until_cancelled(a, code, why);
}

static void
time_out_terminates(void **state)
{
	struct attempt a;

	(void)state;
	run_for_100_ms(&a, "exec sleep 1000");
	assert_outcome(&a, JOB_TIMEOUT, "timed out after 100ms");
	assert_int_equal(a.out.signal, SIGTERM);
	attempt_fini(&a);
}

static void
a_job_that_exits_with_0_after_its_time_out_has_timed_out(void **state)
{
	struct attempt a;

	(void)state;
	run_and_cancel(&a,
		"trap 'echo late; exit 0' TERM; : >$D/runs; while :; do sleep 0.01; done",
		PATIENCE_MS, -ETIMEDOUT, NULL);
	assert_outcome(&a, JOB_TIMEOUT, "timed out after 20s");
	assert_int_equal(a.out.exit_code, 0);
	assert_output(&a, "late\n");
	attempt_fini(&a);
}

static void
who_ignores_term_is_killed_after_the_grace(void **state)
{
	int64_t start_ms = stint_now_ms();
	struct attempt a;

	(void)state;
	run_and_cancel(&a, "trap '' TERM; : >$D/runs; while :; do sleep 1000; done", 200,
		-ETIMEDOUT, NULL);
	assert_outcome(&a, JOB_TIMEOUT, "timed out after 20s");
	assert_int_equal(a.out.signal, SIGKILL);
	assert_true(stint_now_ms() - start_ms >= 200);
	attempt_fini(&a);
}

static void
a_stopped_job_heeds_its_time_out(void **state)
{
	struct attempt a;

	(void)state;
	run_for_100_ms(&a, "kill -STOP $$");
	assert_outcome(&a, JOB_TIMEOUT, "timed out after 100ms");
	assert_int_equal(a.out.signal, SIGTERM);
	attempt_fini(&a);
}

static void
the_time_that_the_attempt_was_given_is_named(void **state)
{
	struct attempt a;

	(void)state;
	attempt_init(&a, "sleep 1000", NULL, 0);
	a.call.budget_ms = 50;
	assert_int_equal(stint_ctx_with_timeout(stint_ctx_background(), 50, &a.ctx), 0);
	attempt_run(&a);
	assert_outcome(&a, JOB_TIMEOUT, "timed out after 50ms");
	attempt_fini(&a);
}

static void
term_reaches_the_group_and_children_that_left_it(void **state)
{
	struct attempt a;

	(void)state;
	run_and_cancel(&a,
		"trap 'until [ -e $D/member ] && [ -e $D/orphan ]; do sleep 0.01; done; "
		"echo all; exit 1' TERM\n"
		"sh -c 'trap \": >$D/member; exit\" TERM; : >$D/in; "
		"while :; do sleep 0.01; done' &\n"
		"(setsid sh -c 'trap \": >$D/orphan; exit\" TERM; : >$D/set; "
		"while :; do sleep 0.01; done' &)\n"
		"until [ -e $D/in ] && [ -e $D/set ]; do sleep 0.01; done\n"
		": >$D/runs; while :; do sleep 0.01; done",
		PATIENCE_MS, -ETIMEDOUT, NULL);
	assert_outcome(&a, JOB_TIMEOUT, "timed out after 20s");
	assert_output(&a, "all\n");
	attempt_fini(&a);
}

static void
cancel_from_another_thread_ends_the_job_with_its_cause(void **state)
{
	struct attempt a;

	(void)state;
	run_and_cancel(&a, ": >$D/runs; exec sleep 1000", PATIENCE_MS, -ECANCELED,
		"cancelled by request");
	assert_outcome(&a, JOB_CANCELLED, "cancelled by request");
	assert_int_equal(a.out.signal, SIGTERM);
	attempt_fini(&a);
}

static void
shutdown_hands_back_what_did_not_succeed(void **state)
{
	static const char waits[] = "trap 'exit %d' TERM; : >$D/runs; "
				    "while :; do sleep 0.01; done";
	static const int codes[] = {0, 1, 65};
	char script[128];

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct attempt a;

		snprintf(script, sizeof script, waits, codes[i]);
		run_and_cancel(
			&a, script, PATIENCE_MS, HANDLER_CAUSE_SHUTDOWN, "shutting down");
		assert_int_equal(a.out.status, codes[i] == 0 ? JOB_OK : JOB_HANDED_BACK);
		assert_int_equal(a.out.exit_code, codes[i]);
		assert_false(a.out.for_good);
		attempt_fini(&a);
	}
}

/* kill_grace is longer than the patience of the test */
static void
grace_ends_with_the_lease(void **state)
{
	static const int causes[] = {-ECANCELED, HANDLER_CAUSE_LEASE};
	const _Atomic int64_t leased_at_ms = stint_now_ms();

	(void)state;
	for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
		struct attempt a;

		attempt_init(&a, "trap '' TERM; : >$D/runs; while :; do sleep 0.01; done",
			NULL, 0);
		a.conf.kill_grace_ms = 1000 * PATIENCE_MS;
		a.call.leased_at_ms = &leased_at_ms;
		a.call.lease_hold_ms = 1;
		run_until_cancelled(&a, causes[i], "why");
		assert_int_equal(a.out.signal, SIGKILL);
		attempt_fini(&a);
	}
}

static void
nothing_is_started_under_a_context_that_has_ended(void **state)
{
	static const struct {
		int code;
		enum job_status status;
		const char *error;
	} cases[] = {
		{-ECANCELED, JOB_CANCELLED, "why"},
		{HANDLER_CAUSE_SHUTDOWN, JOB_HANDED_BACK, "why"},
		{-ETIMEDOUT, JOB_TIMEOUT, "timed out after 20s"},
	};
	char path[64];

	(void)state;
	file_in_dir(path, "started");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct attempt a;

		attempt_init(&a, ": >$D/started", NULL, 0);
		assert_int_equal(
			stint_ctx_with_cancel(stint_ctx_background(), &a.ctx), 0);
		stint_ctx_cancel_cause(a.ctx, cases[i].code, "why");
		attempt_run(&a);
		assert_outcome(&a, cases[i].status, cases[i].error);
		assert_int_equal(a.out.exit_code, -1);
		assert_int_not_equal(access(path, F_OK), 0);
		attempt_fini(&a);
	}
}

static void
a_context_that_cannot_end_is_fine(void **state)
{
	struct attempt a;

	(void)state;
	attempt_init(&a, "echo on", NULL, 0);
	handler_run(stint_ctx_background(), slot, &a.call, &a.out);
	assert_outcome(&a, JOB_OK, "");
	assert_output(&a, "on\n");
	attempt_fini(&a);
}

/* ---- what is left over ---- */

static void
nothing_outlives_the_main_process(void **state)
{
	static const char *const scripts[] = {
		"sleep 1000 & echo $!", /* holds stdout, too */
		DETACHED(""),
		DETACHED("trap \"\" TERM HUP INT; "),
		DOUBLE_FORKED,
	};

	(void)state;
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		struct attempt a;

		run_script(&a, scripts[i]);
		assert_outcome(&a, JOB_OK, "");
		assert_all_gone(&a, 1);
		attempt_fini(&a);
	}
}

static void
nothing_outlives_a_time_out(void **state)
{
	struct attempt a;

	(void)state;
	run_and_cancel(&a,
		DETACHED("trap \"\" TERM; ") DOUBLE_FORKED
		"trap '' TERM; echo $$; : >$D/runs; while :; do sleep 1; done",
		0, -ETIMEDOUT, NULL);
	assert_outcome(&a, JOB_TIMEOUT, "timed out after 20s");
	assert_all_gone(&a, 3);
	attempt_fini(&a);
}

static void
many_detached_trees_are_all_found(void **state)
{
	struct attempt a;

	(void)state;
	run_script(&a, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do\n"
		       "{ setsid sh -c 'setsid sh -c \"echo \\$\\$; echo $$; exec sleep "
		       "1000\" & "
		       "exec sleep 1000' & } | head -n 2\n"
		       "done");
	assert_outcome(&a, JOB_OK, "");
	assert_all_gone(&a, 40);
	attempt_fini(&a);
}

static void
a_chain_of_processes_that_keeps_leaving_is_caught(void **state)
{
	struct attempt a;

	(void)state;
	/* each generation starts the next one in a session of its own, and ends */
	attempt_init(&a,
		"exec /usr/bin/python3 -c 'import os, sys, time\n"
		"print(os.getpid(), flush=True)\n"
		"if os.fork(): sys.exit()\n"
		"end = time.monotonic() + 60\n"
		"while time.monotonic() < end:\n"
		"  os.setsid()\n"
		"  if os.fork(): os._exit(0)'",
		NULL, 0);
	attempt_run(&a);
	assert_outcome(&a, JOB_OK, "");
	assert_all_gone(&a, 1);
	attempt_fini(&a);
}

static void
a_killed_keeper_takes_its_job_along_and_is_replaced(void **state)
{
	static const char *const signals[] = {"KILL", "STOP"};
	char script[256];

	(void)state;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		struct attempt a;

		snprintf(script, sizeof script,
			"%secho $$; echo $PPID; kill -%s $PPID; exec sleep 1000",
			DETACHED(""), signals[i]);
		run_script(&a, script);
		assert_outcome(&a, JOB_CRASHED, "its supervisor was killed");
		assert_false(a.out.for_good);
		assert_int_equal(a.out.exit_code, -1);
		assert_all_gone(&a, 3);
		attempt_fini(&a);

		run_script(&a, "echo on");
		assert_outcome(&a, JOB_OK, "");
		assert_output(&a, "on\n");
		attempt_fini(&a);
	}
}

static void
a_keeper_that_was_lost_between_jobs_is_replaced_unseen(void **state)
{
	int64_t give_up_at_ms = stint_at_ms(PATIENCE_MS);
	struct attempt a;
	pid_t keeper;
	int fd;

	(void)state;
	run_script(&a, "echo $PPID");
	keeper = (pid_t)atoi(buf_cstr(&a.out.output));
	attempt_fini(&a);
	assert_int_equal(kill(keeper, SIGKILL), 0);
	while (!is_gone(keeper) && stint_now_ms() < give_up_at_ms)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	/* It is reaped. When the zygote has served two more requests, it has also let go
	 * of this one's socket. */
	assert_true(is_gone(keeper));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(zygote_fork_keeper(zygote, &fd, NULL), 0);
		close(fd);
	}
	run_script(&a, "echo on");
	assert_outcome(&a, JOB_OK, "");
	attempt_fini(&a);
}

/* ---- many at once ---- */

enum { SLOTS = 8, JOBS_EACH = 25 };

static void *
run_many(void *arg)
{
	struct handler_slot *own = arg;

	for (int i = 0; i < JOBS_EACH; i++) {
		const struct bytes fields[] = {{"payload", 7}, {"text", 4}};
		struct attempt a;

		attempt_init(&a, "sleep 1000 & cat; exit 7", fields, 2);
		attempt_run_in(&a, own);
		if (a.out.exit_code != 7 || strcmp(buf_cstr(&a.out.output), "text") != 0)
			return a.job; /* leaked: the test fails */
		attempt_fini(&a);
	}
	return NULL;
}

static void
many_jobs_over_several_slots_at_once(void **state)
{
	struct handler_slot *slots[SLOTS];
	pthread_t threads[SLOTS];

	(void)state;
	for (int i = 0; i < SLOTS; i++) {
		assert_int_equal(handler_slot_new(zygote, &slots[i]), 0);
		assert_int_equal(
			pthread_create(&threads[i], NULL, run_many, slots[i]), 0);
	}
	for (int i = 0; i < SLOTS; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
		handler_slot_free(slots[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_out_terminates),
		cmocka_unit_test(
			a_job_that_exits_with_0_after_its_time_out_has_timed_out),
		cmocka_unit_test(who_ignores_term_is_killed_after_the_grace),
		cmocka_unit_test(a_stopped_job_heeds_its_time_out),
		cmocka_unit_test(the_time_that_the_attempt_was_given_is_named),
		cmocka_unit_test(term_reaches_the_group_and_children_that_left_it),
		cmocka_unit_test(cancel_from_another_thread_ends_the_job_with_its_cause),
		cmocka_unit_test(shutdown_hands_back_what_did_not_succeed),
		cmocka_unit_test(grace_ends_with_the_lease),
		cmocka_unit_test(nothing_is_started_under_a_context_that_has_ended),
		cmocka_unit_test(a_context_that_cannot_end_is_fine),
		cmocka_unit_test(nothing_outlives_the_main_process),
		cmocka_unit_test(nothing_outlives_a_time_out),
		cmocka_unit_test(many_detached_trees_are_all_found),
		cmocka_unit_test(a_chain_of_processes_that_keeps_leaving_is_caught),
		cmocka_unit_test(a_killed_keeper_takes_its_job_along_and_is_replaced),
		cmocka_unit_test(a_keeper_that_was_lost_between_jobs_is_replaced_unseen),
		cmocka_unit_test(many_jobs_over_several_slots_at_once),
	};

	return cmocka_run_group_tests_name(
		"keeper", tests, setup_zygote, teardown_zygote);
}
