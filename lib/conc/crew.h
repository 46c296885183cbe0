/*
 * crew.h - threads that are used again: each work gets one of its own at once
 *
 * A work never waits for a thread, for others may wait for what it does: either an idle
 * thread is promised to it, or it gets a new one.
 */
#ifndef CONC_CREW_H
#define CONC_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include "lib/conc/cond.h"

struct crew;

struct crew_work {
	const char *name;  /* of the thread meanwhile; at most 15 bytes */
	struct crew *crew; /* the crew's, as is the next field */
	STAILQ_ENTRY(crew_work) next;
};

/* Does the work, and may free it. */
typedef void (*crew_fn)(struct crew_work *work);

struct crew {
	crew_fn fn;

	pthread_mutex_t lock;
	STAILQ_HEAD(crew_works, crew_work) waiting; /* each has an idle thread promised */
	size_t thread_count, idle_count;
	bool has_looker; /* an idle thread is awake still */
	bool is_quick;   /* works end about as fast as they come */
	bool is_closed;  /* idle threads shall leave */
	struct cond work, threads_gone;
	pthread_t left; /* to be joined, if has_left */
	bool has_left;
};

void crew_init(struct crew *crew, crew_fn fn);

/* Return: 0; -EAGAIN no more threads, and the work is still the caller's. Thread: any. */
int crew_start(struct crew *crew, struct crew_work *work);

/* All works have ended, and none will come: wait until all threads have ended, too.
 * Thread: the owner. */
void crew_close(struct crew *crew);

/* After crew_close(). */
void crew_fini(struct crew *crew);

#endif
