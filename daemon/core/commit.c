/*
 * commit.c - the outbox and its group commit
 */
#include "daemon/core/commit.h"

#include <errno.h>
#include <stdlib.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/obs/log_ids.h"
#include "daemon/queue/lease.h"
#include "lib/base/backoff.h"

enum {
	IN_FLIGHT_MAX =
		2, /* one being executed, one waiting for it; more gains nothing */
	SECOND_BATCH_MIN = 64, /* how many must have gathered for the second */
	BATCH_BYTES_MAX = 1 << 20,

	/* Above this nothing is fetched until Redis has taken some. */
	OUTBOX_MAX = 4096,
	OUTBOX_MAX_BYTES = 64 << 20,

	/* A Redis that waits for its disk may be slow, but the lease does not wait. */
	TIMEOUT_MAX_MS = 10000,
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 5000,
	/* When a MULTI was refused for lack of memory, batches go through the script
	 * (whose first write frees memory) for this long before the MULTI is tried again.
	 */
	SCRIPT_ONLY_MS = 1000,
};

struct batch {
	struct commit *commit;
	struct queue *queue;
	enum finish_kind kind;
	bool is_script; /* a PLAIN one that goes through the script */
	struct attempt_list list;
	size_t count;
};

struct commit {
	struct redis_conn *conn;
	const char *consumer;
	struct queue_list *queues;
	const struct commit_ops *ops;
	void *arg;

	struct redis_scripts *scripts;
	int64_t timeout_ms;
	bool is_loading;
	bool is_refused; /* Redis takes no writes now: told once */
	struct backoff backoff;
	int64_t not_before_ms;
	int64_t script_only_until_ms;

	size_t in_flight; /* batches */
	size_t pending;   /* attempts, on their way or waiting */
	size_t pending_bytes;
	struct queue *turn; /* whose outbox is looked at first */

	void (*on_left)(void *arg);
	void *left_arg;
};

/* ---- outbox ---- */

void
commit_add(struct commit *c, struct attempt *a)
{
	const enum finish_kind kind = finish_kind(a);

	TAILQ_INSERT_TAIL(&a->queue->outbox[kind], a, link);
	a->queue->outbox_count[kind]++;
	c->pending++;
	c->pending_bytes += a->result.len;
}

/* Back to the front, in the old order. */
static void
put_back(struct batch *b, bool is_outcome_unknown)
{
	struct attempt_list *outbox = &b->queue->outbox[b->kind];
	struct attempt *a;

	while ((a = TAILQ_LAST(&b->list, attempt_list))) {
		TAILQ_REMOVE(&b->list, a, link);
		TAILQ_INSERT_HEAD(outbox, a, link);
		a->is_sent_again = a->is_sent_again || is_outcome_unknown;
	}
	b->queue->outbox_count[b->kind] += b->count;
}

static void
fill_batch(struct batch *b)
{
	struct attempt_list *outbox = &b->queue->outbox[b->kind];
	size_t bytes = 0;
	struct attempt *a;

	while ((a = TAILQ_FIRST(outbox)) && b->count < FINISH_BATCH_MAX &&
		(b->count == 0 || bytes + a->result.len <= BATCH_BYTES_MAX)) {
		TAILQ_REMOVE(outbox, a, link);
		TAILQ_INSERT_TAIL(&b->list, a, link);
		bytes += a->result.len;
		b->count++;
	}
	b->queue->outbox_count[b->kind] -= b->count;
}

/* The next queue in turn, and kind, with at least @min waiting. */
static struct queue *
next_waiting(struct commit *c, size_t min, enum finish_kind *ret_kind)
{
	struct queue *first = c->turn ? c->turn : LIST_FIRST(c->queues);
	struct queue *q = first;

	while (q) {
		for (int kind = 0; kind < FINISH_KINDS; kind++)
			if (q->outbox_count[kind] >= min) {
				*ret_kind = (enum finish_kind)kind;
				c->turn = LIST_NEXT(q, link);
				return q;
			}
		q = LIST_NEXT(q, link) ? LIST_NEXT(q, link) : LIST_FIRST(c->queues);
		if (q == first)
			break;
	}
	return NULL;
}

