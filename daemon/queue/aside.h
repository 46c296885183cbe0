/*
 * aside.h - jobs that were put aside because their handler is at its limit
 *
 * A job that cannot run yet must not keep those behind it from running, and a daemon
 * cannot hold all there are. So what is too much is put aside (scripts/aside.lua): the
 * entry stays where it is in the jobs stream, but its holder is the consumer "aside:"
 * and the handler's name, which is no daemon and has no lease. Each job is put aside
 * once, not again and again, and keeps its place: the oldest entry is the first to be
 * taken (scripts/take_aside.lua), by any daemon that has room for it.
 *
 * What this daemon puts aside it knows of; of the rest it hears by asking each queue's
 * group who holds something, every few seconds. What is known to be there, a pile, is
 * taken as fast as there is room. Thread: the loop's.
 */
#ifndef QUEUE_ASIDE_H
#define QUEUE_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/queue.h"
#include "daemon/redis/conn.h"
#include "daemon/redis/script.h"
#include "lib/wire/job.h"

/* What can be taken now. */
struct aside_room {
	size_t count;
	int64_t min_age_ms; /* only jobs that were added so long ago, or longer */
};

struct aside_ops {
	/* How many jobs of this queue and handler may be taken now. With 0, poke again
	 * when there is room. */
	struct aside_room (*room)(void *arg, const struct queue *q, const char *handler);
	/* Handlers have limits here: ask more often. */
	bool (*is_limited)(void *arg);
	bool (*is_known)(void *arg, const struct queue *q, const char *entry_id);
	/* A job that this daemon holds now, leased since @leased_at_ms. Takes the job. */
	void (*on_job)(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms);
	/* A reply is through, its jobs have all been given. */
	void (*on_read)(void *arg);
	/* A reply was lost (or there was no memory for a job): this consumer may hold
	 * entries that are not known here. Have the pending list compared. */
	void (*on_lost_reply)(void *arg);
	/* Redis forgot the scripts (scripts->is_loaded is false now): have them loaded,
	 * then poke. */
	void (*on_noscript)(void *arg);
	/* Call aside_poke() then. */
	void (*wake_at)(void *arg, int64_t at_ms);
};

struct aside_opts {
	struct redis_conn *conn; /* the writer */
	struct redis_scripts *scripts;
	struct queue_list *queues; /* all that there are */
	const char *consumer;
	int64_t lease_ms;
	const struct aside_ops *ops;
	void *arg;
};

struct aside;

/* What @opts points to is the caller's and outlives it. 0 or -ENOMEM. */
int aside_new(const struct aside_opts *opts, struct aside **ret);
void aside_free(struct aside *as); /* takes NULL; free the connection first */

/* A job of @q was, or is going to be, put aside for @handler. Poke afterwards. */
void aside_note(struct queue *q, const char *handler);

/* Is there anything in that pile, as far as is known? Then newer jobs belong there, too.
 */
bool aside_has(const struct queue *q, const char *handler);

/* Look at the state and start what may start now. Idempotent. */
void aside_poke(struct aside *as);

/* Ask at once what there is: limits or queues have changed. */
void aside_look(struct aside *as);

/* The writer came up. */
void aside_on_up(struct aside *as);

/* Jobs may still come. */
bool aside_is_reading(const struct aside *as);

/* How many jobs are put aside, in all queues, as far as is known. */
size_t aside_count(const struct aside *as);

/* One line for each pile (SIGUSR1). */
void aside_log(const struct aside *as);

#endif
