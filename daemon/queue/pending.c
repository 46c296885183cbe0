/*
 * pending.c - page after page of XPENDING, and XRANGE for what is not known
 *
 * An entry that is finished between the two commands is no trouble: XRANGE finds it
 * deleted.
 */
#include "daemon/queue/pending.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/queue/entry.h"
#include "daemon/queue/fault.h"

static void on_page(
	void *arg, int status, const struct redis_reply *replies, size_t count);

static void
ask_page(struct pending *p)
{
	struct redis_batch b;

	p->asked_at_ms = p->leased_at_ms = stint_now_ms();
	redis_batch_begin(p->conn, &b);
	redis_cmd(&b, 7);
	redis_str(&b, "XPENDING");
	redis_key(&b, &p->queue->jobs_key);
	redis_str(&b, KEYS_GROUP);
	redis_str(&b, p->from);
	redis_str(&b, "+");
	redis_int(&b, PENDING_PAGE);
	redis_str(&b, p->consumer);
	redis_batch_send(&b, p->timeout_ms, on_page, p);
}

static void
next_page(struct pending *p)
{
	if (p->is_last_page) {
		p->queue = LIST_NEXT(p->queue, link);
		strcpy(p->from, "-");
	}
	if (p->queue)
		ask_page(p);
	else
		p->ops->on_end(p->arg, 0, p->found);
}

static void
on_entries(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct pending *p = arg;

	for (size_t i = 0; status == 0 && i < count && i < p->asked_count; i++) {
		struct job *job = NULL;

		if (replies[i].type != REDIS_ARRAY)
			status = -EPROTO;
		else if (replies[i].count == 1)
			status = entry_job(&replies[i].items[0], &job);
		if (job) {
			p->found++;
			job->deliveries = p->deliveries[i];
			p->ops->on_job(p->arg, p->queue, job, p->leased_at_ms);
		}
	}
	if (status < 0)
		p->ops->on_end(p->arg, status, p->found);
	else
		next_page(p);
}

static void
ask_entry(struct redis_batch *b, const struct queue *q, const char *id)
{
	redis_cmd(b, 4);
	redis_str(b, "XRANGE");
	redis_key(b, &q->jobs_key);
	redis_str(b, id);
	redis_str(b, id);
}

/* [id, consumer, idle in ms, deliveries] */
static void
note_row(struct pending *p, const struct redis_reply *row)
{
	const int64_t idle_ms = row->count > 2 ? row->items[2].integer : 0;
	const int64_t deliveries = row->count > 3 ? row->items[3].integer : 1;

	/* its lease has been running for that long */
	if (p->asked_at_ms - idle_ms < p->leased_at_ms)
		p->leased_at_ms = p->asked_at_ms - idle_ms;
	p->deliveries[p->asked_count++] =
		deliveries < INT_MAX ? (int)deliveries : INT_MAX;
}

static void
on_page(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct pending *p = arg;
	struct redis_batch b;

	if (status < 0 || count != 1)
		return p->ops->on_end(p->arg, status < 0 ? status : -EPROTO, p->found);
	/* without a group or a stream nothing is pending; any other error says nothing */
	if (replies->type == REDIS_ERROR && fault_of(replies) != FAULT_NOGROUP &&
		!redis_is_error(replies, "WRONGTYPE"))
		return p->ops->on_end(p->arg, -EAGAIN, p->found);
	p->asked_count = 0;
	p->is_last_page = replies->type != REDIS_ARRAY || replies->count < PENDING_PAGE;
	redis_batch_begin(p->conn, &b);
	for (size_t i = 0;
		replies->type == REDIS_ARRAY && i < replies->count && i < PENDING_PAGE;
		i++) {
		const struct redis_reply *row = &replies->items[i];
		const char *id = row->count > 0 ? row->items[0].str : NULL;

		if (!id || strlen(id) >= ENTRY_ID_BYTES)
			continue;
		snprintf(p->from, sizeof p->from, "(%s", id);
		if (p->ops->is_known(p->arg, p->queue, id))
			continue;
		note_row(p, row);
		ask_entry(&b, p->queue, id);
	}
	redis_batch_send(&b, p->timeout_ms, on_entries, p);
}

void
pending_start(struct pending *p, const struct queue_list *list)
{
	p->queue = LIST_FIRST(list);
	p->found = 0;
	p->is_last_page = false;
	strcpy(p->from, "-");
	if (p->queue)
		ask_page(p);
	else
		p->ops->on_end(p->arg, 0, 0);
}