/* ---- scripts ---- */

static void load_scripts(struct commit *c);

static void
back_off(struct commit *c)
{
	c->not_before_ms = stint_at_ms(backoff_next(&c->backoff));
	c->ops->wake_at(c->arg, c->not_before_ms);
}

static void
refuse(struct commit *c, const char *why)
{
	if (!c->is_refused)
		log_error("results cannot be stored, they wait and nothing is fetched",
			F_MESSAGE_ID(LOG_ID_RESULTS_WAIT), F_STR("why", why),
			F_INT("waiting", c->pending));
	c->is_refused = true;
	back_off(c);
}

static void
on_scripts(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct commit *c = arg;
	struct stint_err err = {0};

	c->is_loading = false;
	if (status < 0)
		return;
	if (redis_scripts_loaded(c->scripts, replies, count, &err) < 0)
		return refuse(c, err.msg);
	c->scripts->is_loaded = true;
	commit_poke(c);
	c->ops->on_settled(c->arg);
}

static void
load_scripts(struct commit *c)
{
	struct redis_batch b;

	c->is_loading = true;
	redis_batch_begin(c->conn, &b);
	redis_scripts_load(&b);
	redis_batch_send(&b, c->timeout_ms, on_scripts, c);
}

/* ---- batches ---- */

static void
on_fault(struct commit *c, const struct batch *b, enum fault fault,
	const struct redis_reply *why)
{
	const char *text = why->type == REDIS_ERROR ? why->str : "unexpected answer";

	switch (fault) {
	case FAULT_NOSCRIPT:
		c->scripts->is_loaded = false;
		return;
	case FAULT_WRONG_SERVER:
		return redis_conn_reset(c->conn, text);
	case FAULT_REFUSED:
		if (b->kind == FINISH_PLAIN && !b->is_script &&
			redis_is_error(why, "OOM")) {
			c->script_only_until_ms = stint_at_ms(SCRIPT_ONLY_MS);
			return;
		}
		return refuse(c, text);
	default:
		return refuse(c, text);
	}
}

static void
settle(struct commit *c, struct batch *b, enum finish_kind kind,
	const struct redis_reply *replies, size_t count)
{
	const int64_t next_due_ms = finish_next_due_ms(kind, replies, count);
	size_t i = 0, nth_set = 0;
	struct attempt *a;

	if (c->is_refused)
		log_info("results can be stored again", F_INT("waiting", c->pending));
	c->is_refused = false;
	backoff_reset(&c->backoff);
	while ((a = TAILQ_FIRST(&b->list))) {
		int flags;
		const enum finish_answer answer =
			finish_answer(kind, replies, count, i++, a, &nth_set, &flags);

		TAILQ_REMOVE(&b->list, a, link);
		c->pending--;
		c->pending_bytes -= a->result.len;
		c->ops->on_done(c->arg, a, answer, flags);
	}
	if (next_due_ms >= 0)
		c->ops->on_due(c->arg, b->queue, next_due_ms);
}

static void
on_batch(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct batch *b = arg;
	struct commit *c = b->commit;
	const enum finish_kind kind = b->is_script ? FINISH_SCRIPT : b->kind;
	const struct redis_reply *why;
	enum fault fault = FAULT_OTHER;

	c->in_flight--;
	if (status == 0)
		fault = finish_fault(kind, replies, count, &why);
	if (fault == FAULT_NONE)
		settle(c, b, kind, replies, count);
	else
		put_back(b, status < 0 && status != -ENOTCONN);
	if (status == 0 && fault != FAULT_NONE)
		on_fault(c, b, fault, why);
	free(b);
	commit_poke(c);
	c->ops->on_settled(c->arg);
}

/* After an outage: somebody else may have one of them by now, and its state. */
static bool
may_be_lost(const struct attempt_list *list)
{
	const struct attempt *a = TAILQ_FIRST(list);
	const int64_t lease_ms = a->config->lease_ms;
	int64_t oldest_ms = a->leased_at_ms;

	TAILQ_FOREACH (a, list, link)
		if (a->leased_at_ms < oldest_ms)
			oldest_ms = a->leased_at_ms;
	return lease_is_over(oldest_ms, lease_ms);
}

