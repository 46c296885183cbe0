/*
 * admin.h - the operator's calls: which queues there are and how full, cancel, pause
 *
 *	struct client_queue_stats stats;
 *	enum client_job_state state;
 *
 *	if (client_queue_stats(c, "default", &stats, &err) == 0 && !stats.is_paused)
 *		r = client_pause(c, "default", true, &err);
 *	if (r == 0)
 *		r = client_cancel(c, "default", "1732153200000-0", &state, &err);
 *
 * Thread, blocking and errors as in client.h.
 */
#ifndef CLIENT_ADMIN_H
#define CLIENT_ADMIN_H

#include <stdbool.h>
#include "lib/client/client.h"

/* A sorted set of names. A zeroed struct is the empty one. */
struct client_names {
	char **names;
	size_t count;
};

/* Add the @n bytes at @name, copied, unless it is there. 0 or -ENOMEM. */
int client_names_add(struct client_names *set, const char *name, size_t n);
void client_names_fini(struct client_names *set);

/* Add every queue that has ever had a job (of one Redis, not of a whole cluster). */
int client_find_queues(struct client *c, struct client_names *set, struct stint_err *err);

struct client_queue_stats {
	int64_t waiting_count; /* in the stream, not with a daemon; also put aside */
	int64_t running_count; /* given to a daemon, not yet finished */
	int64_t delayed_count; /* not due yet, retries too */
	int64_t dead_count;
	int64_t dead_lost_count; /* dead letters that had to go for newer ones, ever */
	int64_t consumer_count;  /* daemons that read from it */
	bool is_paused;
};

/* A queue that nobody has used yet is all zeros. */
int client_queue_stats(struct client *c, const char *queue,
	struct client_queue_stats *ret, struct stint_err *err);

/* Stop all daemons from fetching from a queue, also those that start later, or let them
 * go on. Asked for; done once they have read it. */
int client_pause(
	struct client *c, const char *queue, bool is_paused, struct stint_err *err);

/* What the last of those messages says. */
int client_is_paused(
	struct client *c, const char *queue, bool *ret, struct stint_err *err);

enum client_job_state {
	CLIENT_JOB_UNKNOWN, /* also an unread one under an id of its own */
	CLIENT_JOB_WAITING,
	CLIENT_JOB_RUNNING, /* or about to: a daemon holds it */
	CLIENT_JOB_DELAYED,
	CLIENT_JOB_RETRYING, /* waits for its next attempt */
	CLIENT_JOB_FINISHED, /* and its result is still kept */
};

/* Where a job is at this moment. */
int client_job_state(struct client *c, const char *queue, const char *id,
	enum client_job_state *ret, struct stint_err *err);

/* "unknown", "waiting" ... */
const char *client_job_state_name(enum client_job_state state);

/**
 * client_cancel() - ask the daemons to cancel a job, unless it has finished
 * @ret: where it was just before. One that is unknown is asked for, too: it may wait.
 */
int client_cancel(struct client *c, const char *queue, const char *id,
	enum client_job_state *ret, struct stint_err *err);

#endif
