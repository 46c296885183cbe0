/*
 * test_ctx_tree.c - many contexts: deep trees, random ends, races, memory
 */
#include "tests/unit/conc_util.h"

#include <malloc.h>

static void
deep_and_wide_trees_end_in_one_go(void **state)
{
	enum { DEPTH = 20000, WIDTH = 5000 };
	struct stint_ctx **ctx = calloc(DEPTH + WIDTH, sizeof(struct stint_ctx *));

	(void)state;
	assert_non_null(ctx);
	ctx[0] = new_ctx(BACKGROUND);
	for (int i = 1; i < DEPTH; i++)
		ctx[i] = new_ctx(ctx[i - 1]);
	for (int i = DEPTH; i < DEPTH + WIDTH; i++)
		ctx[i] = new_ctx(ctx[DEPTH / 2]);
	stint_ctx_cancel(ctx[1]);
	assert_int_equal(stint_ctx_err(ctx[0]), 0);
	for (int i = 1; i < DEPTH + WIDTH; i++)
		assert_int_equal(stint_ctx_err(ctx[i]), -ECANCELED);
	for (int i = 0; i < DEPTH + WIDTH; i++)
		stint_ctx_free(ctx[i]);
	free(ctx);
}

/* Layers of cancels and deadlines in random order, all ended by one of them. */
static void
random_layers_end_below_the_first_end_only(void **state)
{
	enum { LAYERS = 30, ROUNDS = 200 };
	uint64_t seed = 4711;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct stint_ctx *ctx[LAYERS];
		int at = (int)(random_next(&seed) % LAYERS);
		bool is_late = random_next(&seed) % 2;

		stint_clock_set(0, 0);
		for (int i = 0; i < LAYERS; i++) {
			struct stint_ctx *parent = i ? ctx[i - 1] : BACKGROUND;
			int64_t far_ms = 1000 + random_next(&seed) % 1000;

			if (i == at && is_late)
				ctx[i] = new_ctx_until(parent, 500);
			else if (random_next(&seed) % 2)
				ctx[i] = new_ctx_until(parent, far_ms);
			else
				ctx[i] = new_ctx(parent);
		}
		stint_clock_set(500, 0);
		if (!is_late)
			stint_ctx_cancel(ctx[at]);
		for (int i = LAYERS; i-- > 0;) {
			int end = is_late ? -ETIMEDOUT : -ECANCELED;

			assert_int_equal(stint_ctx_err(ctx[i]), i < at ? 0 : end);
		}
		for (int i = 0; i < LAYERS; i++)
			stint_ctx_free(ctx[(i + at) % LAYERS]);
	}
}

struct maker {
	struct stint_ctx *parent;
	_Atomic bool *is_cancelled;
	int seen_alive; /* children that had not ended although the parent had */
};

static void
make_children(void *arg)
{
	enum { CHILDREN = 300 };
	struct maker *m = arg;

	for (int i = 0; i < CHILDREN; i++) {
		bool was_cancelled = atomic_load(m->is_cancelled);
		struct stint_ctx *child, *grandchild;

		if (stint_ctx_with_cancel(m->parent, &child) < 0)
			abort();
		if (stint_ctx_with_timeout(child, i % 3, &grandchild) < 0)
			abort();
		if (was_cancelled && stint_ctx_err(child) == 0)
			m->seen_alive++;
		stint_ctx_free(i % 2 ? child : grandchild);
		if (atomic_load(m->is_cancelled) && i % 2 &&
			stint_ctx_err(grandchild) == 0)
			m->seen_alive++;
		stint_ctx_free(i % 2 ? grandchild : child);
	}
}

static void
children_made_while_the_parent_is_cancelled_all_end(void **state)
{
	enum { MAKERS = 4, ROUNDS = 20 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct stint_ctx *root = new_ctx(BACKGROUND), *parent = new_ctx(root);
		_Atomic bool is_cancelled = false;
		struct maker maker[MAKERS];
		struct task task[MAKERS];

		for (int i = 0; i < MAKERS; i++) {
			maker[i] = (struct maker){parent, &is_cancelled, 0};
			task_start(&task[i], make_children, &maker[i]);
		}
		stint_ctx_cancel(round % 2 ? parent : root);
		atomic_store(&is_cancelled, true);
		for (int i = 0; i < MAKERS; i++) {
			task_join(&task[i]);
			assert_int_equal(maker[i].seen_alive, 0);
		}
		stint_ctx_free(root);
		stint_ctx_free(parent);
	}
}

static void
cancel_task(void *arg)
{
	stint_ctx_cancel_cause(arg, -EIO, "from both ends");
}

static void
tree_cancelled_from_both_ends_at_once_ends_once(void **state)
{
	enum { DEPTH = 8, ROUNDS = 100 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct stint_ctx *ctx[DEPTH];
		struct task top, bottom;

		for (int i = 0; i < DEPTH; i++)
			ctx[i] = new_ctx(i ? ctx[i - 1] : BACKGROUND);
		task_start(&top, cancel_task, ctx[0]);
		task_start(&bottom, cancel_task, ctx[DEPTH - 1]);
		stint_ctx_free(ctx[DEPTH / 2]);
		task_join(&top);
		task_join(&bottom);
		for (int i = 0; i < DEPTH; i++) {
			if (i == DEPTH / 2)
				continue;
			assert_int_equal(stint_ctx_err(ctx[i]), -ECANCELED);
			stint_ctx_free(ctx[i]);
		}
	}
}

static void
a_million_contexts_leave_nothing(void **state)
{
	enum { COUNT = 1000000 };
	struct stint_ctx *root = new_ctx(BACKGROUND);
	size_t before = mallinfo2().uordblks;

	(void)state;
	for (int i = 0; i < test_rounds(COUNT); i++) {
		struct stint_ctx *ctx;

		assert_true(stint_ctx_with_deadline(root, STINT_NEVER - i, &ctx) == 0);
		stint_ctx_free(ctx);
	}
	assert_true(mallinfo2().uordblks <= before);
	stint_ctx_free(root);
}

/* One allocation, most of it the sentence of its cause. */
static void
a_context_is_small(void **state)
{
	enum { COUNT = 1000, BYTES_AT_MOST = 640 };
	struct stint_ctx *root = new_ctx(BACKGROUND), *ctx[COUNT];
	size_t before = mallinfo2().uordblks;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		ctx[i] = new_ctx(root);
	assert_true(mallinfo2().uordblks - before <= COUNT * BYTES_AT_MOST);
	for (int i = 0; i < COUNT; i++)
		stint_ctx_free(ctx[i]);
	stint_ctx_free(root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deep_and_wide_trees_end_in_one_go),
		cmocka_unit_test_teardown(
			random_layers_end_below_the_first_end_only, reset_clock),
		cmocka_unit_test(children_made_while_the_parent_is_cancelled_all_end),
		cmocka_unit_test(tree_cancelled_from_both_ends_at_once_ends_once),
		cmocka_unit_test(a_million_contexts_leave_nothing),
		cmocka_unit_test(a_context_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
