/*
 * test_reply.c - what a plugin says of its job, and what it comes to
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "lib/plugin/reply.h"

static struct stint_reply reply;

static int
setup(void **state)
{
	(void)state;
	reply_init(&reply, 10);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	reply_fini(&reply);
	return 0;
}

static void
assert_end(int returned, enum reply_end end, const char *text)
{
	reply_settle(&reply, returned);
	assert_int_equal(reply.end, end);
	assert_string_equal(
		end == REPLY_OK ? buf_cstr(&reply.output) : reply.error, text);
}

static void
what_is_written_is_the_output(void **state)
{
	(void)state;
	assert_int_equal(stint_reply_write(&reply, "ab", 2), 0);
	assert_int_equal(stint_reply_write(&reply, NULL, 0), 0);
	assert_int_equal(stint_reply_printf(&reply, "%d-%s", 12, "x"), 0);
	assert_end(0, REPLY_OK, "ab12-x");
}

static void
output_may_reach_its_limit_and_not_more(void **state)
{
	(void)state;
	assert_int_equal(stint_reply_write(&reply, "12345", 5), 0);
	assert_int_equal(stint_reply_printf(&reply, "%s", "67890"), 0);
	assert_int_equal(reply.end, REPLY_OK);
	assert_int_equal(stint_reply_printf(&reply, "%s", "1"), -EMSGSIZE);
	assert_int_equal(reply.end, REPLY_OVER);
	/* nothing takes that back */
	stint_reply_error(&reply, "another thing");
	assert_int_equal(stint_reply_write(&reply, "", 0), 0);
	assert_end(0, REPLY_OVER, "");
}

static void
huge_write_is_over_the_limit(void **state)
{
	(void)state;
	stint_reply_write(&reply, "1", 1);
	assert_int_equal(stint_reply_write(&reply, "1", SIZE_MAX), -EMSGSIZE);
	assert_int_equal(reply.end, REPLY_OVER);
}

static void
last_thing_said_stands(void **state)
{
	(void)state;
	assert_true(stint_reply_fail(&reply, "no %s", "way") < 0);
	assert_true(stint_reply_error(&reply, "not %d", 1) < 0);
	assert_end(0, REPLY_ERROR, "not 1");
	stint_reply_fail(&reply, "never");
	assert_end(-EIO, REPLY_FAIL, "never");
}

static void
number_alone_is_an_error(void **state)
{
	(void)state;
	assert_end(-ENOENT, REPLY_ERROR, "returned -2: No such file or directory");
	reply_init(&reply, 10);
	assert_end(1, REPLY_ERROR, "returned 1");
	reply_init(&reply, 10);
	assert_end(INT_MIN, REPLY_ERROR, "returned -2147483648");
}

static void
error_is_cut(void **state)
{
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	stint_reply_fail(&reply, "%s", text);
	assert_int_equal(strlen(reply.error), REPLY_TEXT_BYTES - 1);
}

/* Where the last character would be one, two or three bytes of three. */
static void
error_is_cut_between_characters(void **state)
{
	char text[2000], *p = text;

	(void)state;
	for (int i = 0; i < 600; i++)
		p = stpcpy(p, "\u20ac");
	for (size_t before = 0; before < 3; before++) {
		stint_reply_fail(&reply, "%.*s%s", (int)before, "ab", text);
		size_t n = strlen(reply.error);

		assert_int_equal((n - before) % 3, 0);
		assert_true(n >= REPLY_TEXT_BYTES - 4);
	}
	stint_reply_fail(&reply, "%s", "\u20ac");
	assert_string_equal(reply.error, "\u20ac");
}

struct heard {
	int count;
	int percent;
	char note[64];
};

static void
on_progress(void *arg, int percent, const char *note)
{
	struct heard *heard = arg;

	heard->count++;
	heard->percent = percent;
	snprintf(heard->note, sizeof heard->note, "%s", note);
}

static void
progress_is_told_when_it_changes(void **state)
{
	struct heard heard = {0};

	(void)state;
	stint_reply_progress(&reply, 50, "nobody listens");
	reply_init(&reply, 10);
	reply.on_progress = on_progress;
	reply.arg = &heard;
	stint_reply_progress(&reply, -1, NULL);
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.percent, 0);
	assert_string_equal(heard.note, "");
	stint_reply_progress(&reply, 0, "");
	assert_int_equal(heard.count, 1);
	stint_reply_progress(&reply, 0, "begun");
	stint_reply_progress(&reply, 101, "begun");
	stint_reply_progress(&reply, 100, "begun");
	assert_int_equal(heard.count, 3);
	assert_int_equal(heard.percent, 100);
	assert_string_equal(heard.note, "begun");
}

static void
fields_are_found_by_name(void **state)
{
	const struct stint_field fields[] = {{"x-a", "1\0002", 3}, {"x-b", "", 0}};
	const struct stint_job job = {.fields = fields, .field_count = 2};
	size_t len = 99;

	(void)state;
	assert_ptr_equal(stint_job_field(&job, "x-a", &len), fields[0].value);
	assert_int_equal(len, 3);
	assert_ptr_equal(stint_job_field(&job, "x-b", NULL), fields[1].value);
	assert_null(stint_job_field(&job, "a", &len));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_is_written_is_the_output, setup, teardown),
		cmocka_unit_test_setup_teardown(
			output_may_reach_its_limit_and_not_more, setup, teardown),
		cmocka_unit_test_setup_teardown(
			huge_write_is_over_the_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(last_thing_said_stands, setup, teardown),
		cmocka_unit_test_setup_teardown(
			number_alone_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(error_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(
			error_is_cut_between_characters, setup, teardown),
		cmocka_unit_test_setup_teardown(
			progress_is_told_when_it_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(
			fields_are_found_by_name, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
