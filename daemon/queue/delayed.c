/*
 * delayed.c - a time for each queue; due.lua says who is due, promote.lua moves them
 *
 *	ask_at_ms ──▶ due.lua ──┬─ some are due ──▶ promote.lua ──┐
 *	    ▲                   └─ none ──┐                       │
 *	    └──── the next due time ──────┴───────────────────────┘
 *
 * Two steps, because a script's keys must be named before it runs. A job that goes
 * between them (another daemon was faster) is found missing by the second.
 */
#include "daemon/queue/delayed.h"

#include <errno.h>
#include <stdlib.h>
#include <stint/clock.h>
#include "daemon/queue/fetch.h"
#include "daemon/queue/lease.h"
#include "daemon/queue/tries.h"
#include "lib/base/backoff.h"
#include "lib/base/cleanup.h"
#include "lib/base/random.h"

enum {
	/* Moved in one script; it takes Redis well under 2 ms. */
	BATCH_MAX = 100,
	/* When none of those that are due could be moved: another daemon has them, so
	 * hardly a wait; but an endless row of that must not keep everybody busy. */
	NO_PROGRESS_MIN_MS = 5,
	NO_PROGRESS_MAX_MS = 100,
};

struct due_queue {
	struct queue *queue;
	int64_t ask_at_ms;
	struct tries asks;
	struct tries moves; /* of their own: Redis may answer, and take no writes */
	struct backoff no_progress;
};

struct delayed {
	struct delayed_opts o;
	struct tries_conf tries;
	uint64_t random;
	bool is_paused;

	struct due_queue queues[FETCH_QUEUES_MAX];
	size_t count;
	size_t turn; /* whose time is looked at first */

	struct queue *asked; /* whose script is on its way; NULL: none is */
	size_t moving_count; /* in promote.lua */
};

static struct due_queue *
find(struct delayed *d, const struct queue *q)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->queues[i].queue == q)
			return &d->queues[i];
	return NULL;
}

static void
ask_by(struct due_queue *dq, int64_t at_ms)
{
	if (at_ms < dq->ask_at_ms)
		dq->ask_at_ms = at_ms;
}

/* Once in a lease somebody looks, whatever was told; not all daemons at the same time. */
static int64_t
safety_ms(struct delayed *d)
{
	const int64_t half = d->o.lease_ms / 2;

	return half + random_next(&d->random) % (half + 1);
}

/* ---- moving them ---- */

/* Carried out? Else this queue is asked again when it may be tried. */
static bool
is_done(struct delayed *d, struct due_queue *dq, struct tries *tries, int status,
	const struct redis_reply *reply)
{
	const enum fault fault =
		tries_take(tries, &d->tries, dq->queue->name, status, reply);

	if (fault == FAULT_NOSCRIPT)
		d->o.ops->on_noscript(d->o.arg);
	if (fault != FAULT_NONE)
		dq->ask_at_ms = 0; /* as soon as it may be tried */
	return fault == FAULT_NONE;
}

static bool
is_moved_answer(const struct redis_reply *r, size_t jobs)
{
	return r->type == REDIS_ARRAY && r->count == jobs;
}

static bool
any_is_gone(const struct redis_reply *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->items[i].integer != 0)
			return true;
	return false;
}

static void
on_moved(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct delayed *d = arg;
	struct due_queue *dq = find(d, d->asked); /* NULL: dropped since */
	const struct redis_reply *r = count == 1 ? replies : NULL;

	d->asked = NULL;
	if (r && r->type != REDIS_ERROR && !is_moved_answer(r, d->moving_count))
		r = NULL;
	if (dq && is_done(d, dq, &dq->moves, status, r) && r) {
		if (any_is_gone(r))
			backoff_reset(&dq->no_progress);
		else
			dq->ask_at_ms = stint_at_ms(backoff_next(&dq->no_progress));
	}
	delayed_poke(d);
}

static void
move(struct delayed *d, struct queue *q, const struct redis_reply *ids, size_t count)
{
	struct redis_batch b;

	redis_batch_begin(d->o.conn, &b);
	redis_script_call(&b, d->o.scripts, SCRIPT_PROMOTE, 4 + 2 * count, count);
	redis_key(&b, &q->jobs_key);
	redis_key(&b, &q->ids_key);
	redis_key(&b, &q->delayed_key);
	redis_key(&b, &q->bodies_key);
	for (size_t i = 0; i < count; i++) {
		redis_key_of(&b, &q->result_stem, ids[i].str, ids[i].len);
		redis_key_of(&b, &q->state_stem, ids[i].str, ids[i].len);
	}
	for (size_t i = 0; i < count; i++)
		redis_bulk(&b, ids[i].str, ids[i].len);
	d->asked = q;
	d->moving_count = count;
	redis_batch_send(&b, lease_timeout_ms(d->o.lease_ms), on_moved, d);
}

/* ---- asking ---- */

