/*
 * job.h - one job as it stands in its stream
 *
 * A job is parsed from the fields of a stream entry (handler, payload, id, timeout,
 * deadline, delay or at, retries, reply_to, traceparent, x-...) and never changes after.
 * It is one block of memory: the struct and, behind it, its x- fields and a copy of all
 * its bytes.
 *
 * Fields that begin with "stint-" are written by daemons when they hand a job back:
 * the new entry has another entry id, but remains the same job.
 */
#ifndef WIRE_JOB_H
#define WIRE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/wire/keys.h"

enum {
	ENTRY_ID_BYTES = 44,   /* "18446744073709551615-18446744073709551615" and a NUL */
	JOB_FIELDS_MAX = 64,   /* fields in one entry */
	JOB_X_FIELDS_MAX = 24, /* x- fields in one entry: they fit a worker's frame */
	JOB_NAME_MAX = 64,     /* a handler's or x- field's name */
	JOB_FAULT_BYTES = 200,
};

/* What daemons write on the copy of a job: when it was first submitted (its presence
 * makes the copy), the attempt to come, deliveries that ended with the holder's death,
 * how often it was handed back. */
#define JOB_FIELD_SUBMITTED     "stint-submitted"
#define JOB_FIELD_ATTEMPT       "stint-attempt"
#define JOB_FIELD_DEATHS        "stint-deaths"
#define JOB_FIELD_INTERRUPTIONS "stint-interruptions"
#define JOB_FIELD_CANCELLED     "stint-cancelled"

struct bytes {
	const char *p;
	size_t n;
};

/* name without "x-"; both are NUL-terminated, too */
struct job_x_field {
	struct bytes name;
	struct bytes value;
};

struct job {
	char entry_id[ENTRY_ID_BYTES]; /* in the stream: what is acknowledged */
	struct bytes id;      /* the job's id: its own or the entry's; terminated */
	struct bytes handler; /* terminated; {NULL, 0} when the field is missing */
	struct bytes payload;
	struct bytes reply_to;    /* {NULL, 0}: none; terminated */
	struct bytes traceparent; /* likewise */
	int64_t timeout_ms;       /* 0: the handler's own */
	int64_t deadline_unix_ms; /* 0: none */
	int64_t submitted_unix_ms;
	int64_t due_unix_ms; /* do not start before (at, delay); 0: none, or faulty */
	int retries;         /* as the job asks for; -1: the handler's */
	int attempt;         /* 1 = first */
	int deaths;        /* deliveries before this entry that ended with the daemon's */
	int interruptions; /* how often a shutdown or the like handed it back */
	int deliveries;    /* of this entry, this one included */
	bool has_own_id;   /* brought by the submitter: to be checked for a duplicate */
	bool is_cancelled; /* while it waited for its time, or its turn */
	bool is_copy;      /* a daemon wrote this entry: the job was admitted before */
	size_t x_count;
	struct job_x_field *x;
	size_t block_bytes;          /* memory that this job takes */
	char fault[JOB_FAULT_BYTES]; /* not empty: the job is malformed, and how */
};

/**
 * job_new() - parse one entry
 * @entry_id: as Redis gave it, terminated
 * @fields:   name, value, name, value ..., each with a NUL behind it; one with
 *            p == NULL was too large to be kept, n says how large it was
 * @count:    of names and values together; @fields needs only the first
 *            2 * JOB_FIELDS_MAX of them
 *
 * A malformed entry is a job, too: its fault says what is wrong, and it is going to
 * be rejected. Return: NULL only when there is no memory. Free with free().
 */
struct job *job_new(const char *entry_id, const struct bytes *fields, size_t count);

/* Deliveries that ended with the daemon's death, of this entry and of earlier ones. */
static inline int
job_deaths(const struct job *job)
{
	return job->deaths + job->deliveries - 1;
}

#endif
