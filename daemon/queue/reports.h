/*
 * reports.h - writes what running jobs tell of their progress into their state
 *
 *	worker: attempt->news ──▶ attempt->progress ──▶ scripts/report.lua
 *	        only the newest    a few times a second,
 *	                           all jobs in one round trip
 *
 * Nothing depends on it: what cannot be written is tried again, with what is newest then,
 * and given up when the job ends. Only while this daemon holds the job is it written, and
 * whoever ends the job takes it away (finish.h). Thread: the loop's.
 */
#ifndef QUEUE_REPORTS_H
#define QUEUE_REPORTS_H

#include <stdint.h>
#include "daemon/queue/attempt.h"
#include "daemon/redis/conn.h"
#include "daemon/redis/script.h"

/* Between two batches, so of a job, too. */
enum { REPORTS_EVERY_MS = 250 };

struct reports_ops {
	/* Attempts are about to be looked at: news that come later are to be told. */
	void (*listen)(void *arg);
	/* Redis forgot the scripts (scripts->is_loaded is false now): have them loaded,
	 * then poke. */
	void (*on_noscript)(void *arg);
	/* Call reports_poke() then. */
	void (*wake_at)(void *arg, int64_t at_ms);
};

struct reports_opts {
	struct redis_conn *conn; /* the writer: what ends a job must come behind it */
	struct redis_scripts *scripts;
	const char *consumer;
	struct queue_list *queues;
	int64_t lease_ms;
	const struct reports_ops *ops;
	void *arg;
};

struct reports;

/* What @opts points to is the caller's and outlives it. 0 or -ENOMEM. */
int reports_new(const struct reports_opts *opts, struct reports **ret);
void reports_free(struct reports *r); /* takes NULL; free the connection first */

/* Some attempt has news. */
void reports_note(struct reports *r);

/* Write what may be written now. Idempotent; cheap while there are no news. */
void reports_poke(struct reports *r);

/* The writer came up. */
void reports_on_up(struct reports *r);

#endif
