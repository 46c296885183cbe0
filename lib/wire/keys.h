/*
 * keys.h - the names of all Redis keys, and the alphabets that names are made of
 *
 * Every key of a queue carries the queue's name in braces, so that all of them
 * live in one slot of a Redis Cluster: stint:{default}:jobs.
 */
#ifndef WIRE_KEYS_H
#define WIRE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include "lib/base/buf.h"

/* The consumer group on every jobs stream. */
#define KEYS_GROUP "stint"

/* The consumer that holds what was put aside for a handler: this and its name. */
#define KEYS_ASIDE "aside:"

enum {
	QUEUE_NAME_MAX = 64,
	JOB_ID_MAX = 128,
	REPLY_NAME_MAX = 128,
	PREFIX_MAX = 64,
};

/* Append "<prefix>:{<queue>}:<kind>" or, with a name, "...:<kind>:<name>". */
void keys_add(struct buf *b, const char *prefix, const char *queue, const char *kind);
void keys_add_named(struct buf *b, const char *prefix, const char *queue,
	const char *kind, const char *name, size_t name_len);

/* 1..64 of A-Za-z0-9_.- (queues, prefixes) / 1..128 of A-Za-z0-9_.:- (ids, reply names)
 */
bool keys_is_queue_name(const char *s, size_t n);
bool keys_is_job_id(const char *s, size_t n);

#endif
