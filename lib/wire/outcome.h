/*
 * outcome.h - how one attempt at a job ended, and the JSON that tells it
 */
#ifndef WIRE_OUTCOME_H
#define WIRE_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/buf.h"
#include "lib/wire/job.h"

enum job_status {
	JOB_OK,
	JOB_ERROR,   /* the handler said no */
	JOB_TIMEOUT, /* its time was up */
	JOB_CANCELLED,
	JOB_CRASHED,     /* killed by a signal, or its process was lost */
	JOB_EXPIRED,     /* its deadline passed before it started */
	JOB_REJECTED,    /* never run: malformed, unknown handler, too large */
	JOB_HANDED_BACK, /* not a result: the job goes back to its queue */
};

enum {
	OUTCOME_ERROR_BYTES = 512,
	OUTCOME_STDERR_BYTES = 4096, /* the tail that is kept */
};

struct outcome {
	enum job_status status;
	bool for_good; /* a failure that must not be retried */
	struct buf output;
	struct buf stderr_tail;          /* at most OUTCOME_STDERR_BYTES */
	char error[OUTCOME_ERROR_BYTES]; /* one line; "" when ok */
	int exit_code;                   /* -1: did not exit */
	int signal;                      /* 0: not killed by one */
	int64_t cpu_ms;                  /* -1: not known */
	int64_t max_rss_bytes;           /* 0: not known, as the next */
	int64_t memory_peak_bytes;
	int64_t started_unix_ms; /* 0: never started */
	int64_t finished_unix_ms;
};

/* An outcome that says nothing yet; a zeroed one is not it (exit_code, cpu_ms). */
void outcome_init(struct outcome *o);
void outcome_fini(struct outcome *o);

/* Set the status and the one line for people. Control characters become blanks. */
void outcome_fail(struct outcome *o, enum job_status status, const char *fmt, ...)
	STINT_PRINTF(3, 4);

const char *job_status_name(enum job_status s);

/* Append the result object (contract, section 2). */
void outcome_json(struct buf *b, const struct outcome *o, const struct job *job,
	const char *queue, const char *daemon);

#endif
