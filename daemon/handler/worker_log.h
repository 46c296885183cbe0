/*
 * worker_log.h - what a worker process prints, line by line into the log
 *
 * It prints when it likes: what comes while it has a job is told with the job's id. So
 * that a loop around a print cannot fill the log, only so many lines a second are told,
 * and how many more there were.
 */
#ifndef HANDLER_WORKER_LOG_H
#define HANDLER_WORKER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/wire/outcome.h"

enum {
	WORKER_LOG_LINES_PER_S = 100,
	WORKER_LOG_LINE_BYTES = 1000, /* what is longer becomes several lines */
};

enum worker_stream { WORKER_STDOUT, WORKER_STDERR, WORKER_STREAM_COUNT };

struct worker_log {
	int fd[WORKER_STREAM_COUNT]; /* not blocking; -1: it has been closed */
	struct worker_line {
		char text[WORKER_LOG_LINE_BYTES + 1];
		size_t len;
	} line[WORKER_STREAM_COUNT]; /* not yet ended */
	int64_t second_at_ms;        /* when counting began */
	int line_count;              /* told in this second */
	int64_t left_out_count;      /* not told */
};

/* Whose lines they are. */
struct worker_log_of {
	const char *handler;
	const struct job *job; /* NULL: it has no job */
	const char *queue;     /* of the job */
	struct outcome *out;   /* gets the tail of stderr; NULL: nobody wants it */
};

/* One read of what has come. Return: may there be more? */
bool worker_log_read(struct worker_log *log, enum worker_stream stream,
	const struct worker_log_of *of);

/* All that is there, as much as a pipe can hold. */
void worker_log_drain(struct worker_log *log, const struct worker_log_of *of);

/* A job is over: tell how many lines were left out, unless that was told this second. */
void worker_log_settle(struct worker_log *log, const struct worker_log_of *of);

/* The process is gone: tell the rest, close. */
void worker_log_close(struct worker_log *log, const struct worker_log_of *of);

#endif
