/*
 * deadlock.c - the tree of groups and tasks, and the look for those that all sleep
 *
 * No thread of its own looks, and nobody is woken to look: the one who waits for a
 * group or task sleeps in slices instead, and looks after each. When two looks find
 * the same sleepers, nobody was awake in between, and nobody in there will be.
 *
 * A sleeper whose waiter is claimed is about to run, so it does not count: with that a
 * look is exact about the tasks in the tree. The second look is for threads outside,
 * which may just be about to send.
 *
 * Lock order: `lock` is a leaf; what is told is told without it.
 */
#include "lib/conc/deadlock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <stint/clock.h>
#include <stint/deadlock.h>
#include "lib/base/cleanup.h"
#include "lib/conc/debug.h"

enum { SLEEPER_TEXT_BYTES = 512 };

/* A task that sleeps; lives on its stack. */
struct sleeper {
	struct waiter *waiter;
	const struct watched *below; /* as in struct sleep_on */
	uint64_t number;             /* a sleep of its own */
	bool has_deadline;
	bool is_told; /* of, in a report */
	char text[SLEEPER_TEXT_BYTES];
};

/* What one look has seen. Equal ones: the same sleepers, for sleeps have increasing
 * numbers, so one that woke and slept again would be the youngest. */
struct look {
	size_t task_count;
	uint64_t youngest;
	bool is_news; /* a sleeper that was not told of yet */
};

TAILQ_HEAD(watched_list, watched);

_Atomic bool deadlock_is_on;
static _Thread_local struct watched *current;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct watched_list nodes = TAILQ_HEAD_INITIALIZER(nodes);
static uint64_t sleep_count;
static stint_deadlock_fn told_fn;
static void *told_arg;

/* ---- the tree ---- */

void
watched_add(
	struct watched *w, const struct track *track, bool is_task, struct watched *above)
{
	w->track = track;
	w->is_task = is_task;
	w->is_listed = deadlock_is_watched();
	w->above = above && above->is_listed ? above : NULL;
	w->sleeper = NULL;
	if (!w->is_listed)
		return;
	pthread_mutex_lock(&lock);
	TAILQ_INSERT_TAIL(&nodes, w, in_list);
	pthread_mutex_unlock(&lock);
}

void
watched_remove(struct watched *w)
{
	struct watched *other;

	if (!w->is_listed)
		return;
	pthread_mutex_lock(&lock);
	TAILQ_REMOVE(&nodes, w, in_list);
	TAILQ_FOREACH (other, &nodes, in_list)
		if (other->above == w)
			other->above = w->above;
	pthread_mutex_unlock(&lock);
	w->is_listed = false;
}

struct watched *
watched_current(void)
{
	return current;
}

void
watched_set_current(struct watched *task)
{
	current = task;
}

static bool
watched_is_below(const struct watched *w, const struct watched *top)
{
	while (w && w != top)
		w = w->above;
	return w;
}

/* ---- looking, under the lock ---- */

/* Do all tasks below @top sleep for good? */
static bool
look_at(const struct watched *top, struct look *ret_look)
{
	const struct watched *w;

	*ret_look = (struct look){0};
	TAILQ_FOREACH (w, &nodes, in_list) {
		const struct sleeper *s = w->sleeper;

		if (!w->is_task || !watched_is_below(w, top))
			continue;
		if (!s || s->has_deadline || !waiter_is_open(s->waiter))
			return false;
		ret_look->task_count++;
		if (s->number > ret_look->youngest)
			ret_look->youngest = s->number;
		if (!s->is_told)
			ret_look->is_news = true;
	}
	return ret_look->task_count > 0;
}

/* Somebody below @top may wait for a task that was started elsewhere and still runs. */
static bool
look_beyond(const struct watched *top)
{
	const struct watched *w;
	struct look other;

	TAILQ_FOREACH (w, &nodes, in_list)
		if (w->sleeper && w->sleeper->below && watched_is_below(w, top) &&
			!look_at(w->sleeper->below, &other))
			return false;
	return true;
}

static void
report_write(FILE *out, const struct watched *top, size_t task_count)
{
	char text[TRACK_TEXT_BYTES];
	struct watched *w;

	fprintf(out, "stint: deadlock in %s: its owner and all tasks in it (%zu) sleep\n",
		track_text(top->track, text), task_count);
	TAILQ_FOREACH (w, &nodes, in_list) {
		if (!w->is_task || !watched_is_below(w, top))
			continue;
		fprintf(out, "stint:   %s: %s\n", track_text(w->track, text),
			w->sleeper->text);
		w->sleeper->is_told = true;
	}
	fputs("stint: none of them can wake another; only a thread outside could\n", out);
}

/* The report, to be freed; NULL when there is no memory for it. */
static char *
report_new(const struct watched *top, size_t task_count)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	report_write(out, top, task_count);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- looking ---- */

static void
report_tell(stint_deadlock_fn fn, void *arg, const char *report)
{
	if (!report)
		report = "stint: deadlock, and no memory to say where\n";
	if (fn)
		fn(arg, report);
	else
		fputs(report, stderr);
}

/* One look by @self, who waits for the end of @top; @last is what the one before saw. */
static void
deadlock_look(struct sleeper *self, const struct watched *top, struct look *last)
{
	cleanup(freep) char *report = NULL;
	stint_deadlock_fn fn;
	struct look now;
	bool is_deadlock;
	void *arg;

	pthread_mutex_lock(&lock);
	is_deadlock = look_at(top, &now) && look_beyond(top) && now.is_news &&
		      now.task_count == last->task_count &&
		      now.youngest == last->youngest;
	*last = now;
	if (is_deadlock) {
		report = report_new(top, now.task_count);
		self->is_told = true; /* so that a group around this one is silent */
	}
	fn = told_fn;
	arg = told_arg;
	pthread_mutex_unlock(&lock);
	if (is_deadlock)
		report_tell(fn, arg, report);
}

/* ---- sleeping ---- */

static void
sleeper_set(struct sleeper *self)
{
	if (!current || !current->is_listed)
		return;
	pthread_mutex_lock(&lock);
	if (self)
		self->number = ++sleep_count;
	current->sleeper = self;
	pthread_mutex_unlock(&lock);
}

bool
deadlock_park(struct waiter *w, int64_t until_ms, const struct sleep_on *on)
{
	struct sleeper self = {
		.waiter = w,
		.below = on->below,
		.has_deadline = until_ms != STINT_NEVER,
	};
	struct look last = {0};
	bool is_woken;

	on->describe(on, self.text, sizeof(self.text));
	sleeper_set(&self);
	if (self.below && !self.has_deadline)
		while (!(is_woken = waiter_park(w, stint_at_ms(STINT_DEADLOCK_LOOK_MS))))
			deadlock_look(&self, self.below, &last);
	else
		is_woken = waiter_park(w, until_ms);
	sleeper_set(NULL);
	return is_woken;
}

/* ---- the switch ---- */

void
stint_deadlock_watch(stint_deadlock_fn fn, void *arg)
{
	pthread_mutex_lock(&lock);
	told_fn = fn;
	told_arg = arg;
	pthread_mutex_unlock(&lock);
	atomic_store_explicit(&deadlock_is_on, true, memory_order_relaxed);
}

__attribute__((constructor)) static void
deadlock_obey_environment(void)
{
	if (debug_has(DEBUG_DEADLOCK))
		stint_deadlock_watch(NULL, NULL);
}
