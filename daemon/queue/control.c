/*
 * control.c - the queues whose control streams are read, and what was learned of them
 */
#include "daemon/queue/control_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/queue/lease.h"
#include "daemon/redis/unblock.h"

struct control_queue *
control_find(const struct control *c, const struct queue *q)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->queues[i]->queue == q)
			return c->queues[i];
	return NULL;
}

int
control_new(const struct control_opts *opts, struct control **ret)
{
	struct control *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	c->o = *opts;
	recall_init(c);
	*ret = c;
	return 0;
}

static void
queue_free(struct control_queue *cq)
{
	if (!cq)
		return;
	cancels_clear(&cq->cancels);
	free(cq);
}

void
control_free(struct control *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->count; i++)
		queue_free(c->queues[i]);
	free(c);
}

static struct control_queue *
queue_new(struct queue *q)
{
	struct control_queue *cq = calloc(1, sizeof *cq);

	if (!cq)
		return NULL;
	cq->queue = q;
	cancels_init(&cq->cancels);
	return cq;
}

static void
unblock(struct control *c)
{
	if (c->step == STEP_BLOCK)
		redis_unblock(c->o.conn, c->o.writer, lease_timeout_ms(c->o.lease_ms));
}

/* Free those of @some that are not (or no longer) looked after. */
static void
drop_others(struct control *c, struct control_queue *const *some, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (some[i] && control_find(c, some[i]->queue) != some[i])
			queue_free(some[i]);
}

int
control_set_queues(struct control *c, struct queue *const *queues, size_t count)
{
	struct control_queue *next[FETCH_QUEUES_MAX] = {0}, *old[FETCH_QUEUES_MAX];
	const size_t old_count = c->count;
	bool any_new = false;

	if (count > FETCH_QUEUES_MAX)
		count = FETCH_QUEUES_MAX;
	for (size_t i = 0; i < count; i++) {
		next[i] = control_find(c, queues[i]);
		any_new = any_new || !next[i];
		if (!next[i] && !(next[i] = queue_new(queues[i]))) {
			drop_others(c, next, count);
			return -ENOMEM;
		}
	}
	memcpy(old, c->queues, sizeof old);
	memcpy(c->queues, next, sizeof next);
	c->count = count;
	for (size_t i = 0; i < old_count; i++)
		if (!control_find(c, old[i]->queue))
			old[i]->queue->is_paused = false;
	drop_others(c, old, old_count);
	if (any_new) {
		c->check_at_ms = 0;
		unblock(c);
	}
	control_poke(c);
	return 0;
}

bool
control_is_ready(const struct control *c, const struct queue *q)
{
	const struct control_queue *cq = control_find(c, q);

	return cq && cq->is_ready;
}

bool
control_is_cancelled(const struct control *c, const struct queue *q, struct bytes id,
	int64_t submitted_unix_ms)
{
	const struct control_queue *cq = control_find(c, q);
	const struct cancel *one = cq ? cancels_find(&cq->cancels, id.p, id.n) : NULL;

	return one && submitted_unix_ms <= one->unix_ms;
}

void
control_recall(struct control *c, const struct queue *q, struct bytes id)
{
	struct control_queue *cq = control_find(c, q);
	struct cancel *one = cq ? cancels_find(&cq->cancels, id.p, id.n) : NULL;

	if (!one)
		return;
	cancels_redo(&cq->cancels, one);
	recall_poke(c);
}

bool
control_is_pulling(const struct control *c)
{
	return c->recall.asked != NULL;
}

void
control_on_up(struct control *c)
{
	/* it may be another server, with other messages */
	c->check_at_ms = c->not_before_ms = c->backoff_ms = 0;
	control_poke(c);
}

void
control_pause(struct control *c, bool is_paused)
{
	c->is_paused = is_paused;
	control_poke(c);
}
