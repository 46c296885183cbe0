/*
 * drain.h - the order of stopping
 *
 *	RUNNING ──begin──▶ WAITING ──shutdown_timeout, hurry──▶ CANCELLED
 *	                      │ all have ended                     │ all have ended
 *	                      └───────────────▶ STORING ◀──────────┘
 *	                                           │ all stored, or given up: exit 69
 *	                                           ▼
 *	                                        LEAVING ──▶ done
 *
 * Jobs that no worker has begun go back to their queue at the very beginning. Those
 * that are cut short go back, too. Thread: the loop's.
 */
#ifndef CORE_DRAIN_H
#define CORE_DRAIN_H

#include <stdbool.h>
#include "daemon/core/commit.h"
#include "daemon/core/dispatch.h"
#include "daemon/core/loop.h"

enum drain_state {
	DRAIN_RUNNING,
	DRAIN_WAITING,
	DRAIN_CANCELLED,
	DRAIN_STORING,
	DRAIN_LEAVING,
	DRAIN_DONE,
};

struct drain_ops {
	/* Take no more jobs, from anywhere, and hand back what no worker has begun. */
	void (*quiesce)(void *arg);
	/* Jobs may still come in, or are being looked at. */
	bool (*is_taking)(void *arg);
	/* Nothing is held any more, as far as can be known. */
	bool (*is_settled)(void *arg);
	void (*unblock)(void *arg); /* end the read that blocks, if one does */
	void (*on_done)(void *arg, bool all_stored);
};

struct drain {
	struct loop *loop;
	struct dispatch *dispatch;
	struct commit *commit;
	const struct drain_ops *ops;
	void *arg;

	enum drain_state state;
	int64_t timeout_ms;
	int64_t until_ms; /* WAITING, STORING: at the latest */
	bool is_sure; /* LEAVING, DONE: nothing was held any more, as far as it knew */
	struct loop_timer timer;
};

/* The members above `state` are set by the caller. */
void drain_init(struct drain *d);

/* Begin to stop. @timeout_ms: how long running jobs may go on, and, after that, how
 * long results may wait for a Redis that is away. */
void drain_begin(struct drain *d, int64_t timeout_ms);

/* Skip what the drain is waiting for: first the running jobs, then Redis. */
void drain_hurry(struct drain *d);

/* Something has changed: go on if possible. Idempotent. */
void drain_poke(struct drain *d);

void drain_fini(struct drain *d);

#endif
