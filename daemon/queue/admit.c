/*
 * admit.c - one batch after the other through scripts/admit.lua
 */
#include "daemon/queue/admit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/queue/lease.h"
#include "daemon/queue/tries.h"

enum { BATCH_MAX = 128 };

struct admit {
	struct admit_opts o;
	struct tries_conf tries;
	size_t pending_count; /* waiting, or in the batch */
	struct queue *turn;   /* whose jobs are looked at first; NULL: the first one's */

	bool is_asking;
	struct attempt_list batch; /* on its way: all of one queue */
	size_t batch_count;
};

/* To the front, in the old order. */
static void
put_back(struct admit *ad, struct queue *q)
{
	struct attempt *a;

	while ((a = TAILQ_LAST(&ad->batch, attempt_list))) {
		TAILQ_REMOVE(&ad->batch, a, link);
		TAILQ_INSERT_HEAD(&q->admits, a, link);
	}
}

/* ---- the answer ---- */

static bool
is_answer(const struct redis_reply *r, size_t jobs)
{
	if (r->type != REDIS_ARRAY || r->count != jobs + 1)
		return false;
	for (size_t i = 0; i < r->count; i++)
		if (r->items[i].type != REDIS_INTEGER)
			return false;
	return true;
}

static enum admit_answer
answer_of(int64_t code)
{
	switch (code) {
	case 1:
		return ADMIT_RUN;
	case 2:
		return ADMIT_DUPLICATE;
	case 3:
		return ADMIT_DELAYED;
	default:
		return ADMIT_LOST;
	}
}

static void
give_answers(struct admit *ad, struct queue *q, const struct redis_reply *r)
{
	struct attempt *a;
	size_t i = 0;

	while ((a = TAILQ_FIRST(&ad->batch))) {
		TAILQ_REMOVE(&ad->batch, a, link);
		ad->pending_count--;
		ad->o.ops->on_admitted(ad->o.arg, a, answer_of(r->items[i++].integer));
	}
	if (r->items[i].integer >= 0)
		ad->o.ops->on_due(ad->o.arg, q, r->items[i].integer);
	ad->o.ops->on_batch(ad->o.arg);
}

static void
on_reply(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct admit *ad = arg;
	struct queue *q = TAILQ_FIRST(&ad->batch)->queue;
	const struct redis_reply *r = count == 1 ? replies : NULL;
	enum fault fault;

	ad->is_asking = false;
	if (r && r->type != REDIS_ERROR && !is_answer(r, ad->batch_count))
		r = NULL;
	fault = tries_take(&q->admit_tries, &ad->tries, q->name, status, r);
	if (r && fault == FAULT_NONE)
		give_answers(ad, q, r);
	else /* where nobody knows whether it was done, the second answer is the same */
		put_back(ad, q);
	if (fault == FAULT_NOSCRIPT)
		ad->o.ops->on_noscript(ad->o.arg);
	admit_poke(ad);
}

/* ---- the question ---- */

static void
fill_batch(struct admit *ad, struct queue *q)
{
	struct attempt *a;

	ad->batch_count = 0;
	while (ad->batch_count < BATCH_MAX && (a = TAILQ_FIRST(&q->admits))) {
		TAILQ_REMOVE(&q->admits, a, link);
		TAILQ_INSERT_TAIL(&ad->batch, a, link);
		ad->batch_count++;
	}
}

static void
write_batch(struct admit *ad, struct redis_batch *b, const struct queue *q)
{
	const struct attempt *a;

	redis_script_call(b, ad->o.scripts, SCRIPT_ADMIT, 5 + 2 * ad->batch_count,
		2 + 3 * ad->batch_count);
	redis_key(b, &q->jobs_key);
	redis_key(b, &q->ids_key);
	redis_key(b, &q->delayed_key);
	redis_key(b, &q->bodies_key);
	redis_key(b, &q->stats_key);
	TAILQ_FOREACH (a, &ad->batch, link) {
		redis_key_of(b, &q->result_stem, a->job->id.p, a->job->id.n);
		redis_key_of(b, &q->state_stem, a->job->id.p, a->job->id.n);
	}
	redis_str(b, KEYS_GROUP);
	redis_str(b, ad->o.consumer);
	TAILQ_FOREACH (a, &ad->batch, link) {
		redis_str(b, a->job->entry_id);
		redis_bulk(b, a->job->id.p, a->job->id.n);
		if (a->job->due_unix_ms > 0)
			redis_int(b, a->job->due_unix_ms);
		else
			redis_str(b, "");
	}
}

static void
ask(struct admit *ad, struct queue *q)
{
	struct redis_batch b;

	fill_batch(ad, q);
	ad->is_asking = true;
	redis_batch_begin(ad->o.conn, &b);
	write_batch(ad, &b, q);
	redis_batch_send(&b, lease_timeout_ms(ad->o.lease_ms), on_reply, ad);
}

/* The next queue in turn with jobs that may be asked for now. @ret_at_ms: when there is
 * none: when there will be, or STINT_NEVER. */
static struct queue *
next_queue(struct admit *ad, int64_t *ret_at_ms)
{
	const int64_t now = stint_now_ms();
	struct queue *first = ad->turn ? ad->turn : LIST_FIRST(ad->o.queues);
	struct queue *q = first;

	*ret_at_ms = STINT_NEVER;
	do {
		struct queue *next = LIST_NEXT(q, link);
		const int64_t at_ms = q->admit_tries.not_before_ms;

		if (!TAILQ_EMPTY(&q->admits) && at_ms <= now) {
			ad->turn = next;
			return q;
		}
		if (!TAILQ_EMPTY(&q->admits) && at_ms < *ret_at_ms)
			*ret_at_ms = at_ms;
		q = next ? next : LIST_FIRST(ad->o.queues);
	} while (q != first);
	return NULL;
}

void
admit_poke(struct admit *ad)
{
	struct queue *q;
	int64_t at_ms;

	if (ad->is_asking || ad->pending_count == 0 || !tries_is_up(&ad->tries))
		return;
	q = next_queue(ad, &at_ms);
	if (q)
		ask(ad, q);
	else if (at_ms != STINT_NEVER)
		ad->o.ops->wake_at(ad->o.arg, at_ms);
}

/* ---- from outside ---- */

int
admit_new(const struct admit_opts *opts, struct admit **ret)
{
	struct admit *ad = calloc(1, sizeof *ad);

	if (!ad)
		return -ENOMEM;
	ad->o = *opts;
	ad->tries = (struct tries_conf){.conn = opts->conn,
		.scripts = opts->scripts,
		.refused = "jobs with an id or a delay cannot be admitted, they wait",
		.mended = "jobs with an id or a delay are admitted again"};
	TAILQ_INIT(&ad->batch);
	*ret = ad;
	return 0;
}

void
admit_free(struct admit *ad)
{
	free(ad);
}

bool
admit_is_needed(const struct job *job)
{
	return !job->is_copy && (job->has_own_id || job->due_unix_ms > 0);
}

void
admit_add(struct admit *ad, struct attempt *a)
{
	TAILQ_INSERT_TAIL(&a->queue->admits, a, link);
	ad->pending_count++;
}

void
admit_on_up(struct admit *ad)
{
	struct queue *q;

	LIST_FOREACH (q, ad->o.queues, link)
		tries_reset(&q->admit_tries);
	admit_poke(ad);
}

size_t
admit_pending_count(const struct admit *ad)
{
	return ad->pending_count;
}
