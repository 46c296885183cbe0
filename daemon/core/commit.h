/*
 * commit.h - stores finished attempts: the outbox and its group commit
 *
 * Every finished attempt waits in the outbox of its queue until Redis has answered.
 * Batches are of one queue and kind (finish.h). One that arrives while nothing is on
 * its way leaves at once, so that latency at low load is one round trip; while a
 * batch is on its way the rest gathers, and as soon as enough has gathered a second
 * one follows, so that Redis always has the next batch at hand.
 *
 * A batch whose outcome is unknown (the connection was lost) goes back to the outbox
 * and is sent again: repeating it changes nothing. Thread: the loop's.
 */
#ifndef CORE_COMMIT_H
#define CORE_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include "daemon/queue/attempt.h"
#include "daemon/queue/finish.h"
#include "daemon/redis/conn.h"

struct commit_ops {
	/* Redis has answered for this attempt; it is the callee's again. */
	void (*on_done)(
		void *arg, struct attempt *a, enum finish_answer answer, int flags);
	/* A retry was stored: when the queue's next job is due, in ms from now. */
	void (*on_due)(void *arg, struct queue *q, int64_t in_ms);
	/* Something changed that others may have waited for: room in the outbox, storing
	 * is possible again, all is stored. */
	void (*on_settled)(void *arg);
	/* Call commit_poke() then. */
	void (*wake_at)(void *arg, int64_t at_ms);
};

struct commit;

/* What it points to is the caller's and outlives it. The scripts are loaded here, for
 * everybody who calls scripts on this connection. */
struct commit_opts {
	struct redis_conn *conn;
	struct redis_scripts *scripts;
	const char *consumer;
	struct queue_list *queues;
	int64_t lease_ms;
	const struct commit_ops *ops;
	void *arg;
};

int commit_new(const struct commit_opts *opts, struct commit **ret); /* 0 or -ENOMEM */
/* What is still in the outbox remains the dispatcher's, which frees it. */
void commit_free(struct commit *c);

void commit_on_up(struct commit *c);
void commit_on_down(struct commit *c);

/* Take a finished attempt: its outcome (and, unless it is handed back, its result) is
 * written. It leaves with the next commit_poke(). */
void commit_add(struct commit *c, struct attempt *a);
void commit_poke(struct commit *c);

/* May more jobs be fetched: can their results be stored? */
bool commit_is_open(const struct commit *c);

/* Attempts that are not stored yet. */
size_t commit_pending_count(const struct commit *c);

/* Scripts are loaded: commands can be sent. */
bool commit_is_ready(const struct commit *c);

/* Take the consumer off its groups, where it holds nothing; @done is called later. */
void commit_leave(struct commit *c, void (*done)(void *arg), void *arg);

#endif
