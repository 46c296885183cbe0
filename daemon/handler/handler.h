/*
 * handler.h - runs one attempt at a job, in a worker's thread
 *
 * Each worker owns a slot: what it keeps between jobs (its keeper process, and the
 * processes of its `worker` handlers, each under a keeper of its own). A run takes as
 * long as the handler does; the context bounds it. Whatever happens, the outcome is
 * filled, everything that a command started is gone, and the slot is fit for the next
 * job. What a `worker` process starts lives at most as long as that does.
 */
#ifndef HANDLER_HANDLER_H
#define HANDLER_HANDLER_H

#include <stint/ctx.h>
#include <stint/err.h>
#include "daemon/config/config.h"
#include "lib/wire/job.h"
#include "lib/wire/outcome.h"
#include "lib/wire/progress.h"

/* The process from which all others are forked; see zygote.h. */
struct zygote;
struct handler_slot;

/* What a handler is told about the attempt, beside the job. */
struct handler_call {
	struct config *config; /* that conf is of; the caller's reference */
	const struct handler_conf *conf;
	const struct job *job;
	const char *queue;
	int64_t budget_ms; /* the time it has been given, for the message when it is up */
	int64_t deadline_unix_ms; /* when @ctx ends; 0: never */
	/* What was asked to end must be gone when so much time has passed since then,
	 * also if kill_grace goes on: somebody else may run the job soon. Written by the
	 * loop; NULL: no such bound. Where it is late already, there is still some grace.
	 */
	const _Atomic int64_t *leased_at_ms;
	int64_t lease_hold_ms;
	int64_t lease_grace_ms;
	/* Called in the thread of handler_run(), as often as the handler tells how far it
	 * is: with the last it told. NULL: nobody asks. */
	void (*on_progress)(void *arg, const struct progress *progress);
	void *arg;
};

/* Causes of an end that is not the job's fault: what fails after its context ended
 * with one of them is handed back instead of failed. */
#define HANDLER_CAUSE_SHUTDOWN (-ESHUTDOWN)   /* the daemon is shutting down */
#define HANDLER_CAUSE_LEASE    (-EKEYEXPIRED) /* somebody else may run it soon */

/* 0 or -ENOMEM. The keeper process is forked by the first job that needs it. */
int handler_slot_new(struct zygote *zygote, struct handler_slot **ret_slot);

/* Ends all processes of the slot; those of `worker` handlers may finish for their
 * kill_grace, and that is how long it may block. Takes NULL. */
void handler_slot_free(struct handler_slot *slot);

/**
 * handler_run() - one attempt
 * @ctx: ends with the attempt's time-out or deadline (-ETIMEDOUT), or by cancel;
 *       then the handler is asked to stop, and killed after kill_grace
 * @out: initialised by the caller; status, output, error, stderr, exit are filled
 *
 * Blocks: until the handler and all it started are gone. Never fails: what goes
 * wrong is the outcome.
 */
void handler_run(struct stint_ctx *ctx, struct handler_slot *slot,
	const struct handler_call *call, struct outcome *out);

#endif
