/*
 * dispatch.h - jobs in flight: from fetch to a worker, from the worker to commit
 *
 * Here it is decided how much is fetched (the credit), what is refused without being
 * run, and when a job that waits in vain goes back to its queue. Every job that
 * comes in leaves through commit, with one outcome. Thread: the loop's.
 */
#ifndef CORE_DISPATCH_H
#define CORE_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/core/commit.h"
#include "daemon/core/loop.h"
#include "daemon/core/workers.h"
#include "daemon/queue/attempt.h"

struct dispatch_counts {
	uint64_t done;   /* results recorded, of whatever status */
	uint64_t failed; /* of these, not ok */
	uint64_t handed_back;
};

struct dispatch_opts {
	struct loop *loop;
	struct workers *workers;
	struct commit *commit;
	const char *name;             /* this daemon's, for results */
	void (*on_change)(void *arg); /* jobs came or went: credit, drain, status */
	void *arg;
};

struct dispatch;

int dispatch_new(
	const struct dispatch_opts *opts, struct config *config, struct dispatch **ret);
/* Frees every attempt it still has; the workers must be gone. */
void dispatch_free(struct dispatch *d);

/* New jobs are run by this configuration; those on their way keep theirs. */
void dispatch_set_config(struct dispatch *d, struct config *config);

/* From fetch: one job, and the end of one read (then workers get them). */
void dispatch_add(struct dispatch *d, struct queue *q, struct job *job);
void dispatch_flush(struct dispatch *d);

/* How many jobs may be fetched now. */
size_t dispatch_credit(const struct dispatch *d);

bool dispatch_is_known(
	const struct dispatch *d, const struct queue *q, const char *entry_id);

/* From commit. */
void dispatch_done(
	struct dispatch *d, struct attempt *a, enum finish_answer answer, int flags);

/* From now on nothing new is started: what waits, and what still comes in, goes back. */
void dispatch_drain(struct dispatch *d);

size_t dispatch_running_count(const struct dispatch *d); /* with workers, begun or not */
struct dispatch_counts dispatch_counts(const struct dispatch *d);

/* One line for each job in flight, and one for all (SIGUSR1). */
void dispatch_log_state(const struct dispatch *d);

#endif
