/*
 * warm_list.c - the worker processes of one slot: one for each handler that had a job
 * there, and after a reload those that are on their way out
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/handler/warm.h"
#include "lib/base/cleanup.h"

enum { LOOK_MS = 20 }; /* at what those that are to end print */

static bool
same_strings(char **a, char **b)
{
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return !*a && !*b;
}

static bool
same_limits(const struct handler_limits *a, const struct handler_limits *b)
{
	return a->memory_bytes == b->memory_bytes && a->cpu_ms == b->cpu_ms &&
	       a->files == b->files && a->processes == b->processes;
}

/* Its variables come from the user database, and may change with it. */
static bool
same_account(const struct handler_account *a, const struct handler_account *b)
{
	char *none[] = {NULL};

	return a->is_other == b->is_other && a->uid == b->uid && a->gid == b->gid &&
	       a->group_count == b->group_count &&
	       (a->group_count == 0 ||
		       memcmp(a->groups, b->groups, a->group_count * sizeof *a->groups) ==
			       0) &&
	       same_strings(a->environment ? a->environment : none,
		       b->environment ? b->environment : none);
}

/* A plugin that was replaced has the same path. */
static bool
same_file(const struct plugin_stamp *a, const struct plugin_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->bytes == b->bytes &&
	       a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Would a process of one do for the other? */
static bool
is_same(const struct handler_conf *a, const struct handler_conf *b)
{
	const char *a_dir = a->directory ? a->directory : "";
	const char *b_dir = b->directory ? b->directory : "";

	return a->is_worker == b->is_worker &&
	       same_file(&a->plugin_stamp, &b->plugin_stamp) &&
	       same_strings(a->argv, b->argv) &&
	       same_strings(a->environment, b->environment) &&
	       strcmp(a_dir, b_dir) == 0 && a->idle_timeout_ms == b->idle_timeout_ms &&
	       same_limits(&a->limits, &b->limits) &&
	       same_account(&a->account, &b->account);
}

static void
warm_free(struct warm *w)
{
	close_fd(&w->keeper_fd);
	buf_fini(&w->in);
	buf_fini(&w->head);
	buf_fini(&w->tail);
	buf_fini(&w->cancel);
	free(w);
}

/* Free those that have no handler any more, as far as they are gone. */
static void
free_orphans(struct handler_slot *slot)
{
	struct warm **at = &slot->warm;

	slot->has_orphans = false;
	while (*at) {
		struct warm *w = *at;

		if (!w->conf && (w->state == WARM_NONE || warm_is_gone(w))) {
			*at = w->next;
			warm_free(w);
			continue;
		}
		slot->has_orphans |= !w->conf;
		at = &w->next;
	}
}

static void
adopt(struct warm *w, const struct config *config)
{
	const struct handler_conf *conf;

	if (!w->conf)
		return;
	conf = config_handler(config, w->conf->name, strlen(w->conf->name));
	if (!conf || !is_same(w->conf, conf)) {
		warm_retire(w);
		w->retry_at_ms = 0; /* it may have been mended */
	}
	w->conf = conf && conf->is_worker ? conf : NULL;
}

void
warm_heed_config(struct handler_slot *slot, struct config *config)
{
	if (slot->config == config && !slot->has_orphans)
		return;
	if (slot->config != config) {
		for (struct warm *w = slot->warm; w; w = w->next)
			adopt(w, config);
		config_unref(slot->config);
		slot->config = config_ref(config);
	}
	free_orphans(slot);
}

struct warm *
warm_of(struct handler_slot *slot, const struct handler_call *call)
{
	struct warm *w = slot->warm;

	while (w && w->conf != call->conf)
		w = w->next;
	if (w)
		return w;
	w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	w->conf = call->conf;
	w->keeper_fd = w->in_fd = w->out_fd = -1;
	for (int s = 0; s < WORKER_STREAM_COUNT; s++)
		w->log.fd[s] = -1;
	w->backoff.min_ms = WARM_RETRY_MIN_MS;
	w->backoff.max_ms = WARM_RETRY_MAX_MS;
	if (!slot->config)
		slot->config = config_ref(call->config);
	w->next = slot->warm;
	slot->warm = w;
	return w;
}

void
warm_free_all(struct handler_slot *slot)
{
	struct warm *w;

	for (w = slot->warm; w; w = w->next)
		warm_retire(w);
	while ((w = slot->warm)) {
		/* its keeper kills it when its time is over */
		while (w->state != WARM_NONE && !warm_is_gone(w)) {
			struct pollfd p = {.fd = w->keeper_fd, .events = POLLIN};

			poll(&p, 1, LOOK_MS);
		}
		slot->warm = w->next;
		warm_free(w);
	}
}
