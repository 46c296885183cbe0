/*
 * log_journal.h - events as entries of the systemd journal, with their values as fields
 *
 *	static struct log_journal journal = LOG_JOURNAL_INIT(LOG_JOURNAL_SOCKET);
 *
 *	log_journal_build(&line, &event);
 *	r = log_journal_send(&journal, &line);
 *
 * An own writer, not sd_journal_sendv(3): that one waits for room in the journal's socket
 * for as long as a journald that is stopped or stuck makes it wait, and nobody in this
 * daemon may wait for the log. A thread that waits in the others' place would need a
 * bounded queue, its own drops and an end that may wait for ever. The format is a public
 * promise of systemd (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): one datagram per
 * entry, "NAME=value\n" each, or "NAME\n", the length in 64 bits little endian, value,
 * "\n" for values with new lines.
 *
 * The fields: MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, CODE_FILE, CODE_LINE, CODE_FUNC,
 * MESSAGE_ID where the event has one, and each value as STINT_ and its name in capitals;
 * `job` is STINT_JOB_ID.
 */
#ifndef OBS_LOG_JOURNAL_H
#define OBS_LOG_JOURNAL_H

#include "daemon/obs/log_line.h"

#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"

struct log_journal {
	const char *path;
	int fd; /* -1: not opened yet */
};

#define LOG_JOURNAL_INIT(socket_path)                                                    \
	{                                                                                \
		.path = (socket_path), .fd = -1                                          \
	}

/* The entry of @event into @line. Fields for which there is no room are missing, and
 * STINT_CUT=1 says so. Thread: any. */
void log_journal_build(struct log_line *line, const struct log_event *event);

/* Send what log_journal_build() made; never blocks. Return: 0; -EAGAIN, -ENOBUFS,
 * -ENOMEM: there is no room now; another error of socket(2) or sendto(2): there is no
 * journal at this path. Thread: one at a time. */
int log_journal_send(struct log_journal *j, const struct log_line *line);

/* Close the socket; it may be used again. */
void log_journal_fini(struct log_journal *j);

#endif
