/*
 * Bytes to replies: how they are cut does not matter, and nothing that a server says
 * makes the reader take memory without bound.
 */
#include "tests/unit/redis_harness.h"
#include "daemon/redis/reply.h"

enum {
	LIMIT_BYTES = 16,
};

static struct reply_reader *
reader_new(void)
{
	struct reply_reader *r;

	assert_int_equal(reply_reader_new(LIMIT_BYTES, &r), 0);
	return r;
}

static void
feed(struct reply_reader *r, const char *text)
{
	struct stint_err err = {0};

	assert_int_equal(reply_feed(r, text, strlen(text), &err), 0);
}

static void
assert_list(struct reply_reader *r, const char *expected)
{
	cleanup(buf_fini) struct buf b = {0};

	for (size_t i = 0; i < reply_count(r); i++) {
		buf_str(&b, i ? " " : "");
		reply_print(&b, &reply_list(r)[i]);
	}
	assert_string_equal(buf_cstr(&b), expected);
}

/* One batch of one command: @text is refused, with @word in the error's text. */
static void
assert_refused(const char *text, const char *word)
{
	struct reply_reader *r = reader_new();
	struct stint_err err = {0};

	assert_int_equal(reply_begin(r, 1, &err), 0);
	feed(r, text);
	assert_int_equal(reply_read(r, &err), -EPROTO);
	if (!strstr(err.msg, word))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, word);
	reply_reader_free(r);
}

static const char every_kind[] =
	"+OK\r\n-ERR no\r\n:-42\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n"
	"*-1\r\n*0\r\n*3\r\n*2\r\n:1\r\n$1\r\nx\r\n-WRONGTYPE y\r\n+QUEUED\r\n";
static const char every_kind_text[] =
	"+OK -ERR no -42 \"a\r\nbc\" \"\" nil nil [] [[1 \"x\"] -WRONGTYPE y +QUEUED]";

static void
replies_of_every_kind_are_told_apart(void **state)
{
	struct reply_reader *r = reader_new();
	struct stint_err err;

	(void)state;
	assert_int_equal(reply_begin(r, 9, &err), 0);
	feed(r, every_kind);
	assert_int_equal(reply_read(r, &err), 1);
	assert_list(r, every_kind_text);
	assert_false(reply_has_rest(r));
	reply_reader_free(r);
}

static void
replies_may_be_cut_at_every_byte(void **state)
{
	size_t n = sizeof every_kind - 1;
	struct stint_err err;

	(void)state;
	for (size_t cut = 0; cut <= n; cut++) {
		struct reply_reader *r = reader_new();

		assert_int_equal(reply_begin(r, 9, &err), 0);
		assert_int_equal(reply_feed(r, every_kind, cut, &err), 0);
		assert_int_equal(reply_read(r, &err), cut == n);
		assert_int_equal(reply_feed(r, every_kind + cut, n - cut, &err), 0);
		assert_int_equal(reply_read(r, &err), 1);
		assert_list(r, every_kind_text);
		reply_reader_free(r);
	}
}

static void
replies_may_come_byte_by_byte(void **state)
{
	struct reply_reader *r = reader_new();
	struct stint_err err;

	(void)state;
	assert_int_equal(reply_begin(r, 9, &err), 0);
	for (const char *p = every_kind; *p; p++) {
		assert_int_equal(reply_read(r, &err), 0);
		assert_int_equal(reply_feed(r, p, 1, &err), 0);
	}
	assert_int_equal(reply_read(r, &err), 1);
	assert_list(r, every_kind_text);
	reply_reader_free(r);
}

static void
the_next_batch_starts_where_the_last_one_ended(void **state)
{
	struct reply_reader *r = reader_new();
	struct stint_err err;

	(void)state;
	feed(r, "+a\r\n+b\r\n+c\r\n+d");
	assert_int_equal(reply_begin(r, 2, &err), 0);
	assert_int_equal(reply_read(r, &err), 1);
	assert_list(r, "+a +b");
	assert_true(reply_has_rest(r));
	reply_end(r);
	assert_int_equal(reply_begin(r, 2, &err), 0);
	assert_int_equal(reply_read(r, &err), 0);
	assert_list(r, "+c");
	feed(r, "\r\n");
	assert_int_equal(reply_read(r, &err), 1);
	assert_list(r, "+c +d");
	reply_reader_free(r);
}

static void
a_batch_of_no_commands_is_complete_at_once(void **state)
{
	struct reply_reader *r = reader_new();
	struct stint_err err;

	(void)state;
	assert_int_equal(reply_begin(r, 0, &err), 0);
	assert_int_equal(reply_read(r, &err), 1);
	reply_reader_free(r);
}

static void
a_string_over_the_limit_is_counted_not_kept(void **state)
{
	struct reply_reader *r = reader_new();
	struct stint_err err;

	(void)state;
	assert_int_equal(reply_begin(r, 3, &err), 0);
	feed(r, "$17\r\n12345678901234567\r\n$16\r\n1234567890123456\r\n");
	feed(r, "-ERR errors are kept whatever their length\r\n");
	assert_int_equal(reply_read(r, &err), 1);
	assert_list(r, "string of 17 \"1234567890123456\" "
		       "-ERR errors are kept whatever their length");
	reply_reader_free(r);
}