/* [ms until the next, id, ...] */
static bool
is_due_answer(const struct redis_reply *r)
{
	if (r->type != REDIS_ARRAY || r->count == 0 || r->count > 1 + BATCH_MAX ||
		r->items[0].type != REDIS_INTEGER)
		return false;
	for (size_t i = 1; i < r->count; i++)
		if (r->items[i].type != REDIS_STRING || !r->items[i].str)
			return false;
	return true;
}

static void
on_due(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct delayed *d = arg;
	struct queue *q = d->asked;
	struct due_queue *dq = find(d, q);
	const struct redis_reply *r = count == 1 ? replies : NULL;

	d->asked = NULL;
	if (r && r->type != REDIS_ERROR && !is_due_answer(r))
		r = NULL;
	if (dq && is_done(d, dq, &dq->asks, status, r) && r) {
		const int64_t next_ms = r->items[0].integer;
		const int64_t safe_ms = safety_ms(d);
		const bool is_sooner = next_ms >= 0 && next_ms < safe_ms;

		ask_by(dq, stint_at_ms(is_sooner ? next_ms : safe_ms));
		if (r->count > 1 && !d->is_paused)
			return move(d, q, &r->items[1], r->count - 1);
		backoff_reset(&dq->no_progress);
	}
	delayed_poke(d);
}

static void
ask(struct delayed *d, struct due_queue *dq)
{
	struct redis_batch b;

	/* what is told from now on may be unknown to the answer */
	dq->ask_at_ms = STINT_NEVER;
	d->asked = dq->queue;
	redis_batch_begin(d->o.conn, &b);
	redis_script_call(&b, d->o.scripts, SCRIPT_DUE, 1, 1);
	redis_key(&b, &dq->queue->delayed_key);
	redis_int(&b, BATCH_MAX);
	redis_batch_send(&b, lease_timeout_ms(d->o.lease_ms), on_due, d);
}

static int64_t
when(const struct due_queue *dq)
{
	int64_t at = dq->ask_at_ms;

	at = at > dq->asks.not_before_ms ? at : dq->asks.not_before_ms;
	return at > dq->moves.not_before_ms ? at : dq->moves.not_before_ms;
}

void
delayed_poke(struct delayed *d)
{
	const int64_t now = stint_now_ms();
	int64_t at = STINT_NEVER;

	if (d->asked || d->is_paused || !tries_is_up(&d->tries))
		return;
	for (size_t i = 0; i < d->count; i++) {
		struct due_queue *dq = &d->queues[(d->turn + i) % d->count];
		const int64_t dq_at = when(dq);

		if (dq_at <= now) {
			d->turn = (d->turn + i + 1) % d->count;
			return ask(d, dq);
		}
		at = dq_at < at ? dq_at : at;
	}
	if (at != STINT_NEVER)
		d->o.ops->wake_at(d->o.arg, at);
}

/* ---- from outside ---- */

int
delayed_new(const struct delayed_opts *opts, struct delayed **ret)
{
	struct delayed *d = calloc(1, sizeof *d);

	if (!d)
		return -ENOMEM;
	d->o = *opts;
	d->random = opts->seed;
	d->tries = (struct tries_conf){.conn = opts->conn,
		.scripts = opts->scripts,
		.refused = "delayed jobs cannot be moved to their queue, trying again",
		.mended = "delayed jobs can be moved again"};
	*ret = d;
	return 0;
}

void
delayed_free(struct delayed *d)
{
	free(d);
}

void
delayed_set_queues(struct delayed *d, struct queue *const *queues, size_t count)
{
	struct due_queue fresh[FETCH_QUEUES_MAX];

	if (count > FETCH_QUEUES_MAX)
		count = FETCH_QUEUES_MAX;
	for (size_t i = 0; i < count; i++) {
		const struct due_queue *old = find(d, queues[i]);

		fresh[i] = (struct due_queue){.queue = queues[i],
			.no_progress = {.min_ms = NO_PROGRESS_MIN_MS,
				.max_ms = NO_PROGRESS_MAX_MS}};
		if (old)
			fresh[i] = *old;
	}
	for (size_t i = 0; i < count; i++)
		d->queues[i] = fresh[i];
	d->count = count;
	d->turn = 0;
}

void
delayed_note_due(struct delayed *d, const struct queue *q, int64_t in_ms)
{
	struct due_queue *dq = find(d, q);

	if (dq && in_ms >= 0)
		ask_by(dq, stint_at_ms(in_ms));
}

void
delayed_on_up(struct delayed *d)
{
	for (size_t i = 0; i < d->count; i++) {
		tries_reset(&d->queues[i].asks);
		tries_reset(&d->queues[i].moves);
		d->queues[i].ask_at_ms = 0;
	}
	delayed_poke(d);
}

void
delayed_pause(struct delayed *d, bool is_paused)
{
	d->is_paused = is_paused;
	delayed_poke(d);
}
