/*
 * recall.c - what a cancel does to jobs that wait, and the tidying of control streams
 *
 * All on the writer, one request at a time. Nobody depends on it: a job that is not
 * recalled is found to be cancelled when its turn comes. So what makes no sense to try
 * again is dropped, and what is unknown is done again.
 *
 * A job that another daemon holds is that daemon's to cancel. But it may put the job off
 * at that very moment, and end before it can look: so each cancel is applied once more
 * when such a daemon's lease has ended.
 */
#include "daemon/queue/control_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/queue/entry.h"
#include "daemon/queue/lease.h"

enum {
	TIDY_EVERY_MS = 60 * 60 * 1000,
	TIDY_AGE_MS = 24 * 60 * 60 * 1000, /* messages are kept for that long */
	TIDY_BATCH_MAX = 100,
};

/* ---- jobs that wait ---- */

static void
redo(struct control *c, struct control_queue *cq)
{
	for (size_t i = 0; i < c->recall.count; i++) {
		const char *id = c->recall.ids[i];
		struct cancel *one = cancels_find(&cq->cancels, id, strlen(id));

		if (one)
			cancels_redo(&cq->cancels, one);
	}
}

/* [entry, fields, deliveries], or []: it did not wait */
static void
take_pulled(struct control *c, struct queue *q, const struct redis_reply *r)
{
	struct redis_reply entry = *r;
	struct job *job;

	if (r->type != REDIS_ARRAY || r->count != 3)
		return;
	entry.count = 2;
	/* without memory it stands in our pending list, and is found there */
	if (entry_job(&entry, &job) < 0 || !job)
		return;
	job->deliveries = (int)r->items[2].integer;
	job->is_cancelled = true; /* whether its queue is looked after any more or not */
	c->o.ops->on_job(c->o.arg, q, job, c->recall.sent_at_ms);
}

static bool
is_worth_a_try(enum fault fault)
{
	return fault != FAULT_NONE && fault != FAULT_SETUP && fault != FAULT_OTHER;
}

static void
on_recalled(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct control *c = arg;
	struct recall *rc = &c->recall;
	struct queue *q = rc->asked;
	struct control_queue *cq = control_find(c, q);
	struct tries dropped = {0}; /* the queue is not looked after any more */
	enum fault fault;

	rc->asked = NULL;
	fault = tries_take(cq ? &cq->recall_tries : &dropped, &rc->recall_conf, q->name,
		status, count > 0 ? replies : NULL);
	if (cq && is_worth_a_try(fault))
		redo(c, cq);
	if (status < 0 && status != -ENOTCONN)
		c->o.ops->on_lost_reply(c->o.arg);
	/* should moving them have been refused */
	if (fault == FAULT_NONE && replies[0].integer > 0)
		c->o.ops->on_due(c->o.arg, q);
	for (size_t i = 2; i < count; i++)
		take_pulled(c, q, &replies[i]);
	if (fault == FAULT_NOSCRIPT)
		c->o.ops->on_noscript(c->o.arg);
	recall_poke(c);
}

static void
write_hasten(struct control *c, struct redis_batch *b, const struct control_queue *cq)
{
	const struct recall *rc = &c->recall;

	redis_script_call(b, c->o.scripts, SCRIPT_HASTEN, 3, 2 * rc->count);
	redis_key(b, &cq->queue->jobs_key);
	redis_key(b, &cq->queue->delayed_key);
	redis_key(b, &cq->queue->bodies_key);
	for (size_t i = 0; i < rc->count; i++) {
		const char *id = rc->ids[i];

		redis_str(b, id);
		redis_int(b, cancels_find(&cq->cancels, id, strlen(id))->unix_ms);
	}
}

/* Those that are due now become entries, as the timer would do a moment later: so that
 * they can be pulled like the others. */
static void
write_promote(struct control *c, struct redis_batch *b, const struct queue *q)
{
	const struct recall *rc = &c->recall;

	redis_script_call(b, c->o.scripts, SCRIPT_PROMOTE, 4 + 2 * rc->count, rc->count);
	redis_key(b, &q->jobs_key);
	redis_key(b, &q->ids_key);
	redis_key(b, &q->delayed_key);
	redis_key(b, &q->bodies_key);
	for (size_t i = 0; i < rc->count; i++) {
		const size_t n = strlen(rc->ids[i]);

		redis_key_of(b, &q->result_stem, rc->ids[i], n);
		redis_key_of(b, &q->state_stem, rc->ids[i], n);
	}
	for (size_t i = 0; i < rc->count; i++)
		redis_str(b, rc->ids[i]);
}

static void
write_pulls(struct control *c, struct redis_batch *b, const struct control_queue *cq)
{
	const struct recall *rc = &c->recall;

	for (size_t i = 0; i < rc->count; i++) {
		const char *id = rc->ids[i];

		redis_script_call(b, c->o.scripts, SCRIPT_PULL, 2, 4);
		redis_key(b, &cq->queue->jobs_key);
		redis_key(b, &cq->queue->ids_key);
		redis_str(b, KEYS_GROUP);
		redis_str(b, c->o.consumer);
		redis_str(b, id);
		redis_int(b, cancels_find(&cq->cancels, id, strlen(id))->unix_ms);
	}
}

