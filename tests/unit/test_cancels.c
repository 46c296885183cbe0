/*
 * The table of cancels: the newest of an id counts, and it never grows without bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/queue/cancels.h"

static void
add(struct cancels *c, const char *id, int64_t unix_ms)
{
	assert_int_equal(cancels_add(c, id, strlen(id), unix_ms), 0);
}

static struct cancel *
find(const struct cancels *c, const char *id)
{
	return cancels_find(c, id, strlen(id));
}

static void
the_newest_cancel_of_an_id_counts(void **state)
{
	struct cancels c;

	(void)state;
	cancels_init(&c);
	assert_null(find(&c, "x"));
	add(&c, "x", 1);
	add(&c, "xy", 2);
	add(&c, "x", 3);
	assert_int_equal(c.count, 2);
	assert_int_equal(find(&c, "x")->unix_ms, 3);
	assert_int_equal(find(&c, "xy")->unix_ms, 2);
	assert_null(cancels_find(&c, "xyz", 0));
	assert_non_null(cancels_find(&c, "xyz", 2)); /* not terminated */
	cancels_clear(&c);
}

static void
the_oldest_are_forgotten_when_there_are_too_many(void **state)
{
	struct cancels c;
	char id[16];

	(void)state;
	cancels_init(&c);
	for (int i = 0; i < CANCELS_MAX; i++) {
		snprintf(id, sizeof id, "%d", i);
		add(&c, id, i);
	}
	add(&c, "0", CANCELS_MAX); /* the newest now */
	assert_non_null(find(&c, "1"));
	add(&c, "one more", CANCELS_MAX);
	assert_null(find(&c, "1"));
	assert_non_null(find(&c, "0"));
	assert_int_equal(c.count, CANCELS_MAX);
	cancels_clear(&c);
	assert_int_equal(c.count, 0);
	assert_true(TAILQ_EMPTY(&c.todo));
}

static void
those_before_a_time_expire(void **state)
{
	struct cancels c;

	(void)state;
	cancels_init(&c);
	add(&c, "a", 1);
	add(&c, "b", 2);
	add(&c, "c", 3);
	cancels_expire(&c, 3);
	assert_int_equal(c.count, 1);
	assert_non_null(find(&c, "c"));
	assert_ptr_equal(TAILQ_FIRST(&c.todo), find(&c, "c"));
	cancels_clear(&c);
}

static void
each_is_to_be_applied_once_and_again_when_asked(void **state)
{
	struct cancels c;

	(void)state;
	cancels_init(&c);
	add(&c, "a", 1);
	add(&c, "b", 1);
	cancels_redo(&c, find(&c, "a")); /* is already: changes nothing */
	assert_ptr_equal(TAILQ_FIRST(&c.todo), find(&c, "a"));
	cancels_done(&c, find(&c, "a"));
	cancels_done(&c, find(&c, "a"));
	assert_ptr_equal(TAILQ_FIRST(&c.todo), find(&c, "b"));
	cancels_redo(&c, find(&c, "a"));
	assert_ptr_equal(TAILQ_LAST(&c.todo, cancel_list), find(&c, "a"));
	add(&c, "b", 2); /* said once more */
	assert_ptr_equal(TAILQ_LAST(&c.todo, cancel_list), find(&c, "b"));
	cancels_clear(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_cancel_of_an_id_counts),
		cmocka_unit_test(the_oldest_are_forgotten_when_there_are_too_many),
		cmocka_unit_test(those_before_a_time_expire),
		cmocka_unit_test(each_is_to_be_applied_once_and_again_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
