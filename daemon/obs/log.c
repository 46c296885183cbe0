/*
 * log.c - one line per event: a fixed sentence and named values
 *
 * A line is built in a fixed buffer on the stack: no allocation that could fail
 * when there is most to tell, and no line longer than PIPE_BUF. That length is the
 * key to never blocking: poll(2) calls a pipe writable when PIPE_BUF bytes fit, so a
 * write of no more than that goes through at once and in one piece. (O_NONBLOCK
 * would do it, too, but it belongs to the open file, which the shell and the jobs
 * share with us.) Between poll and write no other thread may fill the room: a mutex
 * holds them off for these two system calls.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "lib/base/buf.h"

enum {
	LINE_MAX_BYTES = PIPE_BUF,
	/* So that one long value does not push out the others. */
	VALUE_MAX_BYTES = 1024,
	/* Kept free for what ends a line: the "..." and quote of a value that was cut,
	 * the mark of missing fields, the bracket, the new line. */
	TAIL_BYTES = 24,
};

enum style {
	STYLE_UNKNOWN, /* auto, and nobody has looked yet */
	STYLE_TEXT,
	STYLE_JOURNAL,
	STYLE_JSON,
};

struct line {
	enum style style;
	size_t len;
	char data[LINE_MAX_BYTES];
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};
/* sd-daemon(3): LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG of syslog(3) */
static const char *const level_prefixes[] = {"<3>", "<4>", "<6>", "<7>"};

/* Relaxed: each stands for itself, and a line written by the old one is as good. */
static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic int current_style = STYLE_UNKNOWN;
static _Atomic uint64_t dropped;

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static uint64_t dropped_told; /* under output: how many of them a line has told of */
static bool is_torn;          /* under output: the last line got through in part only */

/* Is standard error the journal's? systemd.exec(5): JOURNAL_STREAM names its device
 * and inode, and must be compared: whoever redirects us leaves the variable set. */
static bool
is_journal(void)
{
	const char *told = getenv("JOURNAL_STREAM");
	char actual[64];
	struct stat st;

	if (!told || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(actual, sizeof actual, "%ju:%ju", (uintmax_t)st.st_dev,
		(uintmax_t)st.st_ino);
	return strcmp(told, actual) == 0;
}

static enum style
find_style(enum log_format format)
{
	if (format == LOG_FORMAT_JSON)
		return STYLE_JSON;
	if (format == LOG_FORMAT_TEXT)
		return STYLE_TEXT;
	return is_journal() ? STYLE_JOURNAL : STYLE_TEXT;
}

void
log_setup(enum log_level level, enum log_format format)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
	atomic_store_explicit(
		&current_style, (int)find_style(format), memory_order_relaxed);
}

bool
log_is_on(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

uint64_t
log_dropped_count(void)
{
	return atomic_load_explicit(&dropped, memory_order_relaxed);
}

static enum style
style_now(void)
{
	int style = atomic_load_explicit(&current_style, memory_order_relaxed);

	/* Two threads may both look: they see the same. */
	if (style == STYLE_UNKNOWN) {
		style = (int)find_style(LOG_FORMAT_AUTO);
		atomic_store_explicit(&current_style, style, memory_order_relaxed);
	}
	return (enum style)style;
}

/* Into the tail, where there is always room. */
static void
put_tail(struct line *line, const char *s)
{
	size_t n = strlen(s);

	memcpy(line->data + line->len, s, n);
	line->len += n;
}

/* All of it or nothing, up to @end. */
static bool
put(struct line *line, size_t end, const char *s, size_t n)
{
	if (line->len + n > end)
		return false;
	memcpy(line->data + line->len, s, n);
	line->len += n;
	return true;
}

static size_t
body_end(void)
{
	return LINE_MAX_BYTES - TAIL_BYTES;
}

static bool
is_continuation(const unsigned char *s, size_t i, size_t n)
{
	return i < n && (s[i] & 0xc0) == 0x80;
}

/* Length of the valid UTF-8 character at @s that can be shown, else 0. C0 and C1
 * controls cannot: in a terminal they would do what an attacker's job says. */
static size_t
shown_bytes(const unsigned char *s, size_t n)
{
	unsigned char c = s[0];

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	if (c >= 0xc2 && c <= 0xdf && is_continuation(s, 1, n))
		return c == 0xc2 && s[1] < 0xa0 ? 0 : 2;
	if ((c & 0xf0) == 0xe0 && is_continuation(s, 1, n) && is_continuation(s, 2, n)) {
		bool is_overlong = c == 0xe0 && s[1] < 0xa0;
		bool is_surrogate = c == 0xed && s[1] >= 0xa0;

		return is_overlong || is_surrogate ? 0 : 3;
	}
	if (c >= 0xf0 && c <= 0xf4 && is_continuation(s, 1, n) &&
		is_continuation(s, 2, n) && is_continuation(s, 3, n)) {
		bool is_overlong = c == 0xf0 && s[1] < 0x90;
		bool is_beyond = c == 0xf4 && s[1] >= 0x90;

		return is_overlong || is_beyond ? 0 : 4;
	}
	return 0;
}

/* What stands for one byte that is not shown as it is. */
static size_t
escape(enum style style, unsigned char c, char out[8])
{
	if (c == '"' || c == '\\')
		return (size_t)sprintf(out, "\\%c", c);
	if (c == '\n' || c == '\r' || c == '\t')
		return (size_t)sprintf(out, "\\%c",
			c == '\n'   ? 'n'
			: c == '\r' ? 'r'
				    : 't');
	if (style != STYLE_JSON)
		return (size_t)sprintf(out, "\\x%02x", c);
	/* JSON has no bytes: U+FFFD for what is no character. */
	return (size_t)sprintf(out, "\\u%04x", c < 0x80 ? c : 0xfffdU);
}

/* @s escaped up to @end; false: "..." stands for the rest. @is_quoted: quotation
 * marks and backslashes are escaped, too. */
static bool
put_text(struct line *line, size_t end, const char *s, bool is_quoted)
{
	const unsigned char *p = (const unsigned char *)s, *stop = p + strlen(s);

	while (p < stop) {
		size_t n = shown_bytes(p, (size_t)(stop - p)), step = n ? n : 1;
		bool is_plain = n > 0 && !(is_quoted && (*p == '"' || *p == '\\'));
		char escaped[8];

		if (!is_plain)
			n = escape(line->style, *p, escaped);
		if (!put(line, end, is_plain ? (const char *)p : escaped, n)) {
			put_tail(line, "...");
			return false;
		}
		p += step;
	}
	return true;
}

static bool
needs_quotes(const char *s)
{
	const unsigned char *p = (const unsigned char *)s, *stop = p + strlen(s);
	size_t n = 0;

	if (*s == '\0')
		return true;
	for (; p < stop; p += n) {
		n = shown_bytes(p, (size_t)(stop - p));
		if (n == 0 || *p == ' ' || *p == '"')
			return true;
	}
	return false;
}

static void
put_string(struct line *line, const char *s)
{
	bool is_quoted = line->style == STYLE_JSON || needs_quotes(s);
	size_t end = line->len + VALUE_MAX_BYTES;

	if (end > body_end())
		end = body_end();
	if (is_quoted)
		put_tail(line, "\"");
	put_text(line, end, s, is_quoted);
	if (is_quoted)
		put_tail(line, "\"");
}

/* ` name=` or `,"name":`; false, and nothing was put, when there is no room left for
 * it and a few bytes of a value. */
static bool
put_name(struct line *line, const char *name)
{
	bool is_json = line->style == STYLE_JSON;
	size_t n = strlen(name);

	if (line->len + n + sizeof ",\"\":" + BUF_INT_BYTES > body_end())
		return false;
	put_tail(line, is_json ? ",\"" : " ");
	put_tail(line, name);
	put_tail(line, is_json ? "\":" : "=");
	return true;
}

static bool
put_field(struct line *line, const struct log_field *f)
{
	if (!put_name(line, f->name))
		return false;
	if (f->str)
		put_string(line, f->str);
	else
		line->len += buf_print_int(line->data + line->len, f->num);
	return true;
}

/* 2026-11-21T04:12:09.123Z */
static void
put_time(struct line *line)
{
	int64_t now_ms = stint_unix_ms();
	time_t now = (time_t)(now_ms / 1000);
	char text[64];
	struct tm tm;
	size_t n;

	gmtime_r(&now, &tm);
	n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof text - n, ".%03dZ", (int)(now_ms % 1000));
	put_tail(line, text);
}

