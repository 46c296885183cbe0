/*
 * test_keys.c - the names of all Redis keys
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/wire/keys.h"

static void
queue_stands_in_braces(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	keys_add(&b, "stint", "default", "jobs");
	assert_string_equal(buf_cstr(&b), "stint:{default}:jobs");
}

static void
name_comes_last(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	keys_add_named(&b, "stint", "default", "state", "", 0);
	assert_string_equal(buf_cstr(&b), "stint:{default}:state:");
	buf_fini(&b);
	keys_add_named(&b, "stint", "default", "result", "1732153200000-0xx", 15);
	assert_string_equal(buf_cstr(&b), "stint:{default}:result:1732153200000-0");
}

static void
keys_are_appended(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	buf_str(&b, "> ");
	keys_add(&b, "p", "q", "dead");
	assert_string_equal(buf_cstr(&b), "> p:{q}:dead");
}

static bool
is_one_of(int c, const char *set)
{
	return c != 0 && strchr(set, c);
}

static void
names_keep_to_their_alphabet(void **state)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

	(void)state;
	for (int c = 0; c < 256; c++) {
		const char name[3] = {'a', (char)c, 'b'};

		assert_true(keys_is_queue_name(name, 3) == is_one_of(c, letters));
		assert_true(
			keys_is_job_id(name, 3) == (is_one_of(c, letters) || c == ':'));
		assert_true(keys_is_queue_name(name + 1, 1) == is_one_of(c, letters));
	}
}

static void
names_keep_to_their_length(void **state)
{
	char name[JOB_ID_MAX + 1];

	(void)state;
	memset(name, 'a', sizeof name);
	assert_false(keys_is_queue_name(name, 0));
	assert_false(keys_is_job_id(name, 0));
	assert_true(keys_is_queue_name(name, QUEUE_NAME_MAX));
	assert_false(keys_is_queue_name(name, QUEUE_NAME_MAX + 1));
	assert_true(keys_is_job_id(name, JOB_ID_MAX));
	assert_false(keys_is_job_id(name, JOB_ID_MAX + 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queue_stands_in_braces),
		cmocka_unit_test(name_comes_last),
		cmocka_unit_test(keys_are_appended),
		cmocka_unit_test(names_keep_to_their_alphabet),
		cmocka_unit_test(names_keep_to_their_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
