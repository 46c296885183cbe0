/*
 * fetch.h - reads new jobs as a consumer of each queue's group
 *
 * One read is on its way at a time. With one queue it is always a blocking read.
 * With several, the queues are read one by one without blocking, from the highest
 * priority down (with weights: whoever is furthest behind its share first), because a
 * blocking read over several streams does not keep their order; only when all are empty,
 * one read blocks on all of them.
 *
 * Before the first read of a queue its consumer group is made, and again whenever
 * Redis says that it is gone (FLUSHALL). Each minute, and after a lost read, what
 * Redis says that we hold is compared with what is known here (pending.h). Thread: the
 * loop's.
 */
#ifndef QUEUE_FETCH_H
#define QUEUE_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/queue.h"
#include "daemon/redis/conn.h"
#include "lib/wire/job.h"

enum { FETCH_QUEUES_MAX = 64 };

struct fetch_ops {
	/* How many jobs may be read now. */
	size_t (*credit)(void *arg);
	bool (*is_known)(void *arg, const struct queue *q, const char *entry_id);
	/* Paused, or not looked into yet: no. */
	bool (*may_read)(void *arg, const struct queue *q);
	/* Takes the job. @leased_at_ms: what its lease counts from. */
	void (*on_job)(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms);
	/* The jobs of one reply have all been given; the next read follows. */
	void (*on_read)(void *arg);
	/* The groups have been asked for: jobs can come. Called once per connection. */
	void (*on_ready)(void *arg);
	/* Call fetch_poke() then. */
	void (*wake_at)(void *arg, int64_t at_ms);
};

struct fetch;

/* @consumer and @ops stay the caller's and outlive it. 0 or -ENOMEM. */
int fetch_new(struct redis_conn *conn, const char *consumer, int64_t lease_ms,
	struct queue_list *all, const struct fetch_ops *ops, void *arg,
	struct fetch **ret);
void fetch_free(struct fetch *f);

/* What is read from now on; queues that were made with queue_get(). */
void fetch_set_queues(
	struct fetch *f, struct queue *const *queues, size_t count, bool is_weighted);

/* Look at the state and start what may start now. Idempotent. */
void fetch_poke(struct fetch *f);

/* The connection came up / was lost. */
void fetch_on_up(struct fetch *f);
void fetch_on_down(struct fetch *f);

/* may_read() answers otherwise than before: ask anew for the next read. */
void fetch_refresh(struct fetch *f);

/* The answer to something that may have given us jobs was lost: compare what Redis says
 * that we hold with what is known here, before the next read and once more after it. */
void fetch_compare(struct fetch *f);

/* No new reads. One that is on its way may still bring jobs. */
void fetch_pause(struct fetch *f, bool is_paused);

/* Jobs may still come: a read, or the comparison after a lost one, is on its way. */
bool fetch_is_reading(const struct fetch *f);
/* Entries may be held that are not known here: a read is on its way, or was lost. */
bool fetch_is_unsure(const struct fetch *f);
/* Something was asked, and no word came for longer than its time-outs allow, on a
 * connection that counts as good: something here is stuck. */
bool fetch_is_overdue(const struct fetch *f);
bool fetch_is_blocked(const struct fetch *f); /* CLIENT UNBLOCK would end it */
bool fetch_should_end(const struct fetch *f); /* and it is not what is wanted now */

#endif
