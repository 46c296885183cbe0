/*
 * log_line.h - an event as the bytes of one line, or of a journal entry's MESSAGE
 *
 *	struct log_line line;
 *	log_line_build(&line, LOG_STYLE_JSON, &event);
 *
 * Everything is built in place: no allocation that could fail when there is most to
 * tell. Thread: any; nothing is shared.
 */
#ifndef OBS_LOG_LINE_H
#define OBS_LOG_LINE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include "daemon/obs/log.h"

enum {
	/* A line of a stream: what a pipe takes in one piece (log.c). */
	LOG_LINE_MAX_BYTES = PIPE_BUF,
	/* What stands behind MESSAGE=: 4 KiB that a job printed, and the rest. */
	LOG_MESSAGE_MAX_BYTES = 6 << 10,
	/* A whole entry of the journal: the message, and each value once more. Far less
	 * than a datagram to the journal may hold, so no entry has to be handed over in
	 * a memfd. */
	LOG_ENTRY_MAX_BYTES = 14 << 10,
};

enum log_style {
	LOG_STYLE_UNKNOWN,  /* auto, and nobody has looked yet */
	LOG_STYLE_TEXT,     /* with time and level */
	LOG_STYLE_PREFIXED, /* "<4>" in their place, see sd-daemon(3) */
	LOG_STYLE_JSON,
	LOG_STYLE_JOURNAL, /* an entry for the journal's socket (log_journal.h) */
};

/* What log_write() was given. */
struct log_event {
	const struct log_site *site;
	const char *msg;
	const struct log_field *fields;
	size_t count;
};

struct log_line {
	enum log_style style;
	size_t len;
	size_t end; /* where fields must end, so that the line's own end fits, too */
	char data[LOG_ENTRY_MAX_BYTES];
};

/* The whole line, with its new line, in any style but LOG_STYLE_JOURNAL. Fields for
 * which there is no room are missing, and it says so. */
void log_line_build(
	struct log_line *line, enum log_style style, const struct log_event *event);

/* Append sentence and values for people, at most LOG_MESSAGE_MAX_BYTES; the value named
 * LOG_PRINTED comes last, its lines as they are. @line: LOG_STYLE_JOURNAL. */
void log_line_message(struct log_line *line, const struct log_event *event);

#endif
