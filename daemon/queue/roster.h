/*
 * roster.h - which consumers of the groups are gone
 *
 * Asks for the consumers of some queues. Those that hold nothing and are gone, or were
 * idle for an hour, are taken off their group (scripts/leave.lua looks and removes in one
 * step: XGROUP DELCONSUMER alone drops what a consumer holds). An idle one that lives
 * after all comes back with its next read. Those that are gone and hold entries are
 * listed, for claim.c. Thread: the loop's.
 */
#ifndef QUEUE_ROSTER_H
#define QUEUE_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "daemon/queue/fetch.h"
#include "daemon/queue/queue.h"
#include "daemon/redis/conn.h"
#include "daemon/redis/script.h"

/* A consumer that is gone and holds entries. */
struct gone {
	TAILQ_ENTRY(gone) link;
	struct queue *queue;
	size_t found; /* entries that were taken over from it */
	char name[];
};

struct roster {
	struct redis_conn *conn;
	const struct redis_scripts *scripts; /* loaded when it is started */
	const char *consumer;                /* as identity_make() wrote it */
	int64_t timeout_ms;
	/* 0: all is known; @fault: an error that is not of one queue (NOSCRIPT,
	 * READONLY), or NULL. Else the batch was lost: start again later. */
	void (*on_end)(void *arg, int status, const struct redis_reply *fault);
	void *arg;

	TAILQ_HEAD(, gone) gone; /* empty before the first start */
	struct queue *queues[FETCH_QUEUES_MAX];
	size_t count;
	bool is_faulty; /* told once */
};

/* Ask for the consumers of r->queues; then on_end, always later. Forgets whom it listed
 * before. */
void roster_start(struct roster *r);

/* Take one off the list and free it. */
void roster_forget(struct roster *r, struct gone *g);
void roster_fini(struct roster *r);

#endif
