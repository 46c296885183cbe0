/*
 * Whether a failed attempt is followed by another, and when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "daemon/queue/retry.h"
#include "lib/base/cleanup.h"

enum { BACKOFF_MS = 1000, BACKOFF_MAX_MS = 600000, NOW_UNIX_MS = 1000000, DRAWS = 2000 };

static const struct handler_conf conf = {.retries = 2,
	.max_retries = 5,
	.backoff_ms = BACKOFF_MS,
	.backoff_max_ms = BACKOFF_MAX_MS};

static int64_t
delay_of(struct job j, struct outcome outcome)
{
	const struct attempt a = {.job = &j, .handler = &conf, .outcome = outcome};
	uint64_t random = 1;

	return retry_delay_ms(&a, NOW_UNIX_MS, &random);
}

static bool
is_retried(struct job j, struct outcome outcome)
{
	return delay_of(j, outcome) >= 0;
}

#define FAILED ((struct outcome){.status = JOB_ERROR})
/* @retries: -1: the job names none; @deadline_unix_ms: 0: none */
static struct job
job(int attempt, int retries, int64_t deadline_unix_ms)
{
	return (struct job){.attempt = attempt,
		.retries = retries,
		.deadline_unix_ms = deadline_unix_ms};
}

static void
only_failures_that_are_not_for_good_are_retried(void **state)
{
	static const struct {
		enum job_status status;
		bool expected;
	} rows[] = {
		{JOB_OK, false},
		{JOB_ERROR, true},
		{JOB_TIMEOUT, true},
		{JOB_CANCELLED, false},
		{JOB_CRASHED, true},
		{JOB_EXPIRED, false},
		{JOB_REJECTED, false},
		{JOB_HANDED_BACK, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct outcome o = {.status = rows[i].status};

		assert_int_equal(is_retried(job(1, -1, 0), o), rows[i].expected);
		o.for_good = true;
		assert_false(is_retried(job(1, -1, 0), o));
	}
}

static void
the_handlers_retries_count_when_the_job_names_none(void **state)
{
	(void)state;
	assert_true(is_retried(job(2, -1, 0), FAILED));
	assert_false(is_retried(job(3, -1, 0), FAILED));
}

static void
the_jobs_own_retries_count_within_max_retries(void **state)
{
	(void)state;
	assert_false(is_retried(job(1, 0, 0), FAILED));
	assert_true(is_retried(job(4, 4, 0), FAILED));
	assert_false(is_retried(job(5, 4, 0), FAILED));
	assert_true(is_retried(job(5, 1000, 0), FAILED));
	assert_false(is_retried(job(6, 1000, 0), FAILED));
}

static void
a_job_without_a_handler_is_not_retried(void **state)
{
	struct job one = job(1, -1, 0);
	const struct attempt a = {.job = &one, .outcome = FAILED};
	uint64_t random = 1;

	(void)state;
	assert_int_equal(retry_delay_ms(&a, NOW_UNIX_MS, &random), -1);
}

static void
an_attempt_that_would_start_after_the_deadline_is_not_made(void **state)
{
	const int64_t delay =
		delay_of(job(1, -1, 0), FAILED); /* the same with the same seed */

	(void)state;
	assert_true(delay > 0);
	assert_int_equal(delay_of(job(1, -1, NOW_UNIX_MS + delay + 1), FAILED), delay);
	assert_int_equal(delay_of(job(1, -1, NOW_UNIX_MS + delay), FAILED), -1);
}

/* The smallest and largest back-off in many draws. */
static void
draw(int attempt, int64_t *ret_min, int64_t *ret_max)
{
	uint64_t random = 7;

	*ret_min = INT64_MAX;
	*ret_max = 0;
	for (int i = 0; i < DRAWS; i++) {
		const int64_t ms = retry_backoff_ms(attempt, &conf, &random);

		*ret_min = ms < *ret_min ? ms : *ret_min;
		*ret_max = ms > *ret_max ? ms : *ret_max;
	}
}

static void
half_of_the_backoff_is_random_and_it_doubles_up_to_its_maximum(void **state)
{
	static const int attempts[] = {1, 2, 3, 5, 10, 11, 62, 63, 64, 65, 100000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		const int n = attempts[i];
		int64_t full = BACKOFF_MAX_MS, min, max;

		if (n <= 10)
			full = (int64_t)BACKOFF_MS << (n - 1);
		draw(n, &min, &max);
		assert_true(min >= full / 2 && min < full / 2 + full / 50);
		assert_true(max <= full && max > full - full / 50);
	}
}

static void
the_smallest_backoff_is_never_nothing(void **state)
{
	const struct handler_conf tiny = {.backoff_ms = 1, .backoff_max_ms = 1};
	uint64_t random = 0;

	(void)state;
	for (int i = 0; i < DRAWS; i++)
		assert_int_equal(retry_backoff_ms(1 + i, &tiny, &random), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_failures_that_are_not_for_good_are_retried),
		cmocka_unit_test(the_handlers_retries_count_when_the_job_names_none),
		cmocka_unit_test(the_jobs_own_retries_count_within_max_retries),
		cmocka_unit_test(a_job_without_a_handler_is_not_retried),
		cmocka_unit_test(
			an_attempt_that_would_start_after_the_deadline_is_not_made),
		cmocka_unit_test(
			half_of_the_backoff_is_random_and_it_doubles_up_to_its_maximum),
		cmocka_unit_test(the_smallest_backoff_is_never_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
