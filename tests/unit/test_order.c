/*
 * test_order.c - weighted queues get their shares
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "daemon/queue/order.h"
#include "lib/base/cleanup.h"

enum { ROUNDS = 10000 };

/* Serve @rounds reads of 1 to 32 jobs; the jobs that each queue had. */
static void
serve(struct queue *q, size_t count, int rounds, int64_t *ret_jobs)
{
	struct queue *order[8];

	for (size_t i = 0; i < count; i++)
		order[i] = &q[i];
	for (int i = 0; i < rounds; i++) {
		const size_t jobs = (size_t)(1 + i * 7 % 32);

		order_sort(order, count);
		order_charge(order[0], jobs);
		ret_jobs[order[0] - q] += (int64_t)jobs;
	}
}

static void
jobs_are_shared_by_weight_whatever_one_read_brings(void **state)
{
	struct queue q[] = {{.weight = 1}, {.weight = 6}, {.weight = 3}};
	int64_t jobs[ARRAY_LEN(q)] = {0};

	(void)state;
	serve(q, ARRAY_LEN(q), ROUNDS, jobs);
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		const int64_t expected = (jobs[0] + jobs[1] + jobs[2]) * q[i].weight / 10;

		/* never more than a few reads off */
		assert_true(jobs[i] > expected - 64 && jobs[i] < expected + 64);
	}
}

static void
the_heavier_is_asked_first_when_both_have_had_the_same(void **state)
{
	struct queue light = {.weight = 1}, heavy = {.weight = 1000};
	struct queue *order[] = {&light, &heavy};

	(void)state;
	order_sort(order, 2);
	assert_ptr_equal(order[0], &heavy);
	assert_ptr_equal(order[1], &light);
}

static void
an_empty_queue_does_not_save_up_its_share(void **state)
{
	struct queue q[] = {{.weight = 1}, {.weight = 1}};
	int64_t jobs[ARRAY_LEN(q)] = {0};

	(void)state;
	order_charge(&q[0], 100000);
	order_catch_up(&q[1], q[0].virtual_time);
	serve(q, ARRAY_LEN(q), 100, jobs);
	assert_true(jobs[0] > jobs[1] - 64 && jobs[0] < jobs[1] + 64);
	order_catch_up(&q[1], 0);
	assert_true(q[1].virtual_time > 0);
}

static void
a_queue_with_the_least_weight_still_has_its_turn(void **state)
{
	struct queue q[] = {{.weight = 1000}, {.weight = 1}};
	int64_t jobs[ARRAY_LEN(q)] = {0};

	(void)state;
	serve(q, ARRAY_LEN(q), ROUNDS, jobs);
	assert_true(jobs[1] > 0 && jobs[1] < jobs[0] / 500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_are_shared_by_weight_whatever_one_read_brings),
		cmocka_unit_test(the_heavier_is_asked_first_when_both_have_had_the_same),
		cmocka_unit_test(an_empty_queue_does_not_save_up_its_share),
		cmocka_unit_test(a_queue_with_the_least_weight_still_has_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
