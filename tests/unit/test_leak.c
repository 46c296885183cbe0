/*
 * test_leak.c - the leak check: what is alive, by kind, name and place
 */
#include "tests/unit/conc_util.h"

#include <limits.h>
#include <sched.h>
#include <stint/group.h>
#include <stint/results.h>
#include <stint/task.h>
#include "lib/conc/track.h"

#define HERE STINT_WHERE

/* What a check says, and how many it counts. */
struct told {
	char *text;
	size_t count;
};

static struct told
check(void)
{
	struct told told = {0};
	size_t size = 0;
	FILE *out = open_memstream(&told.text, &size);

	assert_non_null(out);
	told.count = stint_leak_check(out);
	assert_int_equal(fclose(out), 0);
	return told;
}

static void
assert_told(const char *text, size_t count)
{
	struct told told = check();

	assert_string_equal(told.text, text);
	assert_int_equal(told.count, count);
	free(told.text);
}

static void
nothing_made_is_nothing_leaked(void **state)
{
	(void)state;
	stint_leak_watch();
	assert_told("", 0);
	assert_int_equal(stint_leak_check(NULL), 0);
}

static void
leaks_are_named_with_kind_and_place_oldest_first(void **state)
{
	struct stint_chan *ch;
	struct stint_ctx *ctx;
	struct stint_wg *wg;

	(void)state;
	assert_int_equal(stint_chan_new_at(4, 0, &ch, "a.c:1"), 0);
	assert_int_equal(stint_ctx_with_cancel_at(BACKGROUND, &ctx, "b.c:22"), 0);
	assert_int_equal(stint_wg_new_at(&wg, "c.c:333"), 0);
	assert_told("leak: channel made at a.c:1\n"
		    "leak: context made at b.c:22\n"
		    "leak: wait group made at c.c:333\n",
		3);
	stint_ctx_free(ctx);
	assert_told("leak: channel made at a.c:1\n"
		    "leak: wait group made at c.c:333\n",
		2);
	stint_wg_free(wg);
	stint_chan_free(ch);
	assert_told("", 0);
}

static void
makers_know_where_they_were_called(void **state)
{
	struct stint_ctx *ctx, *late, *timed, *valued, *free_one;
	struct stint_chan *ch;
	struct stint_wg *wg;
	const char *places[] = {HERE, HERE, HERE, HERE, HERE, HERE, HERE};
	char line[PATH_MAX], *want = NULL;
	size_t size;
	struct told told;
	FILE *out = open_memstream(&want, &size);

	(void)state;
	assert_non_null(out);
	/* clang-format off */
	places[0] = HERE; assert_int_equal(stint_ctx_with_cancel(BACKGROUND, &ctx), 0);
	places[1] = HERE; assert_int_equal(stint_ctx_with_deadline(ctx, 9, &late), 0);
	places[2] = HERE; assert_int_equal(stint_ctx_with_timeout(ctx, 9, &timed), 0);
	places[3] = HERE; assert_int_equal(stint_ctx_with_value(ctx, &ch, &wg, &valued), 0);
	places[4] = HERE; assert_int_equal(stint_ctx_without_cancel(ctx, &free_one), 0);
	places[5] = HERE; assert_int_equal(stint_chan_new(1, 1, &ch), 0);
	places[6] = HERE; assert_int_equal(stint_wg_new(&wg), 0);
	/* clang-format on */
	for (int i = 0; i < 7; i++) {
		const char *kind = i < 5 ? "context" : i == 5 ? "channel" : "wait group";

		snprintf(line, sizeof(line), "leak: %s made at %s\n", kind, places[i]);
		fputs(line, out);
	}
	assert_int_equal(fclose(out), 0);
	told = check();
	assert_string_equal(told.text, want);
	assert_non_null(strstr(told.text, "tests/unit/test_leak.c:"));
	free(told.text);
	free(want);
	stint_wg_free(wg);
	stint_chan_free(ch);
	stint_ctx_free(free_one);
	stint_ctx_free(valued);
	stint_ctx_free(timed);
	stint_ctx_free(late);
	stint_ctx_free(ctx);
}

static void
run_nothing(void *arg, void *worker_state, void *item)
{
	(void)arg;
	(void)worker_state;
	(void)item;
}

static void
pool_is_named_and_its_parts_are_not(void **state)
{
	const struct stint_pool_ops ops = {.run = run_nothing};
	struct stint_chan *ch = new_chan(1, 1);
	struct stint_pool *pool;

	(void)state;
	stint_leak_watch();
	assert_int_equal(
		stint_pool_new_at("crawl", 3, ch, &ops, NULL, &pool, NULL, "p.c:5"), 0);
	assert_told("leak: pool \"crawl\" made at p.c:5\n", 1);
	stint_pool_free(pool);
	assert_told("", 0);
	stint_chan_free(ch);
}

static int
do_nothing(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)ctx;
	(void)arg;
	(void)err;
	return 0;
}

