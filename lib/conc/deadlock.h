/*
 * deadlock.h - who sleeps and what for, while deadlocks are watched
 *
 * Groups and tasks are the nodes of a tree: a task is below the group, or the task,
 * that started it, a group below the task that made it. Each task says when it falls
 * asleep (ctx_park() does it for all who wait). The one who waits for the end of a
 * node looks from time to time whether all below it sleep.
 */
#ifndef CONC_DEADLOCK_H
#define CONC_DEADLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "lib/conc/track.h"
#include "lib/conc/waiter.h"

struct sleeper;

/* A group or a task. */
struct watched {
	const struct track *track;
	bool is_task;
	bool is_listed;
	/* under the lock of deadlock.c, if listed */
	struct watched *above;   /* NULL: none that is listed */
	struct sleeper *sleeper; /* of a task; NULL while it runs */
	TAILQ_ENTRY(watched) in_list;
};

/* What somebody sleeps on. */
struct sleep_on {
	/* Puts it in words, "recv on channel made at x.c:12 (0 of 4)". The sleeper
	 * calls it before it sleeps, with no lock held. */
	void (*describe)(const struct sleep_on *on, char *text, size_t size);
	const void *what;
	size_t count;                /* of what; describe's own business */
	const struct watched *below; /* whose end is waited for; NULL: something else */
};

extern _Atomic bool deadlock_is_on;

static inline bool
deadlock_is_watched(void)
{
	/* Relaxed: a switch, nothing is read on the strength of it. */
	return atomic_load_explicit(&deadlock_is_on, memory_order_relaxed);
}

/* Only while deadlocks are watched it is listed. @above may be NULL. Thread: any. */
void watched_add(struct watched *w, const struct track *track, bool is_task,
	struct watched *above);

/* What was below @w is below what it was below. Harmless when it is not listed. */
void watched_remove(struct watched *w);

/* The task that the calling thread runs, listed or not; NULL: none. */
struct watched *watched_current(void);
void watched_set_current(struct watched *task);

/* As waiter_park(), and say so; with @on->below, look for a deadlock meanwhile. */
bool deadlock_park(struct waiter *w, int64_t until_ms, const struct sleep_on *on);

#endif
