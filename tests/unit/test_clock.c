/*
 * test_clock.c - the system's clocks and the scripted one
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>
#include <stint/clock.h>

static int64_t
kernel_us(clockid_t id)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(id, &ts), 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
unscripted_clocks_are_the_kernels(void **state)
{
	int64_t before = kernel_us(CLOCK_MONOTONIC), us = stint_now_us();
	int64_t after = kernel_us(CLOCK_MONOTONIC);

	(void)state;
	assert_true(before <= us && us <= after);

	before = kernel_us(CLOCK_MONOTONIC) / 1000;
	us = stint_now_ms() * 1000;
	after = kernel_us(CLOCK_MONOTONIC) / 1000;
	assert_true(before <= us / 1000 && us / 1000 <= after);

	before = kernel_us(CLOCK_REALTIME) / 1000;
	us = stint_unix_ms() * 1000;
	after = kernel_us(CLOCK_REALTIME) / 1000;
	assert_true(before <= us / 1000 && us / 1000 <= after);
}

static void
scripted_clock_stands_still_until_moved(void **state)
{
	(void)state;
	stint_clock_set(5000, 1700000000000);
	assert_int_equal(stint_now_ms(), 5000);
	assert_int_equal(stint_now_ms(), 5000);
	assert_int_equal(stint_now_us(), 5000000);
	assert_int_equal(stint_unix_ms(), 1700000000000);
	stint_clock_set(0, -1);
	assert_int_equal(stint_now_ms(), 0);
	assert_int_equal(stint_unix_ms(), -1);
}

static void
reset_returns_to_the_kernels_clocks(void **state)
{
	(void)state;
	stint_clock_set(-5, -5);
	stint_clock_reset();
	assert_true(stint_now_us() <= kernel_us(CLOCK_MONOTONIC));
	assert_true(stint_now_ms() > 0);
	assert_true(stint_unix_ms() > 1700000000000);
}

static void
at_counts_from_now(void **state)
{
	(void)state;
	stint_clock_set(1000, 0);
	assert_int_equal(stint_at_ms(0), 1000);
	assert_int_equal(stint_at_ms(250), 1250);
}

static void
negative_timeout_is_now(void **state)
{
	(void)state;
	stint_clock_set(1000, 0);
	assert_int_equal(stint_at_ms(-1), 1000);
	assert_int_equal(stint_at_ms(INT64_MIN), 1000);
}

static void
never_stays_never_and_nothing_overflows(void **state)
{
	(void)state;
	stint_clock_set(1000, 0);
	assert_int_equal(stint_at_ms(STINT_NEVER), STINT_NEVER);
	assert_int_equal(stint_at_ms(STINT_NEVER - 1), STINT_NEVER);
	stint_clock_set(-1000, 0);
	assert_int_equal(stint_at_ms(STINT_NEVER), STINT_NEVER);
}

static int
unscript(void **state)
{
	(void)state;
	stint_clock_reset();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unscripted_clocks_are_the_kernels),
		cmocka_unit_test_teardown(
			scripted_clock_stands_still_until_moved, unscript),
		cmocka_unit_test(reset_returns_to_the_kernels_clocks),
		cmocka_unit_test_teardown(at_counts_from_now, unscript),
		cmocka_unit_test_teardown(negative_timeout_is_now, unscript),
		cmocka_unit_test_teardown(
			never_stays_never_and_nothing_overflows, unscript),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
