/*
 * log_line.c - see log_line.h
 */
#include "daemon/obs/log_line.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <stint/clock.h>
#include "lib/base/buf.h"

enum {
	/* So that one long value does not push out the others. */
	VALUE_MAX_BYTES = 1024,
	/* Kept free for what ends a line: the "..." and quote of a value that was cut,
	 * the mark of missing fields, the bracket, the new line. */
	TAIL_BYTES = 24,
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};
/* sd-daemon(3): LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG of syslog(3) */
static const char *const level_prefixes[] = {"<3>", "<4>", "<6>", "<7>"};

/* Into the tail, where there is always room. */
static void
put_tail(struct log_line *line, const char *s)
{
	size_t n = strlen(s);

	memcpy(line->data + line->len, s, n);
	line->len += n;
}

/* All of it or nothing, up to @end. */
static bool
put(struct log_line *line, size_t end, const char *s, size_t n)
{
	if (line->len + n > end)
		return false;
	memcpy(line->data + line->len, s, n);
	line->len += n;
	return true;
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
escape(enum log_style style, unsigned char c, char out[8])
{
	if (c == '"' || c == '\\')
		return (size_t)sprintf(out, "\\%c", c);
	if (c == '\n' || c == '\r' || c == '\t')
		return (size_t)sprintf(out, "\\%c",
			c == '\n'   ? 'n'
			: c == '\r' ? 'r'
				    : 't');
	if (style != LOG_STYLE_JSON)
		return (size_t)sprintf(out, "\\x%02x", c);
	/* JSON has no bytes: U+FFFD for what is no character. */
	return (size_t)sprintf(out, "\\u%04x", c < 0x80 ? c : 0xfffdU);
}

/* @n bytes at @s escaped up to @end; false: "..." stands for the rest. @is_quoted:
 * quotation marks and backslashes are escaped, too. */
static bool
put_text(struct log_line *line, size_t end, const char *s, size_t n_bytes, bool is_quoted)
{
	const unsigned char *p = (const unsigned char *)s, *stop = p + n_bytes;

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
put_string(struct log_line *line, const char *s)
{
	bool is_quoted = line->style == LOG_STYLE_JSON || needs_quotes(s);
	size_t end = line->len + VALUE_MAX_BYTES;

	if (end > line->end)
		end = line->end;
	if (is_quoted)
		put_tail(line, "\"");
	put_text(line, end, s, strlen(s), is_quoted);
	if (is_quoted)
		put_tail(line, "\"");
}

/* ` name=` or `,"name":`; false, and nothing was put, when there is no room left for
 * it and a few bytes of a value. */
static bool
put_name(struct log_line *line, const char *name)
{
	bool is_json = line->style == LOG_STYLE_JSON;
	size_t n = strlen(name);

	if (line->len + n + sizeof ",\"\":" + BUF_INT_BYTES > line->end)
		return false;
	put_tail(line, is_json ? ",\"" : " ");
	put_tail(line, name);
	put_tail(line, is_json ? "\":" : "=");
	return true;
}

static bool
is_printed(const struct log_field *f)
{
	return f->str && strcmp(f->name, LOG_PRINTED) == 0;
}

/* Of what a job printed the end is what tells: "...", and as much of it as a value may
 * have. */
static const char *
end_of(const char *s, char out[VALUE_MAX_BYTES + 1])
{
	const size_t n = strlen(s);

	if (n <= VALUE_MAX_BYTES)
		return s;
	s += n - (VALUE_MAX_BYTES - 3);
	while (((unsigned char)*s & 0xc0) == 0x80)
		s++;
	snprintf(out, VALUE_MAX_BYTES + 1, "...%s", s);
	return out;
}

static bool
put_field(struct log_line *line, const struct log_field *f)
{
	char end[VALUE_MAX_BYTES + 1];

	/* an ID is for programs; people have the sentence */
	if (line->style != LOG_STYLE_JSON && strcmp(f->name, LOG_MESSAGE_ID) == 0)
		return true;
	if (!put_name(line, f->name))
		return false;
	if (f->str)
		put_string(line, is_printed(f) ? end_of(f->str, end) : f->str);
	else
		line->len += buf_print_int(line->data + line->len, f->num);
	return true;
}

/* 2026-11-21T04:12:09.123Z */
static void
put_time(struct log_line *line)
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
put_head(struct log_line *line, enum log_level level, const char *msg)
{
	switch (line->style) {
	case LOG_STYLE_JSON:
		put_tail(line, "{\"time\":\"");
		put_time(line);
		put_tail(line, "\",\"level\":\"");
		put_tail(line, level_names[level]);
		put_tail(line, "\",\"msg\":");
		put_string(line, msg);
		return;
	case LOG_STYLE_PREFIXED:
		put_tail(line, level_prefixes[level]);
		break;
	case LOG_STYLE_TEXT:
	case LOG_STYLE_UNKNOWN:
		put_time(line);
		put_tail(line, " ");
		put_tail(line, level_names[level]);
		put_tail(line, " ");
		break;
	case LOG_STYLE_JOURNAL:
		break;
	}
	put_text(line, line->len + VALUE_MAX_BYTES, msg, strlen(msg), false);
}

void
log_line_build(struct log_line *line, enum log_style style, const struct log_event *event)
{
	const bool is_json = style == LOG_STYLE_JSON;

	line->style = style;
	line->len = 0;
	line->end = LOG_LINE_MAX_BYTES - TAIL_BYTES;
	put_head(line, event->site->level, event->msg);
	for (size_t i = 0; i < event->count; i++)
		if (!put_field(line, &event->fields[i])) {
			put_tail(line, is_json ? ",\"cut\":1" : " cut=1");
			break;
		}
	put_tail(line, is_json ? "}\n" : "\n");
}

/* ---- for the journal ---- */

/* What a job printed, behind the rest: its lines and tabs are left as they are. */
static void
put_printed(struct log_line *line, const char *s)
{
	size_t n = strlen(s);

	while (n > 0 && s[n - 1] == '\n')
		n--;
	put_tail(line, memchr(s, '\n', n) ? ":\n" : ": ");
	while (n > 0) {
		size_t plain = 0;

		while (plain < n && s[plain] != '\n' && s[plain] != '\t')
			plain++;
		if (!put_text(line, line->end, s, plain, false))
			return;
		if (plain < n && !put(line, line->end, s + plain++, 1))
			return put_tail(line, "...");
		s += plain;
		n -= plain;
	}
}

void
log_line_message(struct log_line *line, const struct log_event *event)
{
	const struct log_field *printed = NULL;
	bool is_whole = true;

	line->end = line->len + LOG_MESSAGE_MAX_BYTES - TAIL_BYTES;
	put_head(line, event->site->level, event->msg);
	for (size_t i = 0; i < event->count && is_whole; i++) {
		if (is_printed(&event->fields[i]))
			printed = &event->fields[i];
		else
			is_whole = put_field(line, &event->fields[i]);
	}
	if (!is_whole)
		put_tail(line, " cut=1");
	else if (printed)
		put_printed(line, printed->str);
}
