/*
 * test_log_journal.c - what the journal gets, byte for byte, from a socket in its place
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "daemon/obs/log_journal.h"
#include "lib/base/cleanup.h"

enum {
	STUCK_S = 60, /* a log that waits for its reader is ended by SIGALRM */
	ENTRIES_MAX = 100000,
};

#define HEAD                                                                             \
	"PRIORITY=4\nSYSLOG_IDENTIFIER=stintd\nCODE_FILE=daemon/a.c\nCODE_LINE=12\n"     \
	"CODE_FUNC=f\n"

static const struct log_site site = {LOG_LEVEL_WARNING, "daemon/a.c", "f", 12};

struct stage {
	char folder[32];
	char path[64];
	int fd; /* journald's */
	struct log_journal journal;
	struct log_line line;
	char entry[LOG_ENTRY_MAX_BYTES + 1];
	size_t len;
};

static void
listen_at(struct stage *s)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	strcpy(at.sun_path, s->path);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
}

static void
stop_listening(struct stage *s)
{
	close_fd(&s->fd);
	unlink(s->path);
}

static int
set_stage(void **state)
{
	struct stage *s = calloc(1, sizeof *s);

	if (!s)
		return -1;
	strcpy(s->folder, "/tmp/stint-journal-XXXXXX");
	if (!mkdtemp(s->folder))
		return -1;
	snprintf(s->path, sizeof s->path, "%s/socket", s->folder);
	s->journal = (struct log_journal)LOG_JOURNAL_INIT(s->path);
	listen_at(s);
	alarm(STUCK_S);
	*state = s;
	return 0;
}

static int
clear_stage(void **state)
{
	struct stage *s = *state;

	alarm(0);
	log_journal_fini(&s->journal);
	stop_listening(s);
	rmdir(s->folder);
	free(s);
	return 0;
}

static int
send_event(struct stage *s, const char *msg, const struct log_field *fields, size_t count)
{
	const struct log_event event = {&site, msg, fields, count};

	log_journal_build(&s->line, &event);
	return log_journal_send(&s->journal, &s->line);
}

/* The next entry, whole; false: there is none. */
static bool
receive(struct stage *s)
{
	const ssize_t n =
		recv(s->fd, s->entry, sizeof s->entry - 1, MSG_DONTWAIT | MSG_TRUNC);

	s->len = n < 0 ? 0 : (size_t)n;
	assert_true(s->len < sizeof s->entry);
	s->entry[s->len] = '\0';
	return n >= 0;
}

/* NAME, new line, length, value, new line: appended to @out. */
static size_t
put_framed(char *out, const char *name, const char *value)
{
	const uint64_t length = htole64(strlen(value));
	size_t n = (size_t)sprintf(out, "%s\n", name);

	memcpy(out + n, &length, sizeof length);
	n += sizeof length;
	return n + (size_t)sprintf(out + n, "%s\n", value);
}

static void
assert_entry(struct stage *s, const char *message, const char *rest, size_t rest_len)
{
	static char expected[LOG_ENTRY_MAX_BYTES];
	size_t n = (size_t)sprintf(expected, HEAD);

	n += put_framed(expected + n, "MESSAGE", message);
	memcpy(expected + n, rest, rest_len);
	n += rest_len;
	assert_true(receive(s));
	assert_int_equal(s->len, n);
	assert_memory_equal(s->entry, expected, n);
	assert_false(receive(s));
}

static void
entry_has_message_level_place_and_values(void **state)
{
	static const struct log_field fields[] = {F_MESSAGE_ID("0123456789abcdef"),
		F_STR("job", "17-0"), F_STR("queue", "a b"), F_INT("attempt", -2),
		F_STR("reply_to", "")};
	static const char rest[] =
		"MESSAGE_ID=0123456789abcdef\nSTINT_JOB_ID=17-0\nSTINT_QUEUE=a b\n"
		"STINT_ATTEMPT=-2\nSTINT_REPLY_TO=\n";

	assert_int_equal(send_event(*state, "job failed", fields, ARRAY_LEN(fields)), 0);
	assert_entry(*state, "job failed job=17-0 queue=\"a b\" attempt=-2 reply_to=\"\"",
		rest, sizeof rest - 1);
	assert_int_equal(send_event(*state, "started", NULL, 0), 0);
	assert_entry(*state, "started", "", 0);
}

static void
levels_are_those_of_syslog(void **state)
{
	static const char *const expected[] = {
		"PRIORITY=3\n", "PRIORITY=4\n", "PRIORITY=6\n", "PRIORITY=7\n"};
	struct stage *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		const struct log_site at = {(enum log_level)i, "f", "f", 1};
		const struct log_event event = {&at, "m", NULL, 0};

		log_journal_build(&s->line, &event);
		assert_memory_equal(s->line.data, expected[i], strlen(expected[i]));
	}
}

