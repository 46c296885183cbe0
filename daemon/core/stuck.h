/*
 * stuck.h - plugins that keep a worker's thread
 *
 * A plugin with `isolation: thread` cannot be killed. When it has not returned kill_grace
 * after its context has ended, its job gets its outcome here, without it; a fresh worker
 * takes the place of the one that is kept, and the thread is counted until the plugin
 * gives it back. What comes of it then is dropped.
 *
 *	          worker: attempt_enter()            attempt_leave()
 *	thread: NONE ─────────────────────▶ RUNS ─────────────────────▶ ENDED ─▶ dispatch
 *	                                     │ this
 *	                                     ▼
 *	                                  GIVEN_UP ─▶ flight;  later, from the worker:
 *	                                              stuck_return()
 *
 * A part of dispatch.c. Thread: the loop's.
 */
#ifndef CORE_STUCK_H
#define CORE_STUCK_H

#include <stddef.h>
#include "daemon/core/flight.h"
#include "daemon/core/loop.h"
#include "daemon/core/workers.h"

struct stuck_opts {
	struct loop *loop;
	struct workers *workers;
	struct flight *flight;
	/* The outcome is written: the job is not with a worker any more. */
	void (*on_given_up)(void *arg, struct attempt *a);
	void *arg;
};

struct stuck;

int stuck_new(const struct stuck_opts *opts, struct stuck **ret);
void stuck_free(struct stuck *s); /* takes NULL */

/* Workers have got jobs of plugins that run in threads. */
void stuck_watch(struct stuck *s);

/* A worker has brought an attempt that had been given up. */
void stuck_return(struct stuck *s, struct attempt *a);

/* Threads that are kept. */
size_t stuck_count(const struct stuck *s);

#endif
