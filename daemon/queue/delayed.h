/*
 * delayed.h - puts delayed jobs back into their queues when they are due
 *
 * For each queue there is a time: when the next delayed job is due, as Redis told with
 * its own clock (scripts/due.lua), counted from the answer on ours. Then the jobs that
 * are due move in batches (scripts/promote.lua), one batch at a time over all queues, so
 * that none waits for the others' crowds. There is no polling: a queue is asked when its
 * time has come, when the connection comes up, and once in each lease, because the daemon
 * that knew of an earlier job may have died. So a million delayed jobs cost as much as
 * one. Every daemon does this; a job moves once. Thread: the loop's.
 */
#ifndef QUEUE_DELAYED_H
#define QUEUE_DELAYED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/queue.h"
#include "daemon/redis/conn.h"
#include "daemon/redis/script.h"

struct delayed_ops {
	/* Redis forgot the scripts (scripts->is_loaded is false now): have them loaded,
	 * then poke. */
	void (*on_noscript)(void *arg);
	/* Call delayed_poke() then. */
	void (*wake_at)(void *arg, int64_t at_ms);
};

struct delayed_opts {
	struct redis_conn *conn; /* the writer */
	struct redis_scripts *scripts;
	int64_t lease_ms;
	uint64_t seed; /* of the jitter */
	const struct delayed_ops *ops;
	void *arg;
};

struct delayed;

/* What @opts points to is the caller's and outlives it. 0 or -ENOMEM. */
int delayed_new(const struct delayed_opts *opts, struct delayed **ret);
void delayed_free(struct delayed *d); /* takes NULL; free the connection first */

/* Whose jobs are looked after from now on, at most FETCH_QUEUES_MAX; new ones are asked
 * with the next poke. */
void delayed_set_queues(struct delayed *d, struct queue *const *queues, size_t count);

/* A delayed job of @q is due in @in_ms (0: now; -1: there is none, which changes
 * nothing). Of all that was told the earliest counts. Poke afterwards. */
void delayed_note_due(struct delayed *d, const struct queue *q, int64_t in_ms);

/* Look at the state and start what may start now. Idempotent. */
void delayed_poke(struct delayed *d);

/* The writer came up: all queues are asked. */
void delayed_on_up(struct delayed *d);

/* While the daemon drains nothing is moved: the others do that. */
void delayed_pause(struct delayed *d, bool is_paused);

#endif
