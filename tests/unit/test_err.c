/*
 * test_err.c - an error with a sentence for people
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <stint/err.h>

static void
set_returns_the_code_and_keeps_the_text(void **state)
{
	struct stint_err err = {0};

	(void)state;
	assert_int_equal(
		stint_err_set(&err, -ENOENT, "cannot open %s", "x.yaml"), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_string_equal(err.msg, "cannot open x.yaml");
}

static void
wrap_puts_context_in_front(void **state)
{
	struct stint_err err = {0};

	(void)state;
	stint_err_set(&err, -ENOENT, "cannot open x.yaml");
	assert_int_equal(stint_err_wrap(&err, -EINVAL, "reload %d", 7), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(err.msg, "reload 7: cannot open x.yaml");
}

static void
wrap_without_text_says_what_errno_means(void **state)
{
	struct stint_err err = {0};

	(void)state;
	stint_err_wrap(&err, -ENOMEM, "handler");
	assert_string_equal(err.msg, "handler: Cannot allocate memory");
}

static void
null_only_passes_the_code_on(void **state)
{
	(void)state;
	assert_int_equal(stint_err_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(stint_err_wrap(NULL, -EIO, "x"), -EIO);
}

static void
arguments_may_be_the_old_message(void **state)
{
	struct stint_err err = {0};

	(void)state;
	stint_err_set(&err, -EIO, "inner");
	stint_err_set(&err, -EIO, "outer (%s)", err.msg);
	assert_string_equal(err.msg, "outer (inner)");
	stint_err_wrap(&err, -EIO, "[%s]", err.msg);
	assert_string_equal(err.msg, "[outer (inner)]: outer (inner)");
}

static void
message_stays_one_line(void **state)
{
	struct stint_err err = {0};

	(void)state;
	stint_err_set(&err, -EIO, "a\nb\tc\x1b[1m");
	assert_string_equal(err.msg, "a b c [1m");
}

static void
too_long_a_message_is_cut(void **state)
{
	struct stint_err err = {0};
	char text[600];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	stint_err_set(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.msg), STINT_ERR_MSG_BYTES - 1);
	stint_err_wrap(&err, -EIO, "context");
	assert_int_equal(strlen(err.msg), STINT_ERR_MSG_BYTES - 1);
	assert_memory_equal(err.msg, "context: xxx", 12);
	stint_err_wrap(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.msg), STINT_ERR_MSG_BYTES - 1);
}

static void
a_cut_never_splits_a_character(void **state)
{
	struct stint_err err = {0};
	char text[STINT_ERR_MSG_BYTES + 2];

	(void)state;
	memset(text, 'x', sizeof text);
	/* the euro sign would end one byte behind the last that fits */
	memcpy(text + STINT_ERR_MSG_BYTES - 3, "\xe2\x82\xac", 4);
	stint_err_set(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.msg), STINT_ERR_MSG_BYTES - 3);
	stint_err_set(&err, -EIO, "below");
	stint_err_wrap(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.msg), STINT_ERR_MSG_BYTES - 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_returns_the_code_and_keeps_the_text),
		cmocka_unit_test(wrap_puts_context_in_front),
		cmocka_unit_test(wrap_without_text_says_what_errno_means),
		cmocka_unit_test(null_only_passes_the_code_on),
		cmocka_unit_test(arguments_may_be_the_old_message),
		cmocka_unit_test(message_stays_one_line),
		cmocka_unit_test(too_long_a_message_is_cut),
		cmocka_unit_test(a_cut_never_splits_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
