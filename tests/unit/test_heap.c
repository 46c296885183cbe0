/*
 * test_heap.c - binary heap with a back-index
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/base/heap.h"
#include "lib/base/random.h"

enum {
	NODE_COUNT = 200,
	STEP_COUNT = 100000,
};

static void
empty_heap_has_no_minimum(void **state)
{
	cleanup(heap_fini) struct heap h = {0};

	(void)state;
	assert_null(heap_min(&h));
}

static void
nodes_come_out_in_order(void **state)
{
	cleanup(heap_fini) struct heap h = {0};
	struct heap_node nodes[NODE_COUNT] = {0};
	int64_t last = INT64_MIN;
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < NODE_COUNT; i++) {
		nodes[i].key = (int64_t)(random_next(&seed) % 50) - 25; /* with doubles */
		assert_int_equal(heap_push(&h, &nodes[i]), 0);
	}
	for (size_t i = 0; i < NODE_COUNT; i++) {
		struct heap_node *n = heap_min(&h);

		assert_true(n->key >= last);
		last = n->key;
		heap_remove(&h, n);
		assert_false(heap_contains(n));
	}
	assert_null(heap_min(&h));
}

static void
extreme_keys_are_ordered(void **state)
{
	cleanup(heap_fini) struct heap h = {0};
	struct heap_node high = {.key = INT64_MAX}, low = {.key = INT64_MIN}, zero = {0};

	(void)state;
	assert_int_equal(heap_push(&h, &high), 0);
	assert_int_equal(heap_push(&h, &zero), 0);
	assert_int_equal(heap_push(&h, &low), 0);
	assert_ptr_equal(heap_min(&h), &low);
	heap_remove(&h, &low);
	assert_ptr_equal(heap_min(&h), &zero);
	heap_remove(&h, &zero);
	assert_ptr_equal(heap_min(&h), &high);
}

static void
removing_what_is_not_in_changes_nothing(void **state)
{
	cleanup(heap_fini) struct heap h = {0};
	struct heap_node in = {.key = 1}, out = {.key = 0};

	(void)state;
	assert_int_equal(heap_push(&h, &in), 0);
	heap_remove(&h, &out);
	assert_ptr_equal(heap_min(&h), &in);
	heap_remove(&h, &in);
	heap_remove(&h, &in);
	assert_null(heap_min(&h));
	assert_int_equal(heap_push(&h, &in), 0); /* and it may come back */
	assert_ptr_equal(heap_min(&h), &in);
}

static void
minimum_is_right_after_any_push_or_removal(void **state)
{
	cleanup(heap_fini) struct heap h = {0};
	struct heap_node nodes[NODE_COUNT] = {0};
	size_t inside = 0;
	uint64_t seed = 2;

	(void)state;
	for (int step = 0; step < STEP_COUNT; step++) {
		struct heap_node *n = &nodes[random_next(&seed) % NODE_COUNT],
				 *min = NULL;

		if (heap_contains(n)) {
			heap_remove(&h, n);
			inside--;
		} else {
			n->key = random_next(&seed) % 1000;
			assert_int_equal(heap_push(&h, n), 0);
			inside++;
		}
		for (size_t i = 0; i < NODE_COUNT; i++)
			if (heap_contains(&nodes[i]) && (!min || nodes[i].key < min->key))
				min = &nodes[i];
		assert_int_equal(h.len, inside);
		if (min)
			assert_int_equal(heap_min(&h)->key, min->key);
		else
			assert_null(heap_min(&h));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_heap_has_no_minimum),
		cmocka_unit_test(nodes_come_out_in_order),
		cmocka_unit_test(extreme_keys_are_ordered),
		cmocka_unit_test(removing_what_is_not_in_changes_nothing),
		cmocka_unit_test(minimum_is_right_after_any_push_or_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
