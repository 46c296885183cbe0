/*
 * test_log.c - log lines, read back through a pipe that stands in for standard error
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/obs/log_line.h"
#include "lib/base/cleanup.h"

enum {
	LINE_MAX_BYTES = 4096,
	READ_BYTES = 256 << 10, /* more than a pipe holds */
};

#define TIME "2026-11-21T04:12:09.123Z"

/* Standard error, put aside while a test runs. */
struct stage {
	int saved_fd;
	int read_fd;
	char text[READ_BYTES];
};

static void
put_on_stderr(int fd)
{
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
}

static int
set_stage(void **state)
{
	struct stage *s = calloc(1, sizeof *s);
	int fds[2];

	if (!s || pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	*state = s;
	s->saved_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	s->read_fd = fds[0];
	put_on_stderr(fds[1]);
	unsetenv("JOURNAL_STREAM");
	stint_clock_set(0, INT64_C(1795234329123));
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	return 0;
}

static int
clear_stage(void **state)
{
	struct stage *s = *state;

	put_on_stderr(s->saved_fd);
	close_fd(&s->read_fd);
	stint_clock_reset();
	free(s);
	return 0;
}

/* All that was written up to now. */
static const char *
written(struct stage *s)
{
	struct pollfd p = {.fd = s->read_fd, .events = POLLIN};
	size_t len = 0;

	while (poll(&p, 1, 0) == 1 && p.revents & POLLIN) {
		ssize_t n = read(s->read_fd, s->text + len, sizeof s->text - 1 - len);

		assert_true(n > 0);
		len += (size_t)n;
	}
	s->text[len] = '\0';
	return s->text;
}

static void
text_has_time_level_sentence_and_values(void **state)
{
	log_info("started");
	assert_string_equal(written(*state), TIME " info started\n");
	log_error("job failed", F_STR("job", "17-0"), F_INT("attempt", -2));
	assert_string_equal(
		written(*state), TIME " error job failed job=17-0 attempt=-2\n");
	log_warn("limits", F_INT("min", INT64_MIN), F_INT("max", INT64_MAX));
	assert_string_equal(written(*state), TIME
		" warning limits min=-9223372036854775808 max=9223372036854775807\n");
}

static void
levels_below_the_set_one_are_silent(void **state)
{
	static const enum log_level levels[] = {
		LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};
	static const char *const expected[] = {
		TIME " error e\n",
		TIME " error e\n" TIME " warning w\n",
		TIME " error e\n" TIME " warning w\n" TIME " info i\n",
		TIME " error e\n" TIME " warning w\n" TIME " info i\n" TIME " debug d\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		log_setup(levels[i], LOG_FORMAT_TEXT);
		for (size_t k = 0; k < ARRAY_LEN(levels); k++)
			assert_int_equal(log_is_on(levels[k]), k <= i);
		log_error("e");
		log_warn("w");
		log_info("i");
		log_debug("d");
		assert_string_equal(written(*state), expected[i]);
	}
}

static void
values_are_quoted_only_when_they_must_be(void **state)
{
	static const struct {
		const char *value;
		const char *text;
	} cases[] = {
		{"plain", "plain"},
		{"a=b,c:d/e\\f", "a=b,c:d/e\\f"},
		{"", "\"\""},
		{"two words", "\"two words\""},
		{"say \"hi\" \\", "\"say \\\"hi\\\" \\\\\""},
		{"\"", "\"\\\"\""},
		{"a\nb\tc\rd", "\"a\\nb\\tc\\rd\""},
		{"\x01\x1b[31m\x7f", "\"\\x01\\x1b[31m\\x7f\""},
		{"gr\xc3\xbcn", "gr\xc3\xbcn"},
		{"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\xff", "\"\\xff\""},
		{"a\xc3", "\"a\\xc3\""},
		{"\xc0\xaf", "\"\\xc0\\xaf\""}, /* overlong */
		{"\xe0\x80\xaf", "\"\\xe0\\x80\\xaf\""},
		{"\xf0\x80\x80\xaf", "\"\\xf0\\x80\\x80\\xaf\""},
		{"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""},          /* a surrogate */
		{"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""}, /* over U+10FFFF */
		{"\xf5\x80\x80\x80", "\"\\xf5\\x80\\x80\\x80\""},
		{"\xc2\x9b"
		 "1m",
			"\"\\xc2\\x9b1m\""}, /* C1: a terminal's CSI */
		{"\xe2\x82", "\"\\xe2\\x82\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char expected[256];

		log_info("m", F_STR("v", cases[i].value));
		snprintf(expected, sizeof expected, TIME " info m v=%s\n", cases[i].text);
		assert_string_equal(written(*state), expected);
	}
}

static void
sentence_with_a_new_line_is_still_one_line(void **state)
{
	log_info("a\nb \"c\"");
	assert_string_equal(written(*state), TIME " info a\\nb \"c\"\n");
}

static void
json_is_what_a_parser_reads_back(void **state)
{
	json_t *line, *member;

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_warn("redis \"lost\"", F_STR("why", "a\nb\\c\x01 gr\xc3\xbcn"),
		F_STR("bytes", "x\xff"), F_INT("retry_ms", 50));
	line = json_loads(written(*state), 0, NULL);
	assert_non_null(line);
	assert_int_equal(json_object_size(line), 6);
	member = json_object_get(line, "time");
	assert_string_equal(json_string_value(member), TIME);
	member = json_object_get(line, "level");
	assert_string_equal(json_string_value(member), "warning");
	member = json_object_get(line, "msg");
	assert_string_equal(json_string_value(member), "redis \"lost\"");
	member = json_object_get(line, "why");
	assert_string_equal(json_string_value(member), "a\nb\\c\x01 gr\xc3\xbcn");
	member = json_object_get(line, "bytes");
	assert_string_equal(json_string_value(member), "x\xef\xbf\xbd");
	assert_int_equal(json_integer_value(json_object_get(line, "retry_ms")), 50);
	json_decref(line);
}

static void
set_journal_stream(long long inode_offset)
{
	char text[64];
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)st.st_dev,
		(uintmax_t)((long long)st.st_ino + inode_offset));
	setenv("JOURNAL_STREAM", text, 1);
}

/* What standard error gets when the journal's socket is not there. */
static void
prefixed_lines_have_priorities_and_no_time(void **state)
{
	static const char *const expected[] = {
		"<3>m n=1\n", "<4>m n=1\n", "<6>m n=1\n", "<7>m n=1\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		const struct log_site site = {.level = (enum log_level)i};
		const struct log_event event = {&site, "m", &F_INT("n", 1), 1};
		struct log_line line;

		log_line_build(&line, LOG_STYLE_PREFIXED, &event);
		assert_int_equal(line.len, strlen(expected[i]));
		assert_memory_equal(line.data, expected[i], line.len);
	}
}

static void
auto_is_text_when_stderr_was_redirected_from_the_journal(void **state)
{
	set_journal_stream(1);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
	log_info("i");
	assert_string_equal(written(*state), TIME " info i\n");
	setenv("JOURNAL_STREAM", "rubbish", 1);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
	log_info("i");
	assert_string_equal(written(*state), TIME " info i\n");
}

static void
named_format_holds_under_the_journal(void **state)
{
	set_journal_stream(0);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("i");
	assert_string_equal(written(*state), TIME " info i\n");
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_info("i");
	assert_string_equal(written(*state),
		"{\"time\":\"" TIME "\",\"level\":\"info\",\"msg\":\"i\"}\n");
}

static void
long_value_is_cut_and_the_next_is_there(void **state)
{
	char value[2000], expected[2000];

	memset(value, 'x', sizeof value);
	value[sizeof value - 1] = '\0';
	log_info("m", F_STR("v", value), F_STR("w", "y"));
	snprintf(expected, sizeof expected, TIME " info m v=%.1024s... w=y\n", value);
	assert_string_equal(written(*state), expected);
}

/* The end of what a job printed is what tells. */
static void
long_print_is_cut_in_front(void **state)
{
	char value[2001], expected[2100];

	for (size_t i = 0; i < 1000; i++)
		memcpy(value + 2 * i, "\xc3\xbc", 2);
	value[2000] = '\0';
	log_info("m", F_STR(LOG_PRINTED, value), F_STR("w", "y"));
	snprintf(expected, sizeof expected, TIME " info m text=...%s w=y\n",
		value + 2000 - 1020);
	assert_string_equal(written(*state), expected);
}

static void
message_id_is_for_programs(void **state)
{
	log_info("m", F_MESSAGE_ID("0123"), F_INT("n", 1));
	assert_string_equal(written(*state), TIME " info m n=1\n");
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_info("m", F_MESSAGE_ID("0123"), F_INT("n", 1));
	assert_string_equal(written(*state),
		"{\"time\":\"" TIME "\",\"level\":\"info\",\"msg\":\"m\","
		"\"message_id\":\"0123\",\"n\":1}\n");
}

/* However long the values and of whatever bytes: one line, at most 4 KiB, and the JSON
 * is JSON. */
static void
line_never_exceeds_4_kib(void **state)
{
	static const char *const patterns[] = {"x", "\n", "\xff", "\"", "\xe2\x82\xac"};
	static const enum log_format formats[] = {LOG_FORMAT_TEXT, LOG_FORMAT_JSON};

	for (size_t i = 0; i < 2 * ARRAY_LEN(patterns); i++) {
		const char *pattern = patterns[i / 2], *line;
		char value[3001] = "";

		log_setup(LOG_LEVEL_INFO, formats[i % 2]);
		while (strlen(value) + strlen(pattern) < sizeof value)
			strcat(value, pattern);
		for (size_t skip = 0; skip < 3000; skip += strlen(pattern) * 7) {
			const char *v = value + skip;

			log_info(v, F_STR("a", v), F_STR("b", value), F_STR("c", v),
				F_STR("d", v), F_INT("e", 5));
			line = written(*state);
			assert_in_range(strlen(line), 1, LINE_MAX_BYTES);
			assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
			if (i % 2) {
				json_t *parsed = json_loads(line, 0, NULL);

				assert_non_null(parsed);
				json_decref(parsed);
			}
		}
	}
}

static void
missing_fields_are_owned_up_to(void **state)
{
	char value[1025];
	const char *line;

	memset(value, 'x', sizeof value);
	value[sizeof value - 1] = '\0';
	log_info("m", F_STR("a", value), F_STR("b", value), F_STR("c", value),
		F_STR("d", value), F_INT("e", 5));
	line = written(*state);
	assert_null(strstr(line, " e=5"));
	assert_non_null(strstr(line, "... cut=1\n"));
}

static void
fill_pipe(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);
	char block[LINE_MAX_BYTES];

	memset(block, '.', sizeof block);
	fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
	while (write(STDERR_FILENO, block, sizeof block) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	fcntl(STDERR_FILENO, F_SETFL, flags);
}

static void
full_pipe_drops_lines_and_the_next_says_how_many(void **state)
{
	uint64_t before = log_dropped_count();

	fill_pipe();
	for (int i = 0; i < 3; i++)
		log_info("lost"); /* would block here for ever */
	assert_int_equal(log_dropped_count() - before, 3);
	written(*state);
	log_info("back");
	assert_string_equal(written(*state),
		TIME " warning log lines were dropped count=3\n" TIME " info back\n");
	log_info("and on");
	assert_string_equal(written(*state), TIME " info and on\n");
	assert_int_equal(log_dropped_count() - before, 3);
}

static void
full_disk_is_counted_like_a_full_pipe(void **state)
{
	uint64_t before = log_dropped_count();
	int pipe_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	put_on_stderr(open("/dev/full", O_WRONLY | O_CLOEXEC));
	log_info("lost");
	assert_int_equal(log_dropped_count() - before, 1);
	put_on_stderr(pipe_fd);
	log_info("back");
	assert_string_equal(written(*state),
		TIME " warning log lines were dropped count=1\n" TIME " info back\n");
}

static void
reader_that_has_gone_brings_no_sigpipe(void **state)
{
	struct stage *s = *state;
	uint64_t before = log_dropped_count();

	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR); /* would end the test */
	close_fd(&s->read_fd);
	log_info("lost");
	assert_int_equal(log_dropped_count() - before, 1);
}

static void
closed_stderr_is_no_harm(void **state)
{
	uint64_t before = log_dropped_count();

	(void)state;
	close(STDERR_FILENO);
	log_info("lost");
	assert_int_equal(log_dropped_count() - before, 1);
}

static void
errno_is_left_alone(void **state)
{
	(void)state;
	close(STDERR_FILENO);
	errno = ENOENT;
	log_info("lost");
	assert_int_equal(errno, ENOENT);
}

enum { WRITERS = 4, LINES_EACH = 200 };

static void *
write_lines(void *arg)
{
	for (int i = 0; i < LINES_EACH; i++)
		log_info("line", F_STR("from", arg), F_INT("i", i));
	return NULL;
}

/* The pipe is not read meanwhile: no more than fits is written, nobody waits, and
 * each line is whole. */
static void
lines_of_several_threads_stay_whole(void **state)
{
	static char names[WRITERS][2] = {"0", "1", "2", "3"};
	uint64_t before = log_dropped_count();
	pthread_t threads[WRITERS];
	int lines = 0;

	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	for (const char *p = written(*state); *p; p = strchr(p, '\n') + 1) {
		unsigned from, i;
		int n = 0;

		if (strncmp(p, TIME " warning ", sizeof TIME " warning " - 1) == 0)
			continue; /* of what an earlier test lost */
		assert_int_equal(
			sscanf(p, TIME " info line from=%1u i=%u%n", &from, &i, &n), 2);
		assert_int_equal(p[n], '\n');
		lines++;
	}
	assert_int_equal(
		(uint64_t)lines + log_dropped_count() - before, WRITERS * LINES_EACH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_stage, clear_stage)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(text_has_time_level_sentence_and_values),
		TEST(levels_below_the_set_one_are_silent),
		TEST(values_are_quoted_only_when_they_must_be),
		TEST(sentence_with_a_new_line_is_still_one_line),
		TEST(json_is_what_a_parser_reads_back),
		TEST(prefixed_lines_have_priorities_and_no_time),
		TEST(auto_is_text_when_stderr_was_redirected_from_the_journal),
		TEST(named_format_holds_under_the_journal),
		TEST(long_value_is_cut_and_the_next_is_there),
		TEST(long_print_is_cut_in_front),
		TEST(message_id_is_for_programs),
		TEST(line_never_exceeds_4_kib),
		TEST(missing_fields_are_owned_up_to),
		TEST(full_pipe_drops_lines_and_the_next_says_how_many),
		TEST(full_disk_is_counted_like_a_full_pipe),
		TEST(lines_of_several_threads_stay_whole),
		TEST(reader_that_has_gone_brings_no_sigpipe),
		TEST(closed_stderr_is_no_harm),
		TEST(errno_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
