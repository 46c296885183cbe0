/*
 * test_ctx_value.c - values of contexts, and contexts that keep nothing else
 */
#include "tests/unit/conc_util.h"

#include <malloc.h>

static int key_a, key_b, one, two, three;

static struct stint_ctx *
new_ctx_with(struct stint_ctx *parent, const void *key, void *value)
{
	struct stint_ctx *ctx = NULL;

	assert_int_equal(stint_ctx_with_value(parent, key, value, &ctx), 0);
	return ctx;
}

static struct stint_ctx *
new_ctx_without_cancel(struct stint_ctx *from)
{
	struct stint_ctx *ctx = NULL;

	assert_int_equal(stint_ctx_without_cancel(from, &ctx), 0);
	return ctx;
}

static void
value_is_found_by_the_address_of_its_key(void **state)
{
	struct stint_ctx *ctx = new_ctx_with(BACKGROUND, &key_a, &one), *none = NULL;

	(void)state;
	assert_ptr_equal(stint_ctx_value(ctx, &key_a), &one);
	assert_null(stint_ctx_value(ctx, &key_b));
	assert_null(stint_ctx_value(ctx, NULL));
	assert_null(stint_ctx_value(BACKGROUND, &key_a));
	assert_int_equal(stint_ctx_with_value(ctx, NULL, &one, &none), -EINVAL);
	assert_null(none);
	stint_ctx_free(ctx);
}

static void
lookup_goes_through_all_layers_and_the_nearest_wins(void **state)
{
	struct stint_ctx *a = new_ctx_with(BACKGROUND, &key_a, &one);
	struct stint_ctx *late = new_ctx_until(a, stint_at_ms(60000));
	struct stint_ctx *b = new_ctx_with(late, &key_b, &two);
	struct stint_ctx *below = new_ctx(b);
	struct stint_ctx *again = new_ctx_with(below, &key_a, &three);

	(void)state;
	assert_ptr_equal(stint_ctx_value(late, &key_a), &one);
	assert_null(stint_ctx_value(late, &key_b));
	assert_ptr_equal(stint_ctx_value(below, &key_a), &one);
	assert_ptr_equal(stint_ctx_value(below, &key_b), &two);
	assert_ptr_equal(stint_ctx_value(again, &key_a), &three);
	assert_ptr_equal(stint_ctx_value(again, &key_b), &two);
	assert_ptr_equal(stint_ctx_value(a, &key_a), &one);
	assert_true(stint_ctx_deadline(again) == stint_ctx_deadline(late));
	stint_ctx_free(a);
	stint_ctx_free(late);
	stint_ctx_free(b);
	stint_ctx_free(below);
	stint_ctx_free(again);
}

static void
null_hides_what_is_further_up(void **state)
{
	struct stint_ctx *a = new_ctx_with(BACKGROUND, &key_a, &one);
	struct stint_ctx *hidden = new_ctx_with(a, &key_a, NULL);

	(void)state;
	assert_null(stint_ctx_value(hidden, &key_a));
	stint_ctx_free(hidden);
	stint_ctx_free(a);
}

static void
values_stay_when_the_tree_has_ended_and_is_freed(void **state)
{
	struct stint_ctx *root = new_ctx_with(BACKGROUND, &key_a, &one);
	struct stint_ctx *middle = new_ctx_with(root, &key_b, &two);
	struct stint_ctx *leaf = new_ctx(middle), *born_ended;

	(void)state;
	stint_ctx_cancel(root);
	born_ended = new_ctx_with(middle, &key_a, &three);
	stint_ctx_free(middle);
	stint_ctx_free(root);
	assert_int_equal(stint_ctx_err(leaf), -ECANCELED);
	assert_ptr_equal(stint_ctx_value(leaf, &key_a), &one);
	assert_ptr_equal(stint_ctx_value(leaf, &key_b), &two);
	assert_int_equal(stint_ctx_err(born_ended), -ECANCELED);
	assert_ptr_equal(stint_ctx_value(born_ended, &key_a), &three);
	assert_ptr_equal(stint_ctx_value(born_ended, &key_b), &two);
	stint_ctx_free(leaf);
	stint_ctx_free(born_ended);
}

static void
context_with_a_value_ends_like_any_other(void **state)
{
	struct stint_ctx *parent = new_ctx(BACKGROUND);
	struct stint_ctx *ctx = new_ctx_with(parent, &key_a, &one);
	struct stint_ctx *below = new_ctx(ctx);

	(void)state;
	stint_ctx_cancel_cause(ctx, -EIO, "enough");
	assert_int_equal(stint_ctx_err(parent), 0);
	assert_int_equal(stint_ctx_cause(below, NULL), -EIO);
	stint_ctx_free(parent);
	stint_ctx_free(ctx);
	stint_ctx_free(below);
}

