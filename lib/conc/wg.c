/*
 * wg.c - wait group: a count, and who waits for it to become 0
 *
 * Lock order: none; no other lock is taken under a wait group's.
 */
#include <stint/wg.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "lib/conc/cond.h"
#include "lib/conc/track.h"

struct stint_wg {
	struct track track;
	pthread_mutex_t lock;
	int count;
	int waiting_count; /* inside stint_wg_wait(), also when woken already */
	struct cond all_done;
};

int
stint_wg_new_at(struct stint_wg **ret_wg, const char *where)
{
	struct stint_wg *wg = calloc(1, sizeof(*wg));

	if (!wg)
		return -ENOMEM;
	pthread_mutex_init(&wg->lock, NULL);
	cond_init(&wg->all_done);
	track_add(&wg->track, "wait group", NULL, where);
	*ret_wg = wg;
	return 0;
}

/* Under the lock: 0, or an error and in @ret_why how that is misuse. */
static int
wg_change(struct stint_wg *wg, int n, const char **ret_why)
{
	int count;

	if (wg->count == 0 && n > 0 && wg->waiting_count > 0) {
		*ret_why = "raised from 0 while someone waits";
		return -EINVAL;
	}
	if (__builtin_add_overflow(wg->count, n, &count)) {
		*ret_why = "more expected than it can count";
		return -EOVERFLOW;
	}
	if (count < 0) {
		*ret_why = "more done than expected";
		return -EINVAL;
	}
	wg->count = count;
	return 0;
}

int
stint_wg_add(struct stint_wg *wg, int n)
{
	struct waiter *wake = NULL;
	char text[TRACK_TEXT_BYTES];
	const char *why;
	int r;

	pthread_mutex_lock(&wg->lock);
	r = wg_change(wg, n, &why);
	if (r < 0)
		track_text(&wg->track, text);
	else if (wg->count == 0)
		cond_claim_all(&wg->all_done, &wake);
	pthread_mutex_unlock(&wg->lock);
	/* From here on the group may be gone: a waiter that wakes may free it. */
	waiter_wake(wake);
	if (r < 0)
		track_tell_text(text, why);
	return r;
}

int
stint_wg_done(struct stint_wg *wg)
{
	return stint_wg_add(wg, -1);
}

/* For the deadlock report. */
static void
wg_describe(const struct sleep_on *on, char *text, size_t size)
{
	const struct stint_wg *wg = on->what;
	char name[TRACK_TEXT_BYTES];

	snprintf(text, size, "%s", track_text(&wg->track, name));
}

int
stint_wg_wait(struct stint_ctx *ctx, struct stint_wg *wg)
{
	const struct sleep_on on = {.describe = wg_describe, .what = wg};
	int r = 0;

	pthread_mutex_lock(&wg->lock);
	if (wg->count > 0) {
		wg->waiting_count++;
		r = cond_wait(ctx, &wg->all_done, &wg->lock, &on);
		wg->waiting_count--;
	}
	pthread_mutex_unlock(&wg->lock);
	return r;
}

void
stint_wg_free(struct stint_wg *wg)
{
	if (!wg)
		return;
	track_remove(&wg->track);
	pthread_mutex_destroy(&wg->lock);
	free(wg);
}