/* The field has its length in the entry, where it is called @name; n=1 follows it. */
static void
assert_framed(struct stage *s, const char *msg, struct log_field field, const char *name,
	const char *message)
{
	char rest[128];
	size_t n = put_framed(rest, name, field.str);

	n += (size_t)sprintf(rest + n, "STINT_N=1\n");
	assert_int_equal(
		send_event(s, msg, (struct log_field[]){field, F_INT("n", 1)}, 2), 0);
	assert_entry(s, message, rest, n);
}

/* Else its second line would be a field of its own. */
static void
value_with_a_new_line_has_its_length(void **state)
{
	assert_framed(*state, "x\ny", F_STR("why", "a\nMESSAGE_ID=x\xff\n"), "STINT_WHY",
		"x\\ny why=\"a\\nMESSAGE_ID=x\\xff\\n\" n=1");
}

static void
what_a_job_printed_keeps_its_lines(void **state)
{
	static const char text[] = "Traceback:\n\tline \"1\"\nErr \x1b[31m\xff\n\n";

	assert_framed(*state, "command printed", F_STR(LOG_PRINTED, text), "STINT_TEXT",
		"command printed n=1:\nTraceback:\n\tline \"1\"\nErr \\x1b[31m\\xff");
	assert_int_equal(
		send_event(*state, "worker printed", &F_STR(LOG_PRINTED, "one line"), 1),
		0);
	assert_entry(*state, "worker printed: one line", "STINT_TEXT=one line\n", 20);
}

static bool
has(const struct stage *s, const char *text)
{
	return memmem(s->entry, s->len, text, strlen(text)) != NULL;
}

static void
field_names_are_made_fit(void **state)
{
	struct stage *s = *state;
	char name[101], expected[101] = "\nSTINT_";

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	memset(expected + 7, 'N', 64 - 6);
	strcpy(expected + 7 + 64 - 6, "=2\n");
	assert_int_equal(
		send_event(*state, "m",
			(struct log_field[]){F_INT("took-ms.2", 1), F_INT(name, 2)}, 2),
		0);
	assert_true(receive(s));
	assert_true(has(s, "\nSTINT_TOOK_MS_2=1\n"));
	assert_true(has(s, expected));
}

/* However long the values: one datagram of bounded length, which owns up to it. */
static void
entry_is_bounded(void **state)
{
	static const char *const patterns[] = {"x", "\n", "\xff", "\"", "\xe2\x82\xac"};
	static const char cut[] = "\nSTINT_CUT=1\n";
	struct stage *s = *state;
	char value[5001];

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		struct log_field fields[7];

		for (size_t k = 0; k < sizeof value - 1; k++)
			value[k] = patterns[i][k % strlen(patterns[i])];
		value[sizeof value - 1] = '\0';
		for (size_t k = 0; k < ARRAY_LEN(fields); k++)
			fields[k] = F_STR(k == 5 ? LOG_PRINTED : "v", value + 700 * k);
		assert_int_equal(send_event(s, value, fields, ARRAY_LEN(fields)), 0);
		assert_true(receive(s));
		assert_string_equal(s->entry + s->len - strlen(cut), cut);
	}
}

/* journald is stopped, its queue fills up: the sender is told, and goes on after. */
static void
full_socket_never_blocks(void **state)
{
	struct stage *s = *state;
	int r = 0, sent = 0, received = 0;

	for (; r == 0 && sent < ENTRIES_MAX; sent += r == 0)
		r = send_event(s, "fill", NULL, 0);
	assert_true(r == -EAGAIN || r == -ENOBUFS);
	assert_true(sent > 0);
	while (receive(s))
		received++;
	assert_int_equal(received, sent);
	assert_int_equal(send_event(s, "back", NULL, 0), 0);
	assert_entry(s, "back", "", 0);
}

static void
journal_that_is_gone_is_told_from_one_that_is_full(void **state)
{
	struct stage *s = *state;

	assert_int_equal(send_event(s, "m", NULL, 0), 0);
	close_fd(&s->fd);
	assert_int_equal(send_event(s, "m", NULL, 0), -ECONNREFUSED);
	stop_listening(s);
	assert_int_equal(send_event(s, "m", NULL, 0), -ENOENT);
	listen_at(s); /* another one at the same place */
	assert_int_equal(send_event(s, "back", NULL, 0), 0);
	assert_entry(s, "back", "", 0);
}

#define claim(fn) cmocka_unit_test_setup_teardown(fn, set_stage, clear_stage)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		claim(entry_has_message_level_place_and_values),
		claim(levels_are_those_of_syslog),
		claim(value_with_a_new_line_has_its_length),
		claim(what_a_job_printed_keeps_its_lines),
		claim(field_names_are_made_fit),
		claim(entry_is_bounded),
		claim(full_socket_never_blocks),
		claim(journal_that_is_gone_is_told_from_one_that_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
