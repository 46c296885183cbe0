/*
 * claim.h - takes over the jobs of daemons that are gone
 *
 * Three ways to clear up after others, one batch of one queue at a time:
 *
 * take over
 *	at the start, each minute and when Redis is back: of consumers whose process is
 *	provably gone (identity.h), everything at once (scripts/takeover.lua)
 * reclaim
 *	whatever nobody has renewed for the time of a lease (scripts/reclaim.lua): looked
 *	for once a lease, and while others hold entries every 1.5 s or half a lease,
 *	whichever is less
 * reap
 *	consumers that hold nothing and are gone, or were idle for an hour, are taken off
 *	the group (scripts/leave.lua, which looks and removes in one step)
 *
 * Entries become jobs whose `deliveries` says how often they were delivered, this time
 * included. No more is taken at once than credit() allows; the rest follows with later
 * pokes. Paused queues are left alone. When Redis was away for long, the others have a
 * third of a lease to renew what they hold before anything is reclaimed. Thread: the
 * loop's.
 */
#ifndef QUEUE_CLAIM_H
#define QUEUE_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/queue.h"
#include "daemon/redis/conn.h"
#include "daemon/redis/script.h"
#include "lib/wire/job.h"

struct claim_ops {
	/* How many jobs may be taken over now. With 0, poke again when there is room. */
	size_t (*credit)(void *arg);
	bool (*is_known)(void *arg, const struct queue *q, const char *entry_id);
	/* A job that this daemon holds now, leased since @leased_at_ms. Takes the job. */
	void (*on_job)(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms);
	/* A reply is through, its jobs have all been given. */
	void (*on_read)(void *arg);
	/* A reply was lost (or there was no memory for a job): this consumer may hold
	 * entries that are not known here. Have the pending list compared; without that
	 * they come back when their lease has ended. */
	void (*on_lost_reply)(void *arg);
	/* Redis forgot the scripts (scripts->is_loaded is false now): have them loaded,
	 * then poke. */
	void (*on_noscript)(void *arg);
	/* Call claim_poke() then. */
	void (*wake_at)(void *arg, int64_t at_ms);
};

struct claim_opts {
	struct redis_conn *conn; /* the writer */
	struct redis_scripts *scripts;
	const char *consumer; /* as identity_make() wrote it */
	int64_t lease_ms;
	uint64_t seed; /* of the jitter */
	const struct claim_ops *ops;
	void *arg;
};

struct claim;

/* What @opts points to is the caller's and outlives it. 0 or -ENOMEM. */
int claim_new(const struct claim_opts *opts, struct claim **ret);
void claim_free(struct claim *c); /* takes NULL; free the connection first */

/* Whose jobs are taken over from now on; at most FETCH_QUEUES_MAX. */
void claim_set_queues(struct claim *c, struct queue *const *queues, size_t count);

/* Look at the state and start what may start now. Idempotent. */
void claim_poke(struct claim *c);

/* The writer came up / was lost (also when it could not be made: called for each try). */
void claim_on_up(struct claim *c);
void claim_on_down(struct claim *c);

/* Start nothing (while the daemon drains, say). What is on its way may still bring jobs.
 */
void claim_pause(struct claim *c, bool is_paused);

/* Jobs may still come. */
bool claim_is_reading(const struct claim *c);

#endif
