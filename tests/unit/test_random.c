/*
 * test_random.c - random numbers that spread load
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/base/random.h"

enum { DRAWS = 60000, FACES = 6 };

static void
a_seed_of_zero_is_as_good_as_any(void **state)
{
	uint64_t zero = 0, other = 1;
	const uint32_t first = random_next(&zero);

	(void)state;
	assert_true(zero != 0);
	assert_true(first != random_next(&zero));
	assert_true(first != random_next(&other));
}

static void
the_same_seed_gives_the_same_numbers(void **state)
{
	uint64_t a = 42, b = 42;

	(void)state;
	for (int i = 0; i < DRAWS; i++)
		assert_true(random_next(&a) == random_next(&b));
}

static void
every_remainder_comes_about_as_often(void **state)
{
	int count[FACES] = {0};
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < DRAWS; i++)
		count[random_next(&seed) % FACES]++;
	for (int i = 0; i < FACES; i++)
		assert_in_range(
			count[i], DRAWS / FACES * 9 / 10, DRAWS / FACES * 11 / 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_of_zero_is_as_good_as_any),
		cmocka_unit_test(the_same_seed_gives_the_same_numbers),
		cmocka_unit_test(every_remainder_comes_about_as_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
