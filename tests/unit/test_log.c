/*
 * test_log.c - lines as they arrive at the other end of standard error
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "tests/unit/log_pipe.h"

enum {
	VALUE_BYTES = 1024, /* a value may have that many */
	LONG_BYTES = 100 * 1000,
};

static void
set_journal_stream(int fd)
{
	struct stat st;
	char text[64];

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(
		text, sizeof text, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", text, 1), 0);
}

static void
json_freep(json_t **j)
{
	json_decref(*j);
}

static json_t *
arrived_json(void)
{
	const char *text = arrived();
	json_error_t error;
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!j)
		fail_msg("%s: %s", text, error.text);
	return j;
}

static const char *
member(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	if (!s)
		fail_msg("no string \"%s\"", name);
	return s;
}

static void
fill(char out[LONG_BYTES], const char *piece)
{
	size_t n = strlen(piece);

	memset(out, 0, LONG_BYTES);
	for (size_t i = 0; i + n < LONG_BYTES; i += n)
		memcpy(out + i, piece, n);
}

/* The first test: log_setup() was not called by any before it. */
static void
until_setup_it_is_info_and_auto(void **state)
{
	(void)state;
	assert_true(log_is_on(LOG_LEVEL_INFO));
	assert_false(log_is_on(LOG_LEVEL_DEBUG));
	set_journal_stream(STDERR_FILENO);
	log_info("up");
	assert_string_equal(arrived(), "<6>up\n");
}

static void
text_has_time_level_sentence_and_values(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	log_warn("redis lost, reconnecting", F_STR("why", "end of file"),
		F_INT("retry_ms", 50));
	log_error("a");
	log_info("b", F_INT("least", INT64_MIN));
	log_debug("c", F_STR("queue", "default"));
	assert_string_equal(arrived(), NOW
		" warning redis lost, reconnecting why=\"end of file\" retry_ms=50\n" NOW
		" error a\n" NOW " info b least=-9223372036854775808\n" NOW
		" debug c queue=default\n");
}

static void
silent_levels_say_and_evaluate_nothing(void **state)
{
	int evaluated = 0;

	(void)state;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	log_warn("w", F_INT("n", ++evaluated));
	log_info("i", F_INT("n", ++evaluated));
	log_debug("d", F_INT("n", ++evaluated));
	assert_int_equal(evaluated, 0);
	assert_string_equal(arrived(), "");
	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
	log_warn("w", F_INT("n", ++evaluated));
	log_info("i", F_INT("n", ++evaluated));
	assert_string_equal(arrived(), NOW " warning w n=1\n");
}

static void
text_values_are_quoted_only_where_they_must_be(void **state)
{
	static const struct {
		const char *value;
		const char *expected;
	} cases[] = {
		{"default", "default"},
		{"1732153200000-0", "1732153200000-0"},
		{"it's{[,;:]}", "it's{[,;:]}"},
		{"J\xc3\xb6rg-\xe2\x82\xac-\xf0\x9f\x98\x80",
			"J\xc3\xb6rg-\xe2\x82\xac-\xf0\x9f\x98\x80"},
		{"", "\"\""},
		{"two words", "\"two words\""},
		{"a\"b", "\"a\\\"b\""},
		{"a=b", "a=b"},
		{"a\\b", "a\\b"},
		{"a \\b", "\"a \\\\b\""},
		{"a\nb\rc\td", "\"a\\nb\\rc\\td\""},
		{"\x01\x1b[31m\x7f", "\"\\x01\\x1b[31m\\x7f\""},
		{"C1:\xc2\x9b-\xc2\xa0", "\"C1:\\xc2\\x9b-\xc2\xa0\""},
		{"\xff-\xc3\xa4", "\"\\xff-\xc3\xa4\""},
		{"cut:\xe2\x82", "\"cut:\\xe2\\x82\""},
		{"overlong:\xc0\xaf", "\"overlong:\\xc0\\xaf\""},
		{"surrogate:\xed\xa0\x80", "\"surrogate:\\xed\\xa0\\x80\""},
	};
	char expected[128];

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		log_info("m", F_STR("v", cases[i].value), F_INT("after", i));
		snprintf(expected, sizeof expected, NOW " info m v=%s after=%zu\n",
			cases[i].expected, i);
		assert_string_equal(arrived(), expected);
	}
}

static void
a_sentence_stays_one_line(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("say \"hi\"\nand\xff go");
	assert_string_equal(arrived(), NOW " info say \"hi\"\\nand\\xff go\n");
}

static void
journal_lines_begin_with_their_priority(void **state)
{
	(void)state;
	set_journal_stream(STDERR_FILENO);
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_AUTO);
	log_error("a", F_INT("n", 1));
	log_warn("b");
	log_info("c");
	log_debug("d");
	assert_string_equal(arrived(), "<3>a n=1\n<4>b\n<6>c\n<7>d\n");
}

static void
a_journal_that_is_not_fd_2_does_not_count(void **state)
{
	static const char *const streams[] = {"", ":", "1", "8:", "0:0", "x:y"};

	(void)state;
	set_journal_stream(STDIN_FILENO);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
	log_info("a");
	assert_string_equal(arrived(), NOW " info a\n");
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		setenv("JOURNAL_STREAM", streams[i], 1);
		log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
		log_info("a");
		assert_string_equal(arrived(), NOW " info a\n");
	}
}