static void
tasks_and_what_gathers_them_are_named(void **state)
{
	struct stint_results *results;
	struct stint_group *group;
	struct stint_task *task;
	struct stint_err result;

	(void)state;
	stint_leak_watch();
	assert_int_equal(stint_task_start_at(
				 BACKGROUND, "fetch", do_nothing, NULL, &task, "t.c:1"),
		0);
	assert_int_equal(stint_group_new_at(BACKGROUND, &group, "g.c:2"), 0);
	assert_int_equal(stint_results_new_at(1, 0, &results, "r.c:3"), 0);
	assert_told("leak: task \"fetch\" made at t.c:1\n"
		    "leak: group made at g.c:2\n"
		    "leak: results made at r.c:3\n",
		3);
	stint_results_free(results);
	stint_group_free(group);
	stint_task_stop(task, &result);
	assert_told("", 0);
}

static int
fail_to_start(void *arg, size_t slot, void **ret_state)
{
	(void)arg;
	(void)slot;
	(void)ret_state;
	return -EIO;
}

static void
what_could_not_be_made_is_not_alive(void **state)
{
	const struct stint_pool_ops ops = {.start = fail_to_start, .run = run_nothing};
	struct stint_chan *ch = new_chan(1, 1);
	struct stint_pool *pool;
	struct stint_ctx *ctx;

	(void)state;
	stint_leak_watch();
	assert_int_equal(stint_chan_new(STINT_CHAN_ITEM_MAX + 1, 0, &ch), -EINVAL);
	assert_int_equal(stint_ctx_with_value(BACKGROUND, NULL, NULL, &ctx), -EINVAL);
	assert_int_equal(stint_pool_new("p", 2, ch, &ops, NULL, &pool, NULL), -EIO);
	assert_told("", 0);
	stint_chan_free(ch);
}

static void
what_lived_before_the_watch_does_not_count(void **state)
{
	struct stint_ctx *before = new_ctx(BACKGROUND), *after;

	(void)state;
	stint_leak_watch();
	assert_int_equal(stint_ctx_with_cancel_at(before, &after, "after.c:1"), 0);
	assert_told("leak: context made at after.c:1\n", 1);
	stint_leak_watch();
	assert_told("", 0);
	stint_ctx_free(before);
	stint_ctx_free(after);
	assert_told("", 0);
}

struct later {
	struct task waits; /* only its thread id counts */
	struct stint_ctx *ctx;
};

static void
free_once_the_check_waits(void *arg)
{
	struct later *later = arg;

	while (!task_sleeps(&later->waits))
		sched_yield();
	stint_ctx_free(later->ctx);
}

static void
check_waits_for_what_is_about_to_go(void **state)
{
	struct later later = {.waits.tid = gettid()};
	struct task task;

	(void)state;
	stint_leak_watch();
	later.ctx = new_ctx(BACKGROUND);
	task_start(&task, free_once_the_check_waits, &later);
	assert_int_equal(stint_leak_check(NULL), 0);
	task_join(&task);
}

static void
make_and_free(void *arg)
{
	struct stint_ctx *parent = arg;

	for (int i = 0; i < 2000; i++) {
		struct stint_chan *ch = NULL;
		struct stint_ctx *ctx = NULL;

		if (stint_ctx_with_cancel(parent, &ctx) < 0 ||
			stint_chan_new(8, 1, &ch) < 0)
			abort();
		stint_ctx_free(ctx);
		stint_chan_free(ch);
	}
}

static void
watching_many_threads_misses_and_invents_nothing(void **state)
{
	enum { THREADS = 4 };
	struct stint_ctx *parent = new_ctx(BACKGROUND);
	struct task task[THREADS];

	(void)state;
	stint_leak_watch();
	for (int i = 0; i < THREADS; i++)
		task_start(&task[i], make_and_free, parent);
	for (int i = 0; i < THREADS; i++)
		task_join(&task[i]);
	assert_told("", 0);
	stint_ctx_free(parent);
}

static void
long_names_and_places_are_cut(void **state)
{
	char name[2 * TRACK_TEXT_BYTES], text[TRACK_TEXT_BYTES];
	struct track t;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	track_add(&t, "task", name, "x.c:1");
	assert_int_equal(strlen(track_text(&t, text)), TRACK_TEXT_BYTES - 1);
	assert_memory_equal(text, "task \"nnn", 9);
	track_remove(&t);
	track_add(&t, "task", "fetch", NULL);
	assert_string_equal(track_text(&t, text), "task \"fetch\"");
	track_remove(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_made_is_nothing_leaked),
		cmocka_unit_test(leaks_are_named_with_kind_and_place_oldest_first),
		cmocka_unit_test(makers_know_where_they_were_called),
		cmocka_unit_test(pool_is_named_and_its_parts_are_not),
		cmocka_unit_test(tasks_and_what_gathers_them_are_named),
		cmocka_unit_test(what_could_not_be_made_is_not_alive),
		cmocka_unit_test(what_lived_before_the_watch_does_not_count),
		cmocka_unit_test(check_waits_for_what_is_about_to_go),
		cmocka_unit_test(watching_many_threads_misses_and_invents_nothing),
		cmocka_unit_test(long_names_and_places_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
