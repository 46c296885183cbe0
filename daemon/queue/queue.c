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

static struct queue *
queue_new(const char *prefix, const char *name)
{
	cleanup(queue_freep) struct queue *q = calloc(1, sizeof *q);

	if (!q)
		return NULL;
	for (size_t i = 0; i < FINISH_KINDS; i++)
		TAILQ_INIT(&q->outbox[i]);
	q->name = strdup(name);
	keys_add(&q->jobs_key, prefix, name, "jobs");
	keys_add(&q->dead_key, prefix, name, "dead");
	keys_add_named(&q->result_stem, prefix, name, "result", "", 0);
	keys_add_named(&q->reply_stem, prefix, name, "reply", "", 0);
	if (!q->name || q->jobs_key.failed || q->dead_key.failed ||
		q->result_stem.failed || q->reply_stem.failed)
		return NULL;
	return take_ptr(q);
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
