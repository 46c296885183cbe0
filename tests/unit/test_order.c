/*
 * test_order.c - random numbers, and the order of weighted queues that is drawn with them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "daemon/queue/order.h"
#include "lib/base/cleanup.h"
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

static void
an_order_holds_each_queue_once(void **state)
{
	struct queue q[] = {{.weight = 1}, {.weight = 5}, {.weight = 1000000}};
	struct queue *order[] = {&q[0], &q[1], &q[2]};
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		int seen = 0;

		order_shuffle(order, ARRAY_LEN(order), &seed);
		for (size_t k = 0; k < ARRAY_LEN(order); k++)
			seen |= 1 << (order[k] - q);
		assert_int_equal(seen, 7);
	}
}

static void
a_queue_is_first_in_proportion_to_its_weight(void **state)
{
	struct queue q[] = {{.weight = 6}, {.weight = 3}, {.weight = 1}};
	struct queue *order[] = {&q[0], &q[1], &q[2]};
	int first[ARRAY_LEN(q)] = {0};
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		order_shuffle(order, ARRAY_LEN(order), &seed);
		first[order[0] - q]++;
	}
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		const unsigned expected = DRAWS / 10 * q[i].weight;

		assert_in_range(first[i], expected * 9 / 10, expected * 11 / 10);
	}
}

static void
no_queue_and_one_queue_need_no_draw(void **state)
{
	struct queue q = {.weight = 1};
	struct queue *order[] = {&q};
	uint64_t seed = 7;

	(void)state;
	order_shuffle(order, 0, &seed);
	order_shuffle(order, 1, &seed);
	assert_ptr_equal(order[0], &q);
	assert_true(seed == 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_of_zero_is_as_good_as_any),
		cmocka_unit_test(the_same_seed_gives_the_same_numbers),
		cmocka_unit_test(every_remainder_comes_about_as_often),
		cmocka_unit_test(an_order_holds_each_queue_once),
		cmocka_unit_test(a_queue_is_first_in_proportion_to_its_weight),
		cmocka_unit_test(no_queue_and_one_queue_need_no_draw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
