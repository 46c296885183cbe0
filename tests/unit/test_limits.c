/*
 * test_limits.c - what is told of a job that came to a limit, and of what it has used
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "daemon/handler/limits.h"
#include "lib/base/cleanup.h"

#define MIB (INT64_C(1) << 20)

/* How a process ended, under limits of 512 MiB, 60 s and 20 processes. */
struct end {
	int signal;
	int exit_code;
	bool is_worker;
	bool is_free; /* no limits at all */
	struct usage usage;
};

static void
assert_told(const struct end *end, enum job_status status, const char *error)
{
	const struct keeper_reply reply = {.usage = end->usage};
	struct handler_conf conf = {.is_worker = end->is_worker,
		.limits = {.memory_bytes = 512 * MIB, .cpu_ms = 60000, .processes = 20}};
	struct outcome out;

	if (end->is_free)
		conf.limits = (struct handler_limits){0};
	outcome_init(&out);
	out.signal = end->signal;
	out.exit_code = end->signal ? -1 : end->exit_code;
	if (out.signal || out.exit_code)
		outcome_fail(&out, out.signal ? JOB_CRASHED : JOB_ERROR, "as it was");
	limits_told(&reply, &conf, &out);
	assert_string_equal(out.error, error);
	assert_int_equal(out.status, status);
	outcome_fini(&out);
}

#define KILLED    .leaf = {.was_killed = true, .hit_memory = true}
#define AS_IT_WAS "as it was"

static void
who_was_killed_by_a_limit_has_crashed_of_it(void **state)
{
	static const char memory[] = "killed: memory limit 512MiB",
			  cpu[] = "killed: cpu limit 1min";

	(void)state;
	assert_told(
		&(struct end){.signal = SIGKILL, .usage = {KILLED}}, JOB_CRASHED, memory);
	/* a shell whose child was killed */
	assert_told(
		&(struct end){.exit_code = 137, .usage = {KILLED}}, JOB_CRASHED, memory);
	assert_told(
		&(struct end){.signal = SIGKILL, .is_worker = true, .usage = {KILLED}},
		JOB_CRASHED, memory);
	assert_told(&(struct end){.signal = SIGXCPU}, JOB_CRASHED, cpu);
	assert_told(
		&(struct end){.signal = SIGXCPU, .is_worker = true}, JOB_CRASHED, cpu);
	assert_told(&(struct end){.signal = SIGKILL, .usage = {.cpu_us = 61000000}},
		JOB_CRASHED, cpu);
}

static void
who_was_killed_for_others_is_told_so(void **state)
{
	const struct usage u = {.leaf = {.was_killed = true}};

	(void)state;
	assert_told(&(struct end){.signal = SIGKILL, .usage = u}, JOB_CRASHED,
		"killed: there was no memory left, for all jobs together");
	assert_told(&(struct end){.signal = SIGKILL, .is_free = true, .usage = {KILLED}},
		JOB_CRASHED, "killed: there was no memory left, for all jobs together");
}

static void
who_failed_near_a_limit_gets_a_hint(void **state)
{
	(void)state;
	assert_told(&(struct end){.exit_code = 1, .usage = {.max_rss_bytes = 500 * MIB}},
		JOB_ERROR, "as it was, near its memory limit 512MiB");
	assert_told(
		&(struct end){.signal = SIGSEGV, .usage = {.max_rss_bytes = 500 * MIB}},
		JOB_CRASHED, "as it was, near its memory limit 512MiB");
	assert_told(&(struct end){.exit_code = 152, .usage = {.cpu_us = 48000000}},
		JOB_ERROR, "as it was, near its cpu limit 1min");
	assert_told(
		&(struct end){.exit_code = 2, .usage = {.leaf = {.hit_processes = true}}},
		JOB_ERROR, "as it was, at its limit of 20 processes");
}

static void
other_ends_are_told_as_they_were(void **state)
{
	(void)state;
	assert_told(&(struct end){.signal = SIGKILL}, JOB_CRASHED, AS_IT_WAS);
	assert_told(&(struct end){.exit_code = 1}, JOB_ERROR, AS_IT_WAS);
	assert_told(&(struct end){.exit_code = 1, .usage = {.max_rss_bytes = 300 * MIB}},
		JOB_ERROR, AS_IT_WAS);
	assert_told(&(struct end){.signal = SIGXCPU, .is_free = true}, JOB_CRASHED,
		AS_IT_WAS);
	/* the processor time of a worker is that of all its jobs */
	assert_told(&(struct end){.signal = SIGKILL,
			    .is_worker = true,
			    .usage = {.cpu_us = 90000000}},
		JOB_CRASHED, AS_IT_WAS);
	assert_told(&(struct end){.is_free = true,
			    .exit_code = 1,
			    .usage = {.cpu_us = 90000000, .max_rss_bytes = 900 * MIB}},
		JOB_ERROR, AS_IT_WAS);
}

static void
success_is_success(void **state)
{
	(void)state;
	assert_told(&(struct end){.usage = {.cpu_us = 90000000,
					  .max_rss_bytes = 900 * MIB,
					  KILLED}},
		JOB_OK, "");
}

static void
what_was_used_is_known_of_what_ran(void **state)
{
	const struct usage u = {.cpu_us = 1234567,
		.max_rss_bytes = 5 * MIB,
		.leaf = {.memory_peak_bytes = 7 * MIB}};
	struct outcome out;

	(void)state;
	outcome_init(&out);
	limits_used(&(struct keeper_reply){.failed_at = KEEPER_EXEC, .usage = u}, &out);
	assert_int_equal(out.cpu_ms, -1);
	assert_int_equal(out.max_rss_bytes, 0);
	limits_used(&(struct keeper_reply){.usage = u}, &out);
	assert_int_equal(out.cpu_ms, 1234);
	assert_int_equal(out.max_rss_bytes, 5 * MIB);
	assert_int_equal(out.memory_peak_bytes, 7 * MIB);
	outcome_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_killed_by_a_limit_has_crashed_of_it),
		cmocka_unit_test(who_was_killed_for_others_is_told_so),
		cmocka_unit_test(who_failed_near_a_limit_gets_a_hint),
		cmocka_unit_test(other_ends_are_told_as_they_were),
		cmocka_unit_test(success_is_success),
		cmocka_unit_test(what_was_used_is_known_of_what_ran),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
