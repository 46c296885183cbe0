/*
 * pending.h - what Redis says that this consumer holds, against what it knows of
 *
 * When a connection is lost while a read is under way, Redis may have handed out
 * entries that never arrived. They stand in the consumer's pending list, known to
 * nobody. After a reconnect the list is compared with the jobs in flight, and what
 * is missing here is read again, with XPENDING and XRANGE: XREADGROUP with an id
 * would raise the delivery count of everything in flight.
 */
#ifndef QUEUE_PENDING_H
#define QUEUE_PENDING_H

#include <stdbool.h>
#include "daemon/queue/queue.h"
#include "daemon/redis/conn.h"
#include "lib/wire/job.h"

enum { PENDING_PAGE = 500 };

struct pending_ops {
	bool (*is_known)(void *arg, const struct queue *q, const char *entry_id);
	/* Takes the job. @leased_at_ms: what its lease counts from. */
	void (*on_job)(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms);
	/* 0: all queues compared; else the connection was lost or an answer made no
	 * sense: start again later */
	void (*on_end)(void *arg, int status, size_t found);
};

struct pending {
	struct redis_conn *conn;
	const char *consumer;
	int64_t timeout_ms;
	const struct pending_ops *ops;
	void *arg;

	struct queue *queue;           /* being compared */
	char from[ENTRY_ID_BYTES + 1]; /* next page begins here: "-" or "(" and an id */
	bool is_last_page;
	int64_t asked_at_ms;
	int64_t leased_at_ms;         /* of what is not known on this page: the oldest */
	int deliveries[PENDING_PAGE]; /* of what is not known on this page, in order */
	size_t asked_count;
	size_t found;
};

/* Compare all queues of @list, one after the other; then on_end, always later. */
void pending_start(struct pending *p, const struct queue_list *list);

#endif
