/*
 * admit.h - asks Redis whether a job that was read may run now
 *
 * A job that brings its own id may be a duplicate of one that is queued, delayed or
 * running somewhere, or whose result is kept; a job with `delay` or `at` may not be due.
 * Both are asked with one script (scripts/admit.lua), in batches of one queue, one batch
 * at a time. Jobs without either, and copies that a daemon wrote, need not ask.
 *
 *	if (admit_is_needed(a->job))
 *		admit_add(admit, a);            and, when the reply is through,
 *	admit_poke(admit);
 *
 * An attempt that was added is admit.c's until on_admitted; it comes back when its lease
 * is lost, too (ADMIT_LOST), so nobody needs to take it away. While it waits it may be
 * renewed like any other. It must not be handed back to its queue before it was admitted:
 * a copy is never asked for again. Thread: the loop's.
 */
#ifndef QUEUE_ADMIT_H
#define QUEUE_ADMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/attempt.h"
#include "daemon/redis/conn.h"
#include "daemon/redis/script.h"

enum admit_answer {
	ADMIT_RUN,       /* goes on */
	ADMIT_DUPLICATE, /* was dropped and counted in Redis: nothing is left to do */
	ADMIT_DELAYED,   /* waits in the delayed set now: likewise */
	ADMIT_LOST,      /* not held by this daemon any more: likewise */
};

struct admit_ops {
	/* The attempt is the callee's again (and it may be freed); it is in no list. */
	void (*on_admitted)(void *arg, struct attempt *a, enum admit_answer answer);
	/* All answers of one batch were given: what may run can be sent off. */
	void (*on_batch)(void *arg);
	/* When the next delayed job of @q is due (for delayed_note_due()). */
	void (*on_due)(void *arg, struct queue *q, int64_t in_ms);
	/* Redis forgot the scripts (scripts->is_loaded is false now): have them loaded,
	 * then poke. */
	void (*on_noscript)(void *arg);
	/* Call admit_poke() then. */
	void (*wake_at)(void *arg, int64_t at_ms);
};

struct admit_opts {
	struct redis_conn *conn; /* the writer */
	struct redis_scripts *scripts;
	struct queue_list *queues; /* all that there are */
	const char *consumer;
	int64_t lease_ms;
	const struct admit_ops *ops;
	void *arg;
};

struct admit;

/* What @opts points to is the caller's and outlives it. 0 or -ENOMEM. */
int admit_new(const struct admit_opts *opts, struct admit **ret);
/* What still waits remains the dispatcher's, which frees it. Free the connection first.
 * Takes NULL. */
void admit_free(struct admit *ad);

/* Does this job have to ask? */
bool admit_is_needed(const struct job *job);

/* Take an attempt, in no list by its `link`; it is asked for with the next poke. */
void admit_add(struct admit *ad, struct attempt *a);

/* Look at the state and start what may start now. Idempotent. */
void admit_poke(struct admit *ad);

/* The writer came up. */
void admit_on_up(struct admit *ad);

/* Attempts that wait for their answer. */
size_t admit_pending_count(const struct admit *ad);

#endif
