/*
 * lease.h - keeps the leases of all jobs in flight
 *
 * A job that is held is leased to its daemon: whoever has not renewed for the time of a
 * lease loses it to another one (claim.h). The lease is idle time in Redis' pending list;
 * here it counts by the monotonic clock from before the read or the renewal was sent, so
 * this daemon always thinks of it as shorter than it is.
 *
 * Every third of a lease all attempts in flight (buffered, running and those in the
 * outbox alike) are renewed: scripts/renew.lua for each LEASE_CALL_ENTRIES, all calls in
 * one batch, which is one round trip. Renewing neither counts as a delivery nor takes
 * what others hold. Messages for control.c are asked for in the same batch.
 *
 *	renewed ──▶ on its way ──▶ renewed
 *	   │             └───────▶ not ours any more: on_lost
 *	   └── 3/4 of the lease have passed without an answer: on_expiring
 *
 * With nothing in flight there is nothing to do. Thread: the loop's.
 */
#ifndef QUEUE_LEASE_H
#define QUEUE_LEASE_H

#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/attempt.h"
#include "daemon/redis/conn.h"
#include "daemon/redis/script.h"

enum { LEASE_CALL_ENTRIES = 256 };

struct lease_ops {
	/* All attempts in flight, linked by in_flight; where one is in it. The list is
	 * walked within one call of lease_poke() or one reply, never kept. */
	struct attempt_list *(*list)(void *arg);
	struct attempt *(*find)(void *arg, const struct queue *q, const char *entry_id);

	/* Redis says that it is somebody else's now (or deleted). Told once, and not for
	 * an attempt that has ended (ATTEMPT_ENDED): storing it finds out by itself. It
	 * is not renewed any more, nor told to be expiring. The callee may take this
	 * attempt, and no other, off the list and free it. */
	void (*on_lost)(void *arg, struct attempt *a);

	/* It may be somebody else's before long: whatever it runs must end now. Told once
	 * until a renewal gets through; not for an attempt that has ended. It is renewed
	 * as long as it is in flight. The callee may take this attempt, and no other, off
	 * the list and free it. */
	void (*on_expiring)(void *arg, struct attempt *a);

	/* control_write_read() and control_take_read(): at most one command. */
	size_t (*write_control)(void *arg, struct redis_batch *b);
	void (*take_control)(void *arg, const struct redis_reply *reply);

	/* Redis forgot the scripts (scripts->is_loaded is false now): have them loaded,
	 * then poke. */
	void (*on_noscript)(void *arg);
	/* Call lease_poke() then. */
	void (*wake_at)(void *arg, int64_t at_ms);
};

struct lease_opts {
	struct redis_conn *conn; /* the writer */
	struct redis_scripts *scripts;
	const char *consumer;
	int64_t lease_ms;
	const struct lease_ops *ops;
	void *arg;
};

struct lease;

/* What @opts points to is the caller's and outlives it. 0 or -ENOMEM. */
int lease_new(const struct lease_opts *opts, struct lease **ret);
void lease_free(struct lease *l); /* takes NULL; free the connection first */

/* Look at the state and start what may start now: renew what is due, tell what expires,
 * also while Redis is away. To be called when jobs have come, too. Idempotent; cheap. */
void lease_poke(struct lease *l);

/* The writer came up (all is renewed at once, as soon as scripts are loaded) / was lost.
 */
void lease_on_up(struct lease *l);
void lease_on_down(struct lease *l);

/* How long to wait for the answer to any request that jobs hang on: a connection that is
 * dead without a sign is noticed well within half a lease. */
int64_t lease_timeout_ms(int64_t lease_ms);

/* How long to wait at most before a lost connection is tried again: however often it was
 * lost before, a few tries fit in between a renewal that failed and the lease's end. */
int64_t lease_retry_max_ms(int64_t lease_ms);

/* How long after its beginning what runs under a lease must be gone: jobs are told at
 * three quarters of it (on_expiring), and this leaves an eighth to reap them. */
int64_t lease_hold_ms(int64_t lease_ms);

/* How long something has to end at least when it is told so late. */
int64_t lease_grace_ms(int64_t lease_ms);

/* So near its end that nothing is begun under it: its answer came late, or the daemon was
 * suspended. */
bool lease_is_over(int64_t leased_at_ms, int64_t lease_ms);

#endif
