/*
 * crew.c - threads that are used again
 *
 * A thread whose work has ended waits for the next one: that is a wake-up in place of
 * a new thread. Who gets an idle thread is decided by a count, which is always
 *
 *	idle_count = threads without work - works in `waiting`
 *
 * so each waiting work has a thread that is on its way to it. A thread that finds
 * enough idle ones leaves. It joins the one that left before it, and the last one is
 * joined by the owner: so no thread is left behind, and none has to be listed.
 *
 * Lock order: none; nothing else is locked or called back under a crew's lock.
 */
#include "lib/conc/crew.h"

#include <sched.h>
#include <string.h>
#include "lib/conc/spin.h"

enum {
	/* Idle threads beyond these would cost more memory than they save time. */
	IDLE_MAX = 16,
	NAME_SIZE = 16,
	LOOK_GAP_NS = 300, /* about what it takes to start a work */
};

void
crew_init(struct crew *crew, crew_fn fn)
{
	*crew = (struct crew){.fn = fn};
	pthread_mutex_init(&crew->lock, NULL);
	STAILQ_INIT(&crew->waiting);
	cond_init(&crew->work);
	cond_init(&crew->threads_gone);
}

void
crew_fini(struct crew *crew)
{
	pthread_mutex_destroy(&crew->lock);
}

/* ---- in the threads ---- */

static bool
crew_has_news(const struct crew *crew)
{
	return !STAILQ_EMPTY(&crew->waiting) || crew->is_closed;
}

/* Short works come in a row: so a thread looks for the next one, awake, before it sleeps.
 * One at a time, for it would take the processor from those that work. Under the lock. */
static void
crew_look(struct crew *crew, struct spin *spin)
{
	bool is_worth_it = true;

	if (crew->has_looker)
		return;
	crew->has_looker = true;
	while (is_worth_it && !crew_has_news(crew)) {
		pthread_mutex_unlock(&crew->lock);
		is_worth_it = spin_again(spin, LOOK_GAP_NS);
		pthread_mutex_lock(&crew->lock);
	}
	crew->has_looker = false;
}

/* The next work for a thread that is free, or NULL: it shall leave. Under the lock. */
static struct crew_work *
crew_next(struct crew *crew)
{
	struct spin spin = {0};
	struct crew_work *work;

	crew->is_quick = true;
	crew->idle_count++;
	spin_begin(&spin);
	crew_look(crew, &spin);
	while (!crew_has_news(crew) && crew->idle_count <= IDLE_MAX)
		(void)cond_wait(stint_ctx_background(), &crew->work, &crew->lock, NULL);
	spin_end(&spin);
	work = STAILQ_FIRST(&crew->waiting);
	if (work)
		STAILQ_REMOVE_HEAD(&crew->waiting, next);
	else
		crew->idle_count--;
	return work;
}

/* Under the lock, which it releases; from then on the crew may be gone. */
static void
crew_leave(struct crew *crew)
{
	struct waiter *wake = NULL;
	bool has_left = crew->has_left;
	pthread_t left = crew->left;

	crew->left = pthread_self();
	crew->has_left = true;
	if (--crew->thread_count == 0)
		cond_claim_all(&crew->threads_gone, &wake);
	pthread_mutex_unlock(&crew->lock);
	waiter_wake(wake);
	if (has_left)
		pthread_join(left, NULL);
}

static void
crew_set_name(char name[NAME_SIZE], const char *wanted)
{
	if (strncmp(name, wanted, NAME_SIZE - 1) == 0)
		return;
	memset(name, 0, NAME_SIZE);
	memcpy(name, wanted, strnlen(wanted, NAME_SIZE - 1));
	pthread_setname_np(pthread_self(), name);
}

static void *
crew_thread(void *arg)
{
	struct crew_work *work = arg;
	struct crew *crew = work->crew;
	char name[NAME_SIZE] = "";

	while (work) {
		crew_set_name(name, work->name);
		crew->fn(work);
		pthread_mutex_lock(&crew->lock);
		work = crew_next(crew);
		if (work)
			pthread_mutex_unlock(&crew->lock);
	}
	crew_leave(crew);
	return NULL;
}

/* ---- from outside ---- */

/* Take an idle thread for a work, if there is one. Under the lock. */
static bool
crew_promise(struct crew *crew)
{
	/* Making a thread costs as much as many short works. So let the others run for
	 * once; if none gets idle by that, not again before a work has ended. */
	if (crew->idle_count == 0 && crew->is_quick) {
		pthread_mutex_unlock(&crew->lock);
		sched_yield();
		pthread_mutex_lock(&crew->lock);
		crew->is_quick = crew->idle_count > 0;
	}
	if (crew->idle_count == 0)
		return false;
	crew->idle_count--;
	return true;
}

static int
crew_add_thread(struct crew *crew, struct crew_work *work)
{
	pthread_t thread; /* joined as the one that `left` */
	int r = -pthread_create(&thread, NULL, crew_thread, work);

	if (r < 0) {
		pthread_mutex_lock(&crew->lock);
		crew->thread_count--;
		pthread_mutex_unlock(&crew->lock);
	}
	return r;
}

int
crew_start(struct crew *crew, struct crew_work *work)
{
	struct waiter *wake = NULL;
	bool is_promised;

	work->crew = crew;
	pthread_mutex_lock(&crew->lock);
	is_promised = crew_promise(crew);
	if (is_promised) {
		STAILQ_INSERT_TAIL(&crew->waiting, work, next);
		cond_claim_one(&crew->work, &wake);
	} else
		crew->thread_count++;
	pthread_mutex_unlock(&crew->lock);
	waiter_wake(wake);
	return is_promised ? 0 : crew_add_thread(crew, work);
}

void
crew_close(struct crew *crew)
{
	struct waiter *wake = NULL;
	bool has_left;

	pthread_mutex_lock(&crew->lock);
	crew->is_closed = true;
	cond_claim_all(&crew->work, &wake);
	pthread_mutex_unlock(&crew->lock);
	waiter_wake(wake);

	pthread_mutex_lock(&crew->lock);
	while (crew->thread_count > 0)
		(void)cond_wait(
			stint_ctx_background(), &crew->threads_gone, &crew->lock, NULL);
	has_left = crew->has_left;
	crew->has_left = false;
	pthread_mutex_unlock(&crew->lock);
	if (has_left)
		pthread_join(crew->left, NULL);
}
