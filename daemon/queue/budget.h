/*
 * budget.h - how many entries one read asks for, so that its reply stays small
 *
 * A reply is in memory as a whole. Payloads may be of any size, so the number of entries
 * is bounded by what they weighed lately, queue by queue.
 */
#ifndef QUEUE_BUDGET_H
#define QUEUE_BUDGET_H

#include <stddef.h>
#include "daemon/queue/queue.h"
#include "daemon/redis/conn.h"

/* A first guess for a queue of which nothing has come yet; keeps a later average. */
void budget_init(struct queue *q);

/* One entry [id, [field, value, ...]] has come. */
void budget_count_entry(struct queue *q, const struct redis_reply *entry);

/* COUNT for a read of @count queues: at most @credit jobs in all, at least one. */
size_t budget_entries(struct queue *const *queues, size_t count, size_t credit);

#endif
