/*
 * log_journal.c - see log_journal.h
 */
#include "daemon/obs/log_journal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

enum {
	/* Asked for, as libsystemd does: a burst of entries fits while journald is busy.
	 * The kernel gives as much of it as net.core.wmem_max allows. */
	SEND_BUFFER_BYTES = 8 << 20,
	NAME_MAX_BYTES = 64, /* journald ignores fields with longer names */
	/* "NAME", new line, length, new line */
	FRAME_BYTES = NAME_MAX_BYTES + (int)sizeof(uint64_t) + 2,
	/* Kept for STINT_CUT=1. */
	CUT_BYTES = 16,
};

/* Of syslog(3): LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG */
static const char priorities[] = {'3', '4', '6', '7'};

/* ---- the entry ---- */

static void
put(struct log_line *line, const void *p, size_t n)
{
	memcpy(line->data + line->len, p, n);
	line->len += n;
}

static void
put_str(struct log_line *line, const char *s)
{
	put(line, s, strlen(s));
}

/* "STINT_" and @name in capitals; what no name may hold becomes "_". */
static void
make_name(const char *name, char out[NAME_MAX_BYTES + 1])
{
	size_t n = 0;

	if (strcmp(name, "message_id") == 0)
		name = "MESSAGE_ID";
	else if (strcmp(name, "job") == 0)
		name = "STINT_JOB_ID";
	else
		n = (size_t)sprintf(out, "STINT_");
	for (; *name && n < NAME_MAX_BYTES; name++) {
		const bool is_small = *name >= 'a' && *name <= 'z';
		const bool is_plain =
			(*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9');

		out[n++] = is_small ? (char)(*name - 'a' + 'A') : is_plain ? *name : '_';
	}
	out[n] = '\0';
}

static bool
has_room(const struct log_line *line, size_t n)
{
	return line->len + FRAME_BYTES + n + CUT_BYTES <= sizeof line->data;
}

/* A field of any bytes but NUL; false, and nothing was put, when there is no room. */
static bool
put_field(struct log_line *line, const char *name, const char *value)
{
	const size_t n = strlen(value);
	const uint64_t length = htole64(n);

	if (!has_room(line, n))
		return false;
	put_str(line, name);
	if (memchr(value, '\n', n)) {
		put_str(line, "\n");
		put(line, &length, sizeof length);
	} else {
		put_str(line, "=");
	}
	put(line, value, n);
	put_str(line, "\n");
	return true;
}

static bool
put_int(struct log_line *line, const char *name, int64_t value)
{
	char text[BUF_INT_BYTES + 1];

	text[buf_print_int(text, value)] = '\0';
	return put_field(line, name, text);
}

/* Its length stands before it, and is known behind it. */
static void
put_message(struct log_line *line, const struct log_event *event)
{
	uint64_t length = 0;
	size_t at;

	put_str(line, "MESSAGE\n");
	put(line, &length, sizeof length);
	at = line->len;
	log_line_message(line, event);
	length = htole64(line->len - at);
	memcpy(line->data + at - sizeof length, &length, sizeof length);
	put_str(line, "\n");
}

void
log_journal_build(struct log_line *line, const struct log_event *event)
{
	const struct log_site *site = event->site;
	const char priority[] = {priorities[site->level], '\0'};
	char name[NAME_MAX_BYTES + 1];
	bool is_whole = true;

	line->style = LOG_STYLE_JOURNAL;
	line->len = 0;
	put_field(line, "PRIORITY", priority);
	put_field(line, "SYSLOG_IDENTIFIER", "stintd");
	put_field(line, "CODE_FILE", site->file);
	put_int(line, "CODE_LINE", site->line);
	put_field(line, "CODE_FUNC", site->func);
	put_message(line, event);
	for (size_t i = 0; i < event->count; i++) {
		const struct log_field *f = &event->fields[i];
		const bool is_put = (make_name(f->name, name), f->str)
					    ? put_field(line, name, f->str)
					    : put_int(line, name, f->num);

		is_whole = is_whole && is_put;
	}
	if (!is_whole)
		put_str(line, "STINT_CUT=1\n");
}

/* ---- the socket ---- */

static int
open_socket(struct log_journal *j)
{
	const int wanted = SEND_BUFFER_BYTES;

	if (j->fd >= 0)
		return 0;
	j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (j->fd < 0)
		return -errno;
	/* with less there is room for less: no reason to fail */
	(void)setsockopt(j->fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
	return 0;
}

int
log_journal_send(struct log_journal *j, const struct log_line *line)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const size_t n = strlen(j->path);
	int r = open_socket(j);

	if (r < 0)
		return r;
	if (n >= sizeof to.sun_path)
		return -ENAMETOOLONG;
	memcpy(to.sun_path, j->path, n);
	/* To the path each time, not connected: it may be another socket by now. */
	if (sendto(j->fd, line->data, line->len, MSG_DONTWAIT | MSG_NOSIGNAL,
		    (const struct sockaddr *)&to, sizeof to) < 0)
		return -errno;
	return 0;
}

void
log_journal_fini(struct log_journal *j)
{
	close_fd(&j->fd);
}
