/*
 * track.c - the list of what is alive, and the leak check that reads it
 *
 * Off, it is one relaxed load for each maker: a job makes and frees contexts by the
 * hundred thousand a second. On, it is a list under one lock, which is for tests.
 *
 * Watching has no end, and a watch only moves the mark up to which things are taken
 * for granted: so a test can watch for itself while the whole program is watched by
 * STINT_DEBUG=leaks, whose mark is the beginning.
 *
 * Lock order: the lock of the list is a leaf; nothing else is locked under it.
 */
#include "lib/conc/track.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/leak.h>
#include <time.h>
#include <unistd.h>
#include "lib/conc/debug.h"

enum { NS_PER_MS = 1000000, LONGEST_NAP_MS = 64 };

TAILQ_HEAD(track_list, track);

/* Relaxed everywhere: who turns it on has no claim on what others make meanwhile. */
static _Atomic bool is_watching;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct track_list alive = TAILQ_HEAD_INITIALIZER(alive); /* oldest first */
static uint64_t made_count;    /* the number of the youngest, ever */
static uint64_t granted_count; /* made before the last watch */

static void
track_list_it(struct track *t)
{
	pthread_mutex_lock(&lock);
	t->is_listed = true;
	t->number = ++made_count;
	TAILQ_INSERT_TAIL(&alive, t, in_list);
	pthread_mutex_unlock(&lock);
}

void
track_add(struct track *t, const char *kind, const char *name, const char *where)
{
	t->kind = kind;
	t->name = name;
	t->where = where;
	t->is_listed = false;
	if (atomic_load_explicit(&is_watching, memory_order_relaxed) && where)
		track_list_it(t);
}

void
track_remove(struct track *t)
{
	if (!t->is_listed)
		return;
	pthread_mutex_lock(&lock);
	TAILQ_REMOVE(&alive, t, in_list);
	pthread_mutex_unlock(&lock);
}

const char *
track_text(const struct track *t, char text[TRACK_TEXT_BYTES])
{
	snprintf(text, TRACK_TEXT_BYTES, "%s%s%s%s%s%s", t->kind, t->name ? " \"" : "",
		t->name ? t->name : "", t->name ? "\"" : "", t->where ? " made at " : "",
		t->where ? t->where : "");
	return text;
}

void
track_tell(const struct track *t, const char *what)
{
	char text[TRACK_TEXT_BYTES];

	track_tell_text(track_text(t, text), what);
}

void
track_tell_text(const char *text, const char *what)
{
	fprintf(stderr, "stint: %s: %s\n", text, what);
}

/* How many of those with a higher number than @after are alive; all told to @out. */
static size_t
leak_count(uint64_t after, FILE *out)
{
	char text[TRACK_TEXT_BYTES];
	const struct track *t;
	size_t count = 0;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH_REVERSE(t, &alive, track_list, in_list)
	{
		if (t->number <= after)
			break;
		count++;
	}
	if (out && count > 0)
		TAILQ_FOREACH (t, &alive, in_list)
			if (t->number > after)
				fprintf(out, "leak: %s\n", track_text(t, text));
	pthread_mutex_unlock(&lock);
	return count;
}

/* Wait for what is about to go, in naps that get longer, then tell of the rest. */
static size_t
leak_check(uint64_t after, FILE *out)
{
	long nap_ms = 1, slept_ms = 0;

	while (slept_ms < STINT_LEAK_PATIENCE_MS && leak_count(after, NULL) > 0) {
		struct timespec nap = {.tv_nsec = nap_ms * NS_PER_MS};

		nanosleep(&nap, NULL);
		slept_ms += nap_ms;
		if (nap_ms < LONGEST_NAP_MS)
			nap_ms *= 2;
	}
	return leak_count(after, out);
}

void
stint_leak_watch(void)
{
	pthread_mutex_lock(&lock);
	granted_count = made_count;
	pthread_mutex_unlock(&lock);
	atomic_store_explicit(&is_watching, true, memory_order_relaxed);
}

size_t
stint_leak_check(FILE *out)
{
	uint64_t after;

	pthread_mutex_lock(&lock);
	after = granted_count;
	pthread_mutex_unlock(&lock);
	return leak_check(after, out);
}

/* ---- STINT_DEBUG=leaks ---- */

static pid_t watched_pid;

static void
leak_report_at_exit(void)
{
	/* The child of a fork has copies, which are its parent's to free. */
	if (getpid() == watched_pid)
		leak_check(0, stderr);
}

__attribute__((constructor)) static void
leak_obey_environment(void)
{
	watched_pid = getpid();
	if (debug_has(DEBUG_LEAKS) && atexit(leak_report_at_exit) == 0)
		stint_leak_watch();
}
