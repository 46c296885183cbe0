/*
 * test_reconnect.c - how long a lost connection waits before the next try
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stint/clock.h>
#include "daemon/redis/reconnect.h"

enum { FIRST_MS = 50, MAX_MS = 250, STABLE_MS = 5000, FLEET = 2000, LOSSES = 100 };

/* The longest of many that have lost it so often. */
static int64_t
longest_ms(int losses)
{
	int64_t longest = 0;

	for (uint64_t seed = 0; seed < FLEET; seed++) {
		struct reconnect r;
		int64_t wait_ms = 0;

		reconnect_init(&r, MAX_MS, seed);
		for (int i = 0; i < losses; i++) {
			wait_ms = reconnect_wait_ms(&r);
			assert_true(wait_ms > 0);
		}
		longest = wait_ms > longest ? wait_ms : longest;
	}
	return longest;
}

static void
the_wait_grows_up_to_its_limit_however_often_it_is_lost(void **state)
{
	(void)state;
	assert_in_range(longest_ms(1), FIRST_MS - 1, FIRST_MS);
	assert_in_range(longest_ms(2), 2 * FIRST_MS - 1, 2 * FIRST_MS);
	assert_in_range(longest_ms(3), 4 * FIRST_MS - 3, 4 * FIRST_MS);
	assert_in_range(longest_ms(4), MAX_MS - 3, MAX_MS);
	assert_in_range(longest_ms(LOSSES), MAX_MS - 3, MAX_MS);
}

static void
a_short_limit_holds_from_the_first_loss_on(void **state)
{
	struct reconnect r;

	(void)state;
	reconnect_init(&r, 1, 1);
	for (int i = 0; i < LOSSES; i++)
		assert_int_equal(reconnect_wait_ms(&r), 1);
}

/* The longest wait of many that had lost it often, and were up for so long then. */
static int64_t
longest_after_up_ms(int64_t up_ms)
{
	const int64_t now_ms = 1000;
	int64_t longest = 0;

	for (uint64_t seed = 0; seed < FLEET; seed++) {
		struct reconnect r;
		int64_t wait_ms;

		stint_clock_set(now_ms, 0);
		reconnect_init(&r, MAX_MS, seed);
		for (int i = 0; i < LOSSES; i++)
			reconnect_wait_ms(&r);
		reconnect_up(&r);
		stint_clock_set(now_ms + up_ms, 0);
		wait_ms = reconnect_wait_ms(&r);
		longest = wait_ms > longest ? wait_ms : longest;
	}
	stint_clock_reset();
	return longest;
}

static void
only_a_connection_that_was_up_for_long_starts_anew(void **state)
{
	(void)state;
	assert_in_range(longest_after_up_ms(STABLE_MS), FIRST_MS - 1, FIRST_MS);
	assert_in_range(longest_after_up_ms(STABLE_MS - 1), MAX_MS - 3, MAX_MS);
}

/* Tries that fail after that do not count as the end of a stable connection. */
static void
only_the_first_wait_after_a_stable_connection_is_short(void **state)
{
	int64_t longest = 0;

	(void)state;
	for (uint64_t seed = 0; seed < FLEET; seed++) {
		struct reconnect r;
		int64_t wait_ms;

		stint_clock_set(1000, 0);
		reconnect_init(&r, MAX_MS, seed);
		reconnect_up(&r);
		stint_clock_set(1000 + STABLE_MS, 0);
		reconnect_wait_ms(&r);
		wait_ms = reconnect_wait_ms(&r);
		longest = wait_ms > longest ? wait_ms : longest;
	}
	assert_in_range(longest, FIRST_MS + 1, 2 * FIRST_MS);
	stint_clock_reset();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wait_grows_up_to_its_limit_however_often_it_is_lost),
		cmocka_unit_test(a_short_limit_holds_from_the_first_loss_on),
		cmocka_unit_test(only_a_connection_that_was_up_for_long_starts_anew),
		cmocka_unit_test(only_the_first_wait_after_a_stable_connection_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