static void
an_array_is_refused_before_memory_is_taken_for_it(void **state)
{
	(void)state;
	assert_refused("*1000000000\r\n", "too many items");
	assert_refused("*2147483647\r\n", "too many items");
	assert_refused("*2\r\n*262145\r\n", "too many items");
}

static void
eight_arrays_deep_are_read_nine_are_refused(void **state)
{
	struct reply_reader *r = reader_new();
	struct stint_err err;

	(void)state;
	assert_int_equal(reply_begin(r, 1, &err), 0);
	feed(r, "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:5\r\n");
	assert_int_equal(reply_read(r, &err), 1);
	assert_list(r, "[[[[[[[[5]]]]]]]]");
	reply_reader_free(r);
	assert_refused(
		"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:5\r\n", "");
}

static void
what_is_no_reply_is_refused(void **state)
{
	(void)state;
	assert_refused("HTTP/1.1 400 Bad Request\r\n", "type byte");
	assert_refused("\r\n", "type byte");
	assert_refused(":x\r\n", "integer");
	assert_refused(":99999999999999999999\r\n", "integer");
	assert_refused("$x\r\n", "length");
	assert_refused("$-2\r\n", "range");
	assert_refused("*x\r\n", "length");
	assert_refused("*-2\r\n", "range");
	assert_refused("$3\r\nabcd\r\n", "longer");
	assert_refused(">1\r\n+x\r\n", "");
	assert_refused("%1\r\n+x\r\n+y\r\n", "");
	assert_refused("#t\r\n", "");
	assert_refused(",1.5\r\n", "");
}

static void
a_reset_forgets_bytes_and_errors(void **state)
{
	struct reply_reader *r = reader_new();
	struct stint_err err;

	(void)state;
	assert_int_equal(reply_begin(r, 1, &err), 0);
	feed(r, "$5\r\nab");
	assert_int_equal(reply_read(r, &err), 0);
	assert_int_equal(reply_reader_reset(r), 0);
	assert_false(reply_has_rest(r));
	assert_int_equal(reply_begin(r, 1, &err), 0);
	feed(r, "?");
	assert_int_equal(reply_read(r, &err), -EPROTO);
	assert_int_equal(reply_reader_reset(r), 0);
	assert_int_equal(reply_begin(r, 1, &err), 0);
	feed(r, "+OK\r\n");
	assert_int_equal(reply_read(r, &err), 1);
	assert_list(r, "+OK");
	reply_reader_free(r);
}

/* More than the arena keeps, then little again, then more than one chunk. */
static void
batches_of_all_sizes_follow_one_another(void **state)
{
	static const size_t sizes[] = {1, 100000, 1, 3000, 40000, 2};
	struct reply_reader *r = reader_new();
	struct stint_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		assert_int_equal(reply_begin(r, sizes[i], &err), 0);
		for (size_t n = 0; n < sizes[i]; n++)
			feed(r, "$10\r\n0123456789\r\n");
		assert_int_equal(reply_read(r, &err), 1);
		assert_int_equal(reply_count(r), sizes[i]);
		assert_string_equal(reply_list(r)[0].str, "0123456789");
		assert_string_equal(reply_list(r)[sizes[i] - 1].str, "0123456789");
		reply_end(r);
	}
	reply_reader_free(r);
}

static void
an_error_is_known_by_its_first_word(void **state)
{
	const struct redis_reply e = {
		.type = REDIS_ERROR, .str = "NOGROUP no", .len = 10};
	const struct redis_reply bare = {.type = REDIS_ERROR, .str = "BUSY", .len = 4};
	const struct redis_reply text = {
		.type = REDIS_STRING, .str = "NOGROUP no", .len = 10};

	(void)state;
	assert_true(redis_is_error(&e, "NOGROUP"));
	assert_true(redis_is_error(&bare, "BUSY"));
	assert_false(redis_is_error(&e, "NO"));
	assert_false(redis_is_error(&bare, "BUSYGROUP"));
	assert_false(redis_is_error(&text, "NOGROUP"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_of_every_kind_are_told_apart),
		cmocka_unit_test(replies_may_be_cut_at_every_byte),
		cmocka_unit_test(replies_may_come_byte_by_byte),
		cmocka_unit_test(the_next_batch_starts_where_the_last_one_ended),
		cmocka_unit_test(a_batch_of_no_commands_is_complete_at_once),
		cmocka_unit_test(a_string_over_the_limit_is_counted_not_kept),
		cmocka_unit_test(an_array_is_refused_before_memory_is_taken_for_it),
		cmocka_unit_test(eight_arrays_deep_are_read_nine_are_refused),
		cmocka_unit_test(what_is_no_reply_is_refused),
		cmocka_unit_test(a_reset_forgets_bytes_and_errors),
		cmocka_unit_test(batches_of_all_sizes_follow_one_another),
		cmocka_unit_test(an_error_is_known_by_its_first_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
