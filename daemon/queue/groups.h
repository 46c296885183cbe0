/*
 * groups.h - makes the consumer group of each queue that is read, and makes it again
 *
 * A group is made from the very beginning of its stream, so that jobs may be added before
 * any daemon has ever run. It may be gone at any time (FLUSHALL, DEL): then the next read
 * says so. Thread: the loop's.
 */
#ifndef QUEUE_GROUPS_H
#define QUEUE_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/queue.h"
#include "daemon/redis/conn.h"

enum { GROUPS_MAX = 64 }; /* asked for at once */

struct groups {
	struct redis_conn *conn;
	int64_t timeout_ms;
	/* All have answered, or (status < 0) the connection was lost. */
	void (*on_end)(void *arg, int status);
	void *arg;

	struct queue *asked[GROUPS_MAX];
	size_t asked_count;
};

void groups_init_queue(struct queue *q);

/* Ask for the groups that are missing and due, in one batch; false: there are none, and
 * nothing was sent. */
bool groups_ask(struct groups *g, struct queue *const *queues, size_t count);

/* When the next group that could not be made is tried again; STINT_NEVER. */
int64_t groups_due_at_ms(struct queue *const *queues, size_t count);

/* The groups of these queues are gone (or something else is in their place). */
void groups_lose(struct queue *const *queues, size_t count);

/* Nothing is known of this server: ask for all, at once. */
void groups_forget(struct queue *const *queues, size_t count);

#endif