static int
send_batch(struct commit *c, struct queue *q, enum finish_kind kind)
{
	const struct finish_who who = {.scripts = c->scripts, .consumer = c->consumer};
	struct batch *b = calloc(1, sizeof *b);
	struct redis_batch out;

	if (!b)
		return -ENOMEM;
	*b = (struct batch){.commit = c, .queue = q, .kind = kind};
	TAILQ_INIT(&b->list);
	fill_batch(b);
	b->is_script =
		kind == FINISH_PLAIN &&
		(stint_now_ms() < c->script_only_until_ms || may_be_lost(&b->list));
	c->in_flight++;
	redis_batch_begin(c->conn, &out);
	finish_write(&out, b->is_script ? FINISH_SCRIPT : kind, &who, &b->list);
	redis_batch_send(&out, c->timeout_ms, on_batch, b);
	return 0;
}

void
commit_poke(struct commit *c)
{
	enum finish_kind kind;
	struct queue *q;

	if (!redis_conn_is_up(c->conn) || c->is_loading)
		return;
	if (stint_now_ms() < c->not_before_ms)
		return c->ops->wake_at(c->arg, c->not_before_ms);
	if (!c->scripts->is_loaded)
		return load_scripts(c);
	while (c->in_flight < IN_FLIGHT_MAX) {
		q = next_waiting(c, c->in_flight == 0 ? 1 : SECOND_BATCH_MIN, &kind);
		if (!q)
			break;
		if (send_batch(c, q, kind) < 0)
			return back_off(c);
	}
	/* Refused, and nothing left to try with: what comes next finds out. */
	if (c->is_refused && c->pending == 0)
		c->is_refused = false;
}

/* ---- leaving ---- */

static void
on_left(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct commit *c = arg;

	/* A consumer that stays does no harm: it holds nothing, or what it holds must
	 * stay held. So it does not matter how this ended. */
	(void)status;
	(void)replies;
	(void)count;
	c->on_left(c->left_arg);
}

void
commit_leave(struct commit *c, void (*done)(void *arg), void *arg)
{
	struct redis_batch b;
	const struct queue *q;

	c->on_left = done;
	c->left_arg = arg;
	redis_batch_begin(c->conn, &b);
	LIST_FOREACH (q, c->queues, link) {
		redis_script_call(&b, c->scripts, SCRIPT_LEAVE, 1, 2);
		redis_key(&b, &q->jobs_key);
		redis_str(&b, KEYS_GROUP);
		redis_str(&b, c->consumer);
	}
	redis_batch_send(&b, c->timeout_ms, on_left, c);
}

/* ---- from outside ---- */

int
commit_new(const struct commit_opts *opts, struct commit **ret)
{
	struct commit *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	c->conn = opts->conn;
	c->scripts = opts->scripts;
	c->consumer = opts->consumer;
	c->queues = opts->queues;
	c->timeout_ms =
		opts->lease_ms / 3 < TIMEOUT_MAX_MS ? opts->lease_ms / 3 : TIMEOUT_MAX_MS;
	c->backoff = (struct backoff){BACKOFF_MIN_MS, BACKOFF_MAX_MS, 0};
	c->ops = opts->ops;
	c->arg = opts->arg;
	*ret = c;
	return 0;
}

void
commit_free(struct commit *c)
{
	free(c);
}

void
commit_on_up(struct commit *c)
{
	c->scripts->is_loaded = false;
	c->not_before_ms = 0;
	commit_poke(c);
}

void
commit_on_down(struct commit *c)
{
	c->scripts->is_loaded = false;
}

bool
commit_is_ready(const struct commit *c)
{
	return redis_conn_is_up(c->conn) && c->scripts->is_loaded;
}

bool
commit_is_open(const struct commit *c)
{
	return commit_is_ready(c) && !c->is_refused && c->pending < OUTBOX_MAX &&
	       c->pending_bytes < OUTBOX_MAX_BYTES;
}

size_t
commit_pending_count(const struct commit *c)
{
	return c->pending;
}