static void
without_cancel_keeps_values_and_drops_end_and_deadline(void **state)
{
	struct stint_ctx *root = new_ctx_with(BACKGROUND, &key_a, &one);
	struct stint_ctx *late = new_ctx_until(root, stint_at_ms(60000));
	struct stint_ctx *kept = new_ctx_without_cancel(late);
	struct stint_ctx *below = new_ctx(kept), *of_ended;

	(void)state;
	assert_true(stint_ctx_deadline(kept) == STINT_NEVER);
	stint_ctx_cancel(root);
	of_ended = new_ctx_without_cancel(late);
	stint_ctx_free(root);
	stint_ctx_free(late);
	assert_int_equal(stint_ctx_err(kept), 0);
	assert_int_equal(stint_ctx_err(of_ended), 0);
	assert_ptr_equal(stint_ctx_value(of_ended, &key_a), &one);
	assert_ptr_equal(stint_ctx_value(below, &key_a), &one);
	stint_ctx_cancel(kept);
	assert_int_equal(stint_ctx_err(below), -ECANCELED);
	assert_int_equal(stint_ctx_err(of_ended), 0);
	stint_ctx_free(of_ended);
	stint_ctx_free(below);
	stint_ctx_free(kept);
}

static void
without_cancel_of_the_background_is_a_context_of_its_own(void **state)
{
	struct stint_ctx *ctx = new_ctx_without_cancel(BACKGROUND);

	(void)state;
	assert_ptr_not_equal(ctx, BACKGROUND);
	assert_null(stint_ctx_value(ctx, &key_a));
	stint_ctx_free(ctx);
}

static void
a_long_list_of_values_is_freed_without_recursion(void **state)
{
	/* The allocator keeps a few small pieces for the next of their size. */
	enum { LAYERS = 100000, KEPT_BYTES = 16384 };
	static int keys[LAYERS];
	size_t before = mallinfo2().uordblks;
	struct stint_ctx *ctx = new_ctx_with(BACKGROUND, &key_a, &one);

	(void)state;
	for (int i = 0; i < LAYERS; i++) {
		struct stint_ctx *next = new_ctx_with(ctx, &keys[i], &keys[i]);

		stint_ctx_free(ctx);
		ctx = next;
	}
	assert_ptr_equal(stint_ctx_value(ctx, &key_a), &one);
	assert_ptr_equal(stint_ctx_value(ctx, &keys[0]), &keys[0]);
	stint_ctx_free(ctx);
	assert_true(mallinfo2().uordblks <= before + KEPT_BYTES);
}

static void
share_and_read(void *arg)
{
	struct stint_ctx *parent = arg;

	for (int i = 0; i < 2000; i++) {
		struct stint_ctx *ctx = NULL, *child = NULL;

		if (stint_ctx_with_value(parent, &key_b, &two, &ctx) < 0 ||
			stint_ctx_with_cancel(ctx, &child) < 0)
			abort();
		stint_ctx_free(ctx);
		if (stint_ctx_value(child, &key_a) != &one ||
			stint_ctx_value(child, &key_b) != &two)
			abort();
		stint_ctx_free(child);
	}
}

static void
values_are_shared_by_many_threads(void **state)
{
	enum { THREADS = 4 };
	struct stint_ctx *parent = new_ctx_with(BACKGROUND, &key_a, &one);
	struct task task[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		task_start(&task[i], share_and_read, parent);
	for (int i = 0; i < THREADS; i++)
		task_join(&task[i]);
	stint_ctx_free(parent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_is_found_by_the_address_of_its_key),
		cmocka_unit_test(lookup_goes_through_all_layers_and_the_nearest_wins),
		cmocka_unit_test(null_hides_what_is_further_up),
		cmocka_unit_test(values_stay_when_the_tree_has_ended_and_is_freed),
		cmocka_unit_test(context_with_a_value_ends_like_any_other),
		cmocka_unit_test(without_cancel_keeps_values_and_drops_end_and_deadline),
		cmocka_unit_test(
			without_cancel_of_the_background_is_a_context_of_its_own),
		cmocka_unit_test(a_long_list_of_values_is_freed_without_recursion),
		cmocka_unit_test(values_are_shared_by_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
