/*
 * workers.h - the worker threads, and the two channels to and from them
 *
 *	loop ──▶ jobs channel ──▶ worker: handler_run() ──▶ outcomes channel ──▶ loop
 *
 * What a handler tells of its progress is left in its attempt (attempt_report()), and one
 * NULL in the outcomes channel says that some attempt has news.
 *
 * Exactly `concurrency` workers. An attempt belongs to the loop until it is pushed,
 * and again once it is collected or taken back. All calls are the loop thread's.
 */
#ifndef CORE_WORKERS_H
#define CORE_WORKERS_H

#include <stddef.h>
#include <stint/err.h>
#include "daemon/handler/zygote.h"
#include "daemon/queue/attempt.h"

struct workers;

/* @name: this daemon's, for the results; stays the caller's and outlives the workers. */
int workers_new(size_t concurrency, struct zygote *zygote, const char *name,
	struct workers **ret, struct stint_err *err);

/* Wait for every worker, free. Attempts still in the channels must have been collected.
 */
void workers_free(struct workers *w);

/* More at once, fewer as they become free. */
int workers_resize(struct workers *w, size_t concurrency, struct stint_err *err);

/* So many of them are kept by plugins (stuck.h): as many fresh ones take their place, or
 * leave again. 0 or -errno: there are fewer than wanted. */
int workers_set_stuck(struct workers *w, size_t stuck, struct stint_err *err);

/* In place of workers_free() while some are kept: wait for the others. The rest, and all
 * that it may touch, must be left as it is until the process ends. */
void workers_leave(struct workers *w);

/* The kept ones do not count. */
size_t workers_count(const struct workers *w);
size_t workers_busy(const struct workers *w);

/* Hand over up to @n attempts; returns how many there was room for. */
size_t workers_push(struct workers *w, struct attempt **attempts, size_t n);

/* Take back up to @n that no worker has begun; returns how many. */
size_t workers_take_back(struct workers *w, struct attempt **ret, size_t n);

/* Collect up to @n finished ones; returns how many. One of them may be NULL: some attempt
 * has news of its progress. It does not come again before workers_listen(). */
size_t workers_collect(struct workers *w, struct attempt **ret, size_t n);

/* The news are about to be looked at: those that come from now on are told again. */
void workers_listen(struct workers *w);

/* Readable while there is something to collect. */
int workers_fd(struct workers *w);

#endif
