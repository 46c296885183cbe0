/*
 * log.c - where events go: levels, standard error or the journal, and what is dropped
 *
 * Nobody waits for the log. A line has no more than PIPE_BUF bytes, and that length is
 * the key to it: poll(2) calls a pipe writable when PIPE_BUF bytes fit, so a
 * write of no more than that goes through at once and in one piece. (O_NONBLOCK
 * would do it, too, but it belongs to the open file, which the shell and the jobs
 * share with us.) Between poll and write no other thread may fill the room: a mutex
 * holds them off for these two system calls. The journal's socket is our own, and
 * MSG_DONTWAIT does it.
 */
#include "daemon/obs/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/obs/log_journal.h"
#include "daemon/obs/log_line.h"

/* Relaxed: each stands for itself, and a line written by the old one is as good. */
static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic int current_style = LOG_STYLE_UNKNOWN;
static _Atomic uint64_t dropped;

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static uint64_t dropped_told; /* under output: how many of them a line has told of */
static bool is_torn;          /* under output: the last line got through in part only */
static struct log_journal journal = LOG_JOURNAL_INIT(LOG_JOURNAL_SOCKET); /* likewise */

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

static enum log_style
find_style(enum log_format format)
{
	switch (format) {
	case LOG_FORMAT_JSON:
		return LOG_STYLE_JSON;
	case LOG_FORMAT_TEXT:
		return LOG_STYLE_TEXT;
	case LOG_FORMAT_JOURNAL:
		return LOG_STYLE_JOURNAL;
	case LOG_FORMAT_AUTO:
		break;
	}
	return is_journal() ? LOG_STYLE_JOURNAL : LOG_STYLE_TEXT;
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

static enum log_style
style_now(void)
{
	int style = atomic_load_explicit(&current_style, memory_order_relaxed);

	/* Two threads may both look: they see the same. */
	if (style == LOG_STYLE_UNKNOWN) {
		style = (int)find_style(LOG_FORMAT_AUTO);
		atomic_store_explicit(&current_style, style, memory_order_relaxed);
	}
	return (enum log_style)style;
}

static void
build(struct log_line *line, const struct log_event *event)
{
	const enum log_style style = style_now();

	if (style == LOG_STYLE_JOURNAL)
		log_journal_build(line, event);
	else
		log_line_build(line, style, event);
}

/* Once, and only if it goes through at once. A reader that has gone (POLLERR) is left
 * alone: the write would bring SIGPIPE. */
static bool
write_line(const char *data, size_t len)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	ssize_t n;

	if (poll(&p, 1, 0) != 1 || p.revents != POLLOUT)
		return false;
	n = write(STDERR_FILENO, data, len);
	if (n > 0)
		is_torn = (size_t)n < len;
	return n == (ssize_t)len;
}

/* A line of which a full disk took only a part is ended first. */
static bool
send_line(const struct log_line *line)
{
	return (!is_torn || write_line("\n", 1)) && write_line(line->data, line->len);
}

/* Without a journal at its place (a chroot, a container that has only the variable)
 * standard error is what is left; if that is the journal's, the level is heard. */
static bool
deliver(struct log_line *line, const struct log_event *event)
{
	int r;

	if (line->style != LOG_STYLE_JOURNAL)
		return send_line(line);
	r = log_journal_send(&journal, line);
	if (r == 0 || r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
		return r == 0;
	log_line_build(line, LOG_STYLE_PREFIXED, event);
	return send_line(line);
}

/* Say what is missing, before the line that gets through. */
static bool
tell_dropped(void)
{
	static const struct log_site site = {
		LOG_LEVEL_WARNING, __FILE__, __func__, __LINE__};
	const uint64_t missing = log_dropped_count() - dropped_told;
	const struct log_event event = {
		&site, "log lines were dropped", &F_INT("count", missing), 1};
	struct log_line line;

	if (missing == 0)
		return true;
	build(&line, &event);
	if (!deliver(&line, &event))
		return false;
	dropped_told += missing;
	return true;
}

void
log_write(const struct log_site *site, const char *msg, const struct log_field *fields,
	size_t count)
{
	const int saved_errno = errno; /* a log line must not change what it is about */
	const struct log_event event = {site, msg, fields, count};
	struct log_line line;

	build(&line, &event);
	pthread_mutex_lock(&output);
	if (!tell_dropped() || !deliver(&line, &event))
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
	pthread_mutex_unlock(&output);
	errno = saved_errno;
}