static void
send_recall(struct control *c, struct control_queue *cq)
{
	struct recall *rc = &c->recall;
	struct cancel *one;
	struct redis_batch b;

	rc->count = 0;
	while (rc->count < RECALL_BATCH_MAX && (one = TAILQ_FIRST(&cq->cancels.todo))) {
		memcpy(rc->ids[rc->count++], one->id, sizeof one->id);
		cancels_done(&cq->cancels, one);
		cancels_plan(&cq->cancels, one, stint_at_ms(c->o.lease_ms));
	}
	rc->asked = cq->queue;
	rc->sent_at_ms = stint_now_ms();
	redis_batch_begin(c->o.writer, &b);
	write_hasten(c, &b, cq);
	write_promote(c, &b, cq->queue);
	write_pulls(c, &b, cq);
	redis_batch_send(&b, lease_timeout_ms(c->o.lease_ms), on_recalled, c);
}

/* ---- tidying ---- */

static void
on_tidied(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct control *c = arg;
	struct recall *rc = &c->recall;
	struct queue *q = rc->asked;
	struct control_queue *cq = control_find(c, q);
	struct tries dropped = {0};
	enum fault fault;

	rc->asked = NULL;
	fault = tries_take(cq ? &cq->tidy_tries : &dropped, &rc->tidy_conf, q->name,
		status, count > 0 ? replies : NULL);
	if (fault == FAULT_NOSCRIPT)
		c->o.ops->on_noscript(c->o.arg);
	if (cq && fault == FAULT_NONE && replies[0].integer < TIDY_BATCH_MAX)
		cq->tidy_at_ms = stint_at_ms(TIDY_EVERY_MS);
	recall_poke(c);
}

static void
send_tidy(struct control *c, struct control_queue *cq)
{
	char last[STREAM_ID_BYTES], state[STREAM_ID_BYTES];
	struct redis_batch b;

	/* what is forgotten here may go there */
	cancels_expire(&cq->cancels, (int64_t)cq->last.ms - TIDY_AGE_MS);
	stream_id_print(cq->last, last);
	stream_id_print(cq->state, state);
	c->recall.asked = cq->queue;
	redis_batch_begin(c->o.writer, &b);
	redis_script_call(&b, c->o.scripts, SCRIPT_TIDY, 1, 4);
	redis_key(&b, &cq->queue->control_key);
	redis_str(&b, last);
	redis_str(&b, state);
	redis_int(&b, TIDY_AGE_MS);
	redis_int(&b, TIDY_BATCH_MAX);
	redis_batch_send(&b, lease_timeout_ms(c->o.lease_ms), on_tidied, c);
}

/* ---- what comes next ---- */

/* When there is something to do for a queue; STINT_NEVER: nothing. */
static int64_t
recall_at(struct control_queue *cq)
{
	const int64_t planned_at_ms = cancels_redo_planned(&cq->cancels, stint_now_ms());

	return TAILQ_EMPTY(&cq->cancels.todo) ? planned_at_ms
					      : cq->recall_tries.not_before_ms;
}

static int64_t
tidy_at(const struct control_queue *cq)
{
	if (!cq->is_ready || cq->is_faulty || cq->last.ms == 0)
		return STINT_NEVER;
	return cq->tidy_at_ms > cq->tidy_tries.not_before_ms
		       ? cq->tidy_at_ms
		       : cq->tidy_tries.not_before_ms;
}

void
recall_poke(struct control *c)
{
	const int64_t now = stint_now_ms();
	int64_t at = STINT_NEVER;

	if (c->recall.asked || c->is_paused || !tries_is_up(&c->recall.recall_conf))
		return;
	for (size_t i = 0; i < c->count; i++) {
		const size_t turn = (c->recall.turn + i) % c->count;
		struct control_queue *cq = c->queues[turn];
		const int64_t recall = recall_at(cq), tidy = tidy_at(cq);

		if (recall <= now || tidy <= now) {
			c->recall.turn = turn + 1;
			return recall <= now ? send_recall(c, cq) : send_tidy(c, cq);
		}
		at = recall < at ? recall : at;
		at = tidy < at ? tidy : at;
	}
	if (at != STINT_NEVER)
		c->o.ops->wake_at(c->o.arg, at);
}

void
recall_init(struct control *c)
{
	const struct control_opts *o = &c->o;

	c->recall.recall_conf = (struct tries_conf){.conn = o->writer,
		.scripts = o->scripts,
		.refused = "waiting jobs cannot be cancelled before their turn",
		.mended = "waiting jobs can be cancelled again"};
	c->recall.tidy_conf = (struct tries_conf){.conn = o->writer,
		.scripts = o->scripts,
		.refused = "old control messages cannot be removed, trying again",
		.mended = "old control messages can be removed again"};
}
