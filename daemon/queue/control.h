/*
 * control.h - cancel, pause and resume, as they stand in the control streams
 *
 *	XADD stint:{default}:control * command cancel id <id>
 *	XADD stint:{default}:control * command pause         (or resume)
 *
 * The streams of all queues are read on a connection of their own, with one read that
 * blocks, from the beginning: so a daemon that starts later knows all that was said
 * before. Of pause and resume the last counts. Cancels are remembered (cancels.h) and
 * apply to jobs that were submitted not after them, both by Redis' clock:
 *
 *	in flight here             on_cancel: the caller looks, and again when a job comes
 *	                           (control_is_cancelled())
 *	waiting                    it is pulled out of the stream and given to on_job
 *	waiting, id of its own,
 *	and read by nobody yet     found when its turn comes
 *	delayed                    made due now: then it waits like any other
 *
 * A stream that is missing is an empty one. One that cannot be read (it is no stream, or
 * the ACL says no) is told once and asked again from time to time; its queue works
 * without. When a stream has begun anew (FLUSHALL, a failover), so does the reading.
 * Entries of no use any more are removed after a day (scripts/tidy.lua).
 * Thread: the loop's.
 */
#ifndef QUEUE_CONTROL_H
#define QUEUE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/queue.h"
#include "daemon/redis/conn.h"
#include "daemon/redis/script.h"
#include "lib/wire/job.h"

struct control_ops {
	/* Jobs of @q with this id, submitted at @unix_ms or before, are to end as
	 * cancelled. Also called for cancels from long ago, and more than once. @id is
	 * terminated and valid during the call. */
	void (*on_cancel)(void *arg, struct queue *q, const char *id, int64_t unix_ms);
	/* q->is_paused has changed. */
	void (*on_pause)(void *arg, struct queue *q, bool is_paused);
	/* control_is_ready() has turned true for @q: fetch from it. */
	void (*on_ready)(void *arg, struct queue *q);
	/* A cancelled job that waited and was pulled out; it is held by this daemon now,
	 * leased since @leased_at_ms. Takes the job, which goes the way of any job that
	 * was read. It may be known here already (a read brought it at the same time).
	 */
	void (*on_job)(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms);
	/* A reply was lost that may have told of such a job: this consumer may hold
	 * entries that are not known here. Have the pending list compared. */
	void (*on_lost_reply)(void *arg);
	/* Delayed jobs of @q were made due now (for delayed_note_due()). */
	void (*on_due)(void *arg, struct queue *q);
	/* Redis forgot the scripts (scripts->is_loaded is false now): have them loaded,
	 * then poke. */
	void (*on_noscript)(void *arg);
	/* Call control_poke() then. */
	void (*wake_at)(void *arg, int64_t at_ms);
};

struct control_opts {
	struct redis_conn *conn;   /* its own: reads block on it */
	struct redis_conn *writer; /* for what a cancel does to queued jobs */
	struct redis_scripts *scripts;
	const char *consumer;
	int64_t lease_ms;
	const struct control_ops *ops;
	void *arg;
};

struct control;

/* What @opts points to is the caller's and outlives it. 0 or -ENOMEM. */
int control_new(const struct control_opts *opts, struct control **ret);
void control_free(struct control *c); /* takes NULL; free the connections first */

/**
 * control_set_queues() - whose streams are read from now on
 *
 * At most FETCH_QUEUES_MAX. A new queue is not ready until its stream was read to the
 * end; a queue that is dropped is forgotten, with its cancels, and not paused any more.
 * The read that blocks is ended for a new queue (CLIENT UNBLOCK, or when its time is
 * over). Return: 0; -ENOMEM, then nothing has changed.
 */
int control_set_queues(struct control *c, struct queue *const *queues, size_t count);

/* Were all messages for @q read once, so that jobs may be fetched? */
bool control_is_ready(const struct control *c, const struct queue *q);

/* Was a job of @q with this id, submitted then, cancelled? */
bool control_is_cancelled(const struct control *c, const struct queue *q, struct bytes id,
	int64_t submitted_unix_ms);

/* A job was put off or handed back. If it was cancelled in the meantime (when it was
 * neither waiting nor delayed, so that the cancel found nothing), the cancel is applied
 * once more. */
void control_recall(struct control *c, const struct queue *q, struct bytes id);

/* May a job still come that was pulled out of its queue? */
bool control_is_pulling(const struct control *c);

/* Look at the state and start what may start now. Idempotent. */
void control_poke(struct control *c);

/* The control connection came up. (For the writer a poke will do.) */
void control_on_up(struct control *c);

/* Stop tidying and pulling jobs, while the daemon drains; running jobs can still be
 * cancelled. */
void control_pause(struct control *c, bool is_paused);

/**
 * control_write_read() - ask for messages in somebody else's batch (a renewal)
 *
 * Should the control connection be lost without a sign, a message is at most one renewal
 * late. Return: commands written, 0 or 1; the replies go to control_take_read().
 */
size_t control_write_read(struct control *c, struct redis_batch *b);
void control_take_read(struct control *c, const struct redis_reply *reply);

#endif
