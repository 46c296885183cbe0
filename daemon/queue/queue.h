/*
 * queue.h - one queue as the daemon knows it: its name and its keys
 *
 * Queues are made by name and stay until the daemon ends, also when a reload drops
 * them: jobs that came from them are still on their way. Thread: the loop's; workers
 * read the name, which never changes.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "daemon/queue/tries.h"
#include "lib/base/backoff.h"
#include "lib/base/buf.h"

struct attempt;
TAILQ_HEAD(attempt_list, attempt);

/* How an attempt ends in Redis (finish.h); finished ones wait apart. */
enum finish_kind {
	FINISH_PLAIN,
	FINISH_SCRIPT,
	FINISH_RELEASE,
	FINISH_ASIDE,
	FINISH_RETRY,
	FINISH_KINDS
};

struct queue {
	LIST_ENTRY(queue) link;
	char *name;
	struct buf jobs_key;
	struct buf dead_key;
	struct buf ids_key;
	struct buf delayed_key;
	struct buf bodies_key;
	struct buf stats_key;
	struct buf control_key;
	struct buf state_stem;  /* "stint:{default}:state:", the job's id follows */
	struct buf result_stem; /* "stint:{default}:result:", the job's id follows */
	struct buf reply_stem;

	struct attempt *held; /* kept by flight.c: hash of those in flight, by entry id */
	bool is_paused;       /* kept by control.c: nothing is fetched */

	/* kept by aside.c: what was put aside, by handler */
	struct aside_pile *piles;

	/* kept by fetch.c */
	unsigned rank;        /* its place in the configuration */
	unsigned weight;      /* with weighted queues */
	int64_t virtual_time; /* likewise: what it has had of its share (order.h) */
	bool has_group;
	int64_t ask_at_ms; /* the group could not be made: not before this is it tried
			      again */
	struct backoff backoff;
	int64_t entry_bytes; /* moving average, to bound what one read may bring */

	/* kept by admit.c */
	struct attempt_list admits; /* that wait for their answer */
	struct tries admit_tries;

	size_t report_calls; /* kept by reports.c: of it, in the batch on its way */

	/* kept by commit.c: finished attempts that wait to be stored */
	struct attempt_list outbox[FINISH_KINDS];
	size_t outbox_count[FINISH_KINDS];
};

LIST_HEAD(queue_list, queue);

/* The queue of that name in @list, made when it is new; NULL: no memory. */
struct queue *queue_get(struct queue_list *list, const char *prefix, const char *name);

void queue_list_fini(struct queue_list *list);

#endif