/* All that stands in front of the fields. */
static void
put_head(struct line *line, enum log_level level, const char *msg)
{
	switch (line->style) {
	case STYLE_JSON:
		put_tail(line, "{\"time\":\"");
		put_time(line);
		put_tail(line, "\",\"level\":\"");
		put_tail(line, level_names[level]);
		put_tail(line, "\",\"msg\":");
		put_string(line, msg);
		return;
	case STYLE_JOURNAL:
		put_tail(line, level_prefixes[level]);
		break;
	case STYLE_TEXT:
	case STYLE_UNKNOWN:
		put_time(line);
		put_tail(line, " ");
		put_tail(line, level_names[level]);
		put_tail(line, " ");
		break;
	}
	put_text(line, line->len + VALUE_MAX_BYTES, msg, false);
}

/* The whole line. Fields for which there is no room are missing, and it says so. */
static void
build(struct line *line, enum log_level level, const char *msg,
	const struct log_field *fields, size_t count)
{
	bool is_json;

	line->style = style_now();
	line->len = 0;
	is_json = line->style == STYLE_JSON;
	put_head(line, level, msg);
	for (size_t i = 0; i < count; i++)
		if (!put_field(line, &fields[i])) {
			put_tail(line, is_json ? ",\"cut\":1" : " cut=1");
			break;
		}
	put_tail(line, is_json ? "}\n" : "\n");
}

/* Once, and only if it goes through at once. A reader that has gone (POLLERR) is left
 * alone: the write would bring SIGPIPE. */
static bool
send_line(const struct line *line)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	ssize_t n;

	if (poll(&p, 1, 0) != 1 || p.revents != POLLOUT)
		return false;
	n = write(STDERR_FILENO, line->data, line->len);
	if (n > 0)
		is_torn = (size_t)n < line->len;
	return n == (ssize_t)line->len;
}

/* Say what is missing, before the line that gets through. A line of which a full disk
 * took only a part is ended first. */
static bool
tell_dropped(void)
{
	uint64_t missing = log_dropped_count() - dropped_told;
	struct line line;

	if (missing == 0)
		return true;
	if (is_torn && !send_line(&(struct line){.len = 1, .data = "\n"}))
		return false;
	build(&line, LOG_LEVEL_WARNING, "log lines were dropped",
		&F_INT("count", missing), 1);
	if (!send_line(&line))
		return false;
	dropped_told += missing;
	return true;
}

void
log_write(enum log_level level, const char *msg, const struct log_field *fields,
	size_t count)
{
	int saved_errno = errno; /* a log line must not change what it is about */
	struct line line;

	build(&line, level, msg, fields, count);
	pthread_mutex_lock(&output);
	if (!tell_dropped() || !send_line(&line))
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
	pthread_mutex_unlock(&output);
	errno = saved_errno;
}
