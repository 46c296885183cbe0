/*
 * client.h - submit jobs and read results, one blocking call at a time
 *
 *	struct client_opts opts = {.url = &url, .prefix = "stint", .timeout_ms = 10000};
 *	struct client_job job = {.queue = "default", .handler = "resize"};
 *	cleanup(client_freep) struct client *c = NULL;
 *	cleanup(freep) char *id = NULL;
 *
 *	if (client_open(&opts, &c, &err) < 0 || client_submit(c, &job, &id, &err) < 0)
 *		fputs(err.msg, stderr);
 *
 * Thread: a client is used by one thread at a time. Every call blocks until Redis
 * has answered, and no longer than timeout_ms without a sign of it. Errors of all
 * calls, with a sentence in @err that never holds a password:
 *
 *	-ENOTCONN   Redis could not be reached (client_open() alone)
 *	-EACCES     it wants another user or password, or the user may not do this
 *	-EREMOTEIO  it refused the command for another reason
 *	-EIO        the connection was lost, or no answer came: what was asked may or
 *	            may not have been done. The client is of no further use.
 *	-ENOMEM
 *
 * Names are not checked here: see keys.h for what queues, ids and reply streams may
 * be called. The operator's calls are in admin.h and letters.h.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <stint/err.h>
#include "lib/base/buf.h"
#include "lib/wire/job.h"
#include "lib/wire/progress.h"
#include "lib/wire/url.h"

struct client;

struct client_opts {
	const struct redis_url *url; /* looked at by client_open() only */
	const char *prefix;          /* of all keys; copied */
	const char *name;   /* for CLIENT SETNAME, which may be refused; NULL: none */
	int64_t timeout_ms; /* above 0: to connect, and for each answer */
};

int client_open(
	const struct client_opts *opts, struct client **ret, struct stint_err *err);
void client_free(struct client *c); /* takes NULL */
void client_freep(struct client **c);

/* What is NULL or empty is left out of the job; queue and handler are required. */
struct client_job {
	const char *queue;
	const char *handler;
	struct bytes payload;
	const char *id;       /* the submitter's own */
	const char *timeout;  /* a time span in words, see units.h */
	const char *delay;    /* a time span in words */
	const char *at;       /* a unix time in ms; not with delay */
	const char *deadline; /* likewise */
	const char *retries;  /* a number */
	const char *reply_to;
	const char *traceparent;
	const struct job_x_field *x;
	size_t x_count; /* at most JOB_X_FIELDS_MAX */
};

/**
 * client_job_check() - would a daemon reject this job as malformed?
 *
 * Asks the parser that the daemon uses. No client is needed, nothing is sent.
 * Return: 0; -EINVAL with what is wrong; -ENOMEM.
 */
int client_job_check(const struct client_job *job, struct stint_err *err);

/**
 * client_submit() - add a job to its queue, unchecked but for x_count (-EINVAL)
 * @ret_id: the job's id, its own or the one that Redis gave; free() it
 */
int client_submit(struct client *c, const struct client_job *job, char **ret_id,
	struct stint_err *err);

/**
 * client_result() - the result of a job, if there is one
 * @ret: the JSON object is appended, as it is stored
 *
 * Return: 0; -ENOENT: the job is unknown, not finished, or its result expired.
 */
int client_result(struct client *c, const char *queue, const char *id, struct buf *ret,
	struct stint_err *err);

/**
 * client_progress() - what a running job has told of its progress
 *
 * Return: 0; -ENOENT: it has told nothing, or does not run. A user who may not read the
 * states of jobs gets -EACCES.
 */
int client_progress(struct client *c, const char *queue, const char *id,
	struct progress *ret, struct stint_err *err);

struct client_wait {
	const char *queue;
	const char *id;
	int64_t at_ms; /* when to give up, or STINT_NEVER */
	/* The job's reply stream, which wakes the wait at once and has a result even
	 * where none are stored. NULL: look for the stored result now and then. */
	const char *reply_to;
	char after[ENTRY_ID_BYTES]; /* replies up to this one are old; "0-0": none is */
	/* Called during the wait with what the job tells of its progress, the same again
	 * and again; not for a user who may not read that. NULL: nobody asks. */
	void (*on_progress)(void *arg, const struct progress *progress);
	void *arg;
};

/**
 * client_wait() - wait for the result of a job
 * @w:   its `after` moves on with what was read
 * @ret: as in client_result()
 *
 * Looks at least once, also when at_ms has passed.
 * Return: 0; -ETIMEDOUT: at_ms came first.
 */
int client_wait(
	struct client *c, struct client_wait *w, struct buf *ret, struct stint_err *err);

/* A name for a reply stream that nobody else has. 0 or -errno of getrandom(2). */
enum { CLIENT_REPLY_NAME_BYTES = 48 };
int client_reply_name(char ret[CLIENT_REPLY_NAME_BYTES], struct stint_err *err);

/* The last entry of a reply stream as it is now, "0-0" when it is empty: where
 * client_wait() is to start if others use the stream, too. */
int client_reply_end(struct client *c, const char *queue, const char *name,
	char ret_after[ENTRY_ID_BYTES], struct stint_err *err);

/* Delete a reply stream. */
int client_reply_drop(
	struct client *c, const char *queue, const char *name, struct stint_err *err);

#endif
