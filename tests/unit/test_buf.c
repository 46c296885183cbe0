/*
 * test_buf.c - a growable byte buffer
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

static void
zeroed_buffer_is_empty_and_may_be_freed(void **state)
{
	struct buf b = {0};

	(void)state;
	assert_string_equal(buf_cstr(&b), "");
	buf_fini(&b);
	buf_fini(&b);
	assert_null(b.data);
}

static void
appends_follow_each_other(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	buf_str(&b, "id=");
	buf_int(&b, 42);
	buf_char(&b, ';');
	buf_add(&b, "a\0b", 3);
	buf_add(&b, NULL, 0);
	buf_fmt(&b, "%s%d", "x", 7);
	assert_false(b.failed);
	assert_int_equal(b.len, 11);
	assert_memory_equal(b.data, "id=42;a\0bx7", 11);
}

static void
content_survives_growth(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_char(&b, (char)i);
	assert_int_equal(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_true(b.data[i] == (char)i);
}

static void
room_is_as_large_as_asked(void **state)
{
	cleanup(buf_fini) struct buf b = {0};
	char *to;

	(void)state;
	assert_non_null(buf_room(&b, 0));
	buf_str(&b, "abc");
	to = buf_room(&b, 1000);
	assert_ptr_equal(to, b.data + 3);
	assert_true(b.cap - b.len >= 1000);
	memset(to, 'x', 1000);
	assert_int_equal(b.len, 3);
}

static void
int_is_written_as_printf_would(void **state)
{
	static const int64_t values[] = {0, 1, -1, 9, 10, -10, 99, 100, 12345, INT32_MIN,
		999999999999999999, 1000000000000000000, INT64_MAX, INT64_MIN};
	char expected[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		cleanup(buf_fini) struct buf b = {0};

		buf_int(&b, values[i]);
		snprintf(expected, sizeof expected, "%" PRId64, values[i]);
		assert_string_equal(buf_cstr(&b), expected);
	}
}

static void
fmt_of_any_length_arrives_whole(void **state)
{
	(void)state;
	for (int n = 1; n < 300; n++) {
		cleanup(buf_fini) struct buf b = {0};

		buf_str(&b, "<");
		buf_fmt(&b, "%0*d", n, 0);
		buf_str(&b, ">");
		assert_int_equal(b.len, n + 2);
		assert_int_equal(strspn(buf_cstr(&b) + 1, "0"), n);
		assert_int_equal(b.data[0], '<');
		assert_int_equal(b.data[n + 1], '>');
	}
}

static void
impossible_size_fails_and_the_rest_is_ignored(void **state)
{
	static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 2, SIZE_MAX / 2 + 2};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		cleanup(buf_fini) struct buf b = {0};

		buf_str(&b, "abc");
		assert_null(buf_room(&b, sizes[i]));
		assert_true(b.failed);
		buf_str(&b, "def");
		buf_char(&b, 'g');
		buf_int(&b, 1);
		buf_fmt(&b, "%d", 2);
		assert_int_equal(b.len, 3);
		assert_string_equal(buf_cstr(&b), "");
	}
}

static void
shift_drops_the_front(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	buf_shift(&b, 0);
	buf_str(&b, "abcdef");
	buf_shift(&b, 0);
	assert_string_equal(buf_cstr(&b), "abcdef");
	buf_shift(&b, 4);
	assert_string_equal(buf_cstr(&b), "ef");
	buf_shift(&b, 2);
	assert_int_equal(b.len, 0);
	buf_str(&b, "g");
	assert_string_equal(buf_cstr(&b), "g");
}

static void
reset_keeps_no_more_memory_than_asked(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	buf_fmt(&b, "%5000s", "");
	buf_reset(&b, 100000);
	assert_int_equal(b.len, 0);
	assert_true(b.cap >= 5000);
	buf_fmt(&b, "%5000s", "");
	buf_reset(&b, 1000);
	assert_true(b.cap > 0 && b.cap <= 1000);
	buf_fmt(&b, "%5000s", "");
	assert_int_equal(b.len, 5000);
	buf_reset(&b, 0);
	assert_int_equal(b.cap, 0);
}

static void
reset_forgets_a_failure(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	buf_str(&b, "abc");
	buf_room(&b, SIZE_MAX);
	buf_reset(&b, 100);
	buf_str(&b, "x");
	assert_false(b.failed);
	assert_string_equal(buf_cstr(&b), "x");
}

static void
cstr_does_not_count_its_end(void **state)
{
	cleanup(buf_fini) struct buf b = {0};

	(void)state;
	buf_str(&b, "abc");
	assert_string_equal(buf_cstr(&b), "abc");
	assert_int_equal(b.len, 3);
	buf_str(&b, "d");
	assert_string_equal(buf_cstr(&b), "abcd");
}

static void
wipe_leaves_an_empty_buffer(void **state)
{
	struct buf b = {0};

	(void)state;
	buf_wipe(&b);
	buf_str(&b, "secret");
	buf_wipe(&b);
	assert_null(b.data);
	assert_int_equal(b.len + b.cap, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_buffer_is_empty_and_may_be_freed),
		cmocka_unit_test(appends_follow_each_other),
		cmocka_unit_test(content_survives_growth),
		cmocka_unit_test(room_is_as_large_as_asked),
		cmocka_unit_test(int_is_written_as_printf_would),
		cmocka_unit_test(fmt_of_any_length_arrives_whole),
		cmocka_unit_test(impossible_size_fails_and_the_rest_is_ignored),
		cmocka_unit_test(shift_drops_the_front),
		cmocka_unit_test(reset_keeps_no_more_memory_than_asked),
		cmocka_unit_test(reset_forgets_a_failure),
		cmocka_unit_test(cstr_does_not_count_its_end),
		cmocka_unit_test(wipe_leaves_an_empty_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