static void
formats_that_are_asked_for_hold_in_the_journal_too(void **state)
{
	(void)state;
	set_journal_stream(STDERR_FILENO);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("a");
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_info("a");
	assert_string_equal(arrived(),
		NOW " info a\n{\"time\":\"" NOW "\",\"level\":\"info\",\"msg\":\"a\"}\n");
}

static void
json_is_one_object_a_line(void **state)
{
	cleanup(json_freep) json_t *j = NULL;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_warn("redis \"lost\"\n", F_STR("why", "a\x01\xff\xc3\xa4\\"),
		F_STR("empty", ""), F_INT("most", INT64_MAX));
	j = arrived_json();
	assert_string_equal(member(j, "time"), NOW);
	assert_string_equal(member(j, "level"), "warning");
	assert_string_equal(member(j, "msg"), "redis \"lost\"\n");
	assert_string_equal(member(j, "why"), "a\x01\xef\xbf\xbd\xc3\xa4\\");
	assert_string_equal(member(j, "empty"), "");
	assert_true(json_integer_value(json_object_get(j, "most")) == INT64_MAX);
	assert_int_equal(json_object_size(j), 6);
}

static void
a_long_value_is_cut_and_the_next_ones_are_not(void **state)
{
	static char value[LONG_BYTES];
	static const char end[] = "...\" id=1732153200000-0 n=7\n";
	const char *line;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	fill(value, "two words ");
	log_info("m", F_STR("v", value), F_STR("id", "1732153200000-0"), F_INT("n", 7));
	line = arrived();
	assert_true(strlen(line) > VALUE_BYTES && strlen(line) < VALUE_BYTES + 100);
	assert_string_equal(line + strlen(line) - strlen(end), end);
	log_info(value, F_STR("id", "1732153200000-0"), F_INT("n", 7));
	assert_non_null(strstr(arrived(), "... id=1732153200000-0 n=7\n"));
}

static void
a_value_of_1_kib_is_whole(void **state)
{
	static char value[LONG_BYTES];
	char expected[LINE_BYTES];

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	fill(value, "x");
	value[VALUE_BYTES] = '\0';
	log_info("m", F_STR("v", value));
	snprintf(expected, sizeof expected, NOW " info m v=%.*s\n", VALUE_BYTES, value);
	assert_string_equal(arrived(), expected);
}

static void
characters_are_not_cut_in_two(void **state)
{
	static char value[LONG_BYTES];

	(void)state;
	for (int shift = 0; shift < 4; shift++) {
		fill(value, "\xf0\x9f\x98\x80");
		memcpy(value, "aaaa", 4);
		log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
		log_info("m", F_STR("v", value + shift));
		assert_null(strchr(arrived(), '\\'));
		log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
		log_info("m", F_STR("v", value + shift));
		assert_null(strstr(arrived(), "\\ufffd"));
	}
}

static void
cut_json_is_still_an_object(void **state)
{
	static const char *const pieces[] = {"x", "\"", "\\", "\x01", "\xff", "\xc3\xa4"};
	static char value[LONG_BYTES];

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		cleanup(json_freep) json_t *j = NULL;
		const char *v;

		fill(value, pieces[i]);
		log_info(value, F_STR("v", value), F_INT("n", 7));
		j = arrived_json();
		assert_int_equal(json_object_size(j), 5);
		v = member(j, "v");
		assert_string_equal(v + strlen(v) - 3, "...");
		assert_true(json_integer_value(json_object_get(j, "n")) == 7);
	}
}

/* As many fields as may be: each is there, or the last one says that some are not. */
static void
no_number_of_long_values_makes_a_long_line(void **state)
{
	static char value[LONG_BYTES];
	struct log_field fields[200];

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	fill(value, "v");
	for (size_t count = 0; count <= ARRAY_LEN(fields); count++) {
		const char *line;
		size_t n = 0;

		value[count * 3] = '\0'; /* lengths that end anywhere in the line */
		for (size_t i = 0; i < count; i++)
			fields[i] = i % 3 == 0 ? F_INT("name", i) : F_STR("name", value);
		log_write(LOG_LEVEL_INFO, "m", fields, count);
		value[count * 3] = 'v';
		line = arrived();
		assert_true(strlen(line) <= LINE_BYTES);
		assert_string_equal(line + strlen(line) - 2, "}\n");
		for (const char *p = line; (p = strstr(p, "\"name\":")); p++)
			n++;
		assert_true(n == count || strstr(line, ",\"cut\":1}"));
	}
}

static void
errno_stays_as_it_was(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	close(STDERR_FILENO);
	errno = ENOENT;
	log_info("nobody reads this");
	assert_int_equal(errno, ENOENT);
	set_stderr_pipe();
	log_info("somebody reads this");
	assert_int_equal(errno, ENOENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		claim(until_setup_it_is_info_and_auto),
		claim(text_has_time_level_sentence_and_values),
		claim(silent_levels_say_and_evaluate_nothing),
		claim(text_values_are_quoted_only_where_they_must_be),
		claim(a_sentence_stays_one_line),
		claim(journal_lines_begin_with_their_priority),
		claim(a_journal_that_is_not_fd_2_does_not_count),
		claim(formats_that_are_asked_for_hold_in_the_journal_too),
		claim(json_is_one_object_a_line),
		claim(a_long_value_is_cut_and_the_next_ones_are_not),
		claim(a_value_of_1_kib_is_whole),
		claim(characters_are_not_cut_in_two),
		claim(cut_json_is_still_an_object),
		claim(no_number_of_long_values_makes_a_long_line),
		claim(errno_stays_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
