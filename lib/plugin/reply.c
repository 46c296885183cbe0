/*
 * reply.c - what a plugin says of its job; see <stint/plugin.h> and reply.h
 */
#include "lib/plugin/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ERRNO_MAX = 4096 }; /* below that a number is no errno */

void
reply_init(struct stint_reply *reply, size_t limit_bytes)
{
	*reply = (struct stint_reply){.limit_bytes = limit_bytes, .percent = -1};
}

void
reply_fini(struct stint_reply *reply)
{
	buf_fini(&reply->output);
}

/* ---- the plugin's ---- */

int
stint_reply_write(struct stint_reply *reply, const void *data, size_t len)
{
	if (len > reply->limit_bytes - reply->output.len) {
		reply->end = REPLY_OVER;
		return -EMSGSIZE;
	}
	if (len > 0)
		buf_add(&reply->output, data, len);
	return reply->output.failed ? -ENOMEM : 0;
}

int
stint_reply_printf(struct stint_reply *reply, const char *fmt, ...)
{
	va_list ap, again;
	char *room;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n > reply->limit_bytes - reply->output.len) {
		va_end(again);
		reply->end = REPLY_OVER;
		return -EMSGSIZE;
	}
	room = buf_room(&reply->output, (size_t)n + 1);
	if (room) {
		vsnprintf(room, (size_t)n + 1, fmt, again);
		reply->output.len += (size_t)n;
	}
	va_end(again);
	return room ? 0 : -ENOMEM;
}

/* A text that was cut ends with a whole character, if it is UTF-8. */
static void
mend_end(char text[REPLY_TEXT_BYTES], int wanted)
{
	size_t n = REPLY_TEXT_BYTES - 1;

	if (wanted < REPLY_TEXT_BYTES)
		return;
	while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
		n--;
	if (n > 0 && ((unsigned char)text[n - 1] & 0x80))
		text[n - 1] = '\0';
}

/* What is over the limit stays so. */
static int
say(struct stint_reply *reply, enum reply_end end, const char *fmt, va_list ap)
{
	if (reply->end != REPLY_OVER) {
		reply->end = end;
		mend_end(reply->error,
			vsnprintf(reply->error, sizeof reply->error, fmt, ap));
	}
	return end == REPLY_FAIL ? -EINVAL : -EIO;
}

int
stint_reply_error(struct stint_reply *reply, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = say(reply, REPLY_ERROR, fmt, ap);
	va_end(ap);
	return r;
}

int
stint_reply_fail(struct stint_reply *reply, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = say(reply, REPLY_FAIL, fmt, ap);
	va_end(ap);
	return r;
}

void
stint_reply_progress(struct stint_reply *reply, int percent, const char *note)
{
	char line[REPLY_TEXT_BYTES];

	percent = percent < 0 ? 0 : percent > 100 ? 100 : percent;
	mend_end(line, snprintf(line, sizeof line, "%s", note ? note : ""));
	if (percent == reply->percent && strcmp(line, reply->note) == 0)
		return;
	reply->percent = percent;
	memcpy(reply->note, line, sizeof line);
	if (reply->on_progress)
		reply->on_progress(reply->arg, percent, line);
}

const char *
stint_job_field(const struct stint_job *job, const char *name, size_t *ret_len)
{
	for (size_t i = 0; i < job->field_count; i++) {
		if (strcmp(job->fields[i].name, name) != 0)
			continue;
		if (ret_len)
			*ret_len = job->fields[i].value_len;
		return job->fields[i].value;
	}
	return NULL;
}

/* ---- the caller's ---- */

void
reply_settle(struct stint_reply *reply, int returned)
{
	if (reply->end != REPLY_OK)
		return;
	if (reply->output.failed)
		stint_reply_error(reply, "no memory for its output");
	else if (returned < 0 && returned > -ERRNO_MAX)
		stint_reply_error(
			reply, "returned %d: %s", returned, strerror(-returned));
	else if (returned != 0)
		stint_reply_error(reply, "returned %d", returned);
}
