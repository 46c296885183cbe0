/*
 * worker_log.c - what a worker process prints; see worker_log.h
 */
#include <string.h>
#include <unistd.h>
#include <stint/clock.h>
#include "daemon/handler/ending.h"
#include "daemon/handler/worker_log.h"
#include "daemon/obs/log.h"
#include "lib/base/cleanup.h"

enum {
	READ_BYTES = 16384,
	DRAIN_READS = 64, /* times READ_BYTES: what a pipe can hold (1 MiB) */
	SECOND_MS = 1000,
};

static const char *const stream_names[] = {
	[WORKER_STDOUT] = "stdout",
	[WORKER_STDERR] = "stderr",
};

static void
tell_left_out(struct worker_log *log, const struct worker_log_of *of)
{
	if (log->left_out_count > 0)
		log_warn("worker printed more lines than are told",
			F_STR("handler", of->handler),
			F_INT("lines", log->left_out_count));
	log->left_out_count = 0;
}

/* Is there room for one more line in this second? */
static bool
may_tell(struct worker_log *log, const struct worker_log_of *of, int64_t now_ms)
{
	if (now_ms - log->second_at_ms >= SECOND_MS) {
		log->second_at_ms = now_ms;
		log->line_count = 0;
		tell_left_out(log, of);
	}
	if (log->line_count < WORKER_LOG_LINES_PER_S) {
		log->line_count++;
		return true;
	}
	log->left_out_count++;
	return false;
}

static void
tell_line(struct worker_log *log, enum worker_stream stream,
	const struct worker_log_of *of, int64_t now_ms)
{
	struct worker_line *line = &log->line[stream];
	const char *name = stream_names[stream];

	line->text[line->len] = '\0';
	if (line->len == 0 || !may_tell(log, of, now_ms))
		;
	else if (of->job)
		log_info("worker printed", F_STR("job", of->job->id.p),
			F_STR("queue", of->queue), F_STR("handler", of->handler),
			F_INT("attempt", of->job->attempt), F_STR("on", name),
			F_STR(LOG_PRINTED, line->text));
	else
		log_info("worker printed", F_STR("handler", of->handler),
			F_STR("on", name), F_STR(LOG_PRINTED, line->text));
	line->len = 0;
}

static void
take(struct worker_log *log, enum worker_stream stream, const struct worker_log_of *of,
	const char *p, size_t n)
{
	struct worker_line *line = &log->line[stream];
	const int64_t now_ms = stint_now_ms();

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n' || line->len == WORKER_LOG_LINE_BYTES)
			tell_line(log, stream, of, now_ms);
		if (p[i] != '\n') /* a NUL would end the text */
			line->text[line->len++] = p[i] ? p[i] : '?';
	}
}

bool
worker_log_read(
	struct worker_log *log, enum worker_stream stream, const struct worker_log_of *of)
{
	char chunk[READ_BYTES];
	ssize_t n;

	if (log->fd[stream] < 0)
		return false;
	n = read(log->fd[stream], chunk, sizeof chunk);
	if (n == 0)
		close_fd(&log->fd[stream]); /* else poll(2) would tell it again and again
					     */
	if (n <= 0)
		return false;
	if (stream == WORKER_STDERR && of->out)
		ending_add_stderr(of->out, chunk, (size_t)n);
	take(log, stream, of, chunk, (size_t)n);
	return true;
}

void
worker_log_drain(struct worker_log *log, const struct worker_log_of *of)
{
	for (enum worker_stream s = 0; s < WORKER_STREAM_COUNT; s++)
		for (int i = 0; i < DRAIN_READS && worker_log_read(log, s, of); i++)
			;
}

void
worker_log_settle(struct worker_log *log, const struct worker_log_of *of)
{
	if (log->left_out_count > 0 && stint_now_ms() - log->second_at_ms >= SECOND_MS)
		tell_left_out(log, of);
}

void
worker_log_close(struct worker_log *log, const struct worker_log_of *of)
{
	worker_log_drain(log, of);
	for (enum worker_stream s = 0; s < WORKER_STREAM_COUNT; s++) {
		tell_line(log, s, of, stint_now_ms());
		close_fd(&log->fd[s]);
	}
	tell_left_out(log, of);
}
