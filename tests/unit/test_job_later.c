/*
 * test_job_later.c - fields that put a job off or have it tried again
 */
#include "tests/unit/job_fixture.h"

static void
a_delay_counts_from_submission(void **state)
{
	cleanup(freep) struct job *job = job_of(HANDLER, B("delay"), B("1min 30s"));
	cleanup(freep) struct job *none = job_of(HANDLER, B("delay"), B("0"));
	const struct bytes fields[] = {HANDLER, B("delay"), B("100d")};
	cleanup(freep) struct job *last =
		job_new("18446744073709551615-1", fields, ARRAY_LEN(fields));

	(void)state;
	assert_string_equal(job->fault, "");
	assert_true(job->due_unix_ms == INT64_C(1732153290000));
	assert_string_equal(none->fault, "");
	assert_true(none->due_unix_ms == 0);
	assert_non_null(last);
	assert_true(last->due_unix_ms > INT64_MAX / 2);
}

static void
a_job_is_put_off_in_one_way(void **state)
{
	static const char fault[] = "expected only one of \"delay\" and \"at\"";

	(void)state;
	assert_fault(job_of(HANDLER, B("delay"), B("1s"), B("at"), B("1")), fault);
	assert_fault(job_of(HANDLER, B("at"), B("1"), B("delay"), B("0")), fault);
	assert_fault(job_of(HANDLER, B("delay"), B("soon")),
		"delay: expected a time span such as \"30s\", got \"soon\"");
	assert_fault(job_of(HANDLER, B("at"), B("soon")),
		"at: expected a unix time in ms, got \"soon\"");
	assert_fault(job_of(HANDLER, B("at"), B("0")),
		"at: expected a unix time in ms, got \"0\"");
}

static void
a_faulty_job_waits_for_nothing(void **state)
{
	cleanup(freep) struct job *job =
		job_of(HANDLER, B("at"), B("1732153240000"), B("what"), B("x"));

	(void)state;
	assert_true(job->fault[0] != '\0');
	assert_true(job->due_unix_ms == 0);
}

static void
retries_are_a_number(void **state)
{
	cleanup(freep) struct job *none = job_of(HANDLER, B("retries"), B("0"));

	(void)state;
	assert_int_equal(none->retries, 0);
	assert_fault(job_of(HANDLER, B("retries"), B("many")),
		"retries: expected a whole number from 0, got \"many\"");
	assert_fault(job_of(HANDLER, B("retries"), B("-1")),
		"retries: expected a whole number from 0, got \"-1\"");
	assert_fault(job_of(HANDLER, B("retries"), B("4294967297")),
		"retries: expected a whole number from 0, got \"4294967297\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delay_counts_from_submission),
		cmocka_unit_test(a_job_is_put_off_in_one_way),
		cmocka_unit_test(a_faulty_job_waits_for_nothing),
		cmocka_unit_test(retries_are_a_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
