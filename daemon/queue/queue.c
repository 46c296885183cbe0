/*
 * queue.c - the queues that this daemon has heard of
 */
#include "daemon/queue/queue.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/wire/keys.h"

static void
queue_free(struct queue *q)
{
	if (!q)
		return;
	buf_fini(&q->jobs_key);
	buf_fini(&q->dead_key);
	buf_fini(&q->ids_key);
	buf_fini(&q->delayed_key);
	buf_fini(&q->bodies_key);
	buf_fini(&q->stats_key);
	buf_fini(&q->control_key);
	buf_fini(&q->state_stem);
	buf_fini(&q->result_stem);
	buf_fini(&q->reply_stem);
	free(q->name);
	free(q);
}

static void
queue_freep(struct queue **q)
{
	queue_free(*q);
}

static bool
has_all_keys(const struct queue *q)
{
	return !(q->jobs_key.failed || q->dead_key.failed || q->ids_key.failed ||
		 q->delayed_key.failed || q->bodies_key.failed || q->stats_key.failed ||
		 q->control_key.failed || q->state_stem.failed || q->result_stem.failed ||
		 q->reply_stem.failed);
}

static struct queue *
queue_new(const char *prefix, const char *name)
{
	cleanup(queue_freep) struct queue *q = calloc(1, sizeof *q);

	if (!q)
		return NULL;
	for (size_t i = 0; i < FINISH_KINDS; i++)
		TAILQ_INIT(&q->outbox[i]);
	TAILQ_INIT(&q->admits);
	q->name = strdup(name);
	keys_add(&q->jobs_key, prefix, name, "jobs");
	keys_add(&q->dead_key, prefix, name, "dead");
	keys_add(&q->ids_key, prefix, name, "ids");
	keys_add(&q->delayed_key, prefix, name, "delayed");
	keys_add(&q->bodies_key, prefix, name, "bodies");
	keys_add(&q->stats_key, prefix, name, "stats");
	keys_add(&q->control_key, prefix, name, "control");
	keys_add_named(&q->state_stem, prefix, name, "state", "", 0);
	keys_add_named(&q->result_stem, prefix, name, "result", "", 0);
	keys_add_named(&q->reply_stem, prefix, name, "reply", "", 0);
	return q->name && has_all_keys(q) ? take_ptr(q) : NULL;
}

struct queue *
queue_get(struct queue_list *list, const char *prefix, const char *name)
{
	struct queue *q;

	LIST_FOREACH (q, list, link)
		if (!strcmp(q->name, name))
			return q;
	q = queue_new(prefix, name);
	if (q)
		LIST_INSERT_HEAD(list, q, link);
	return q;
}

void
queue_list_fini(struct queue_list *list)
{
	struct queue *q;

	while ((q = LIST_FIRST(list))) {
		LIST_REMOVE(q, link);
		queue_free(q);
	}
}
