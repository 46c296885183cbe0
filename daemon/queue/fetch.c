/*
 * fetch.c - reads new jobs as a consumer of each queue's group
 *
 *	          ┌──────────── NOGROUP, WRONGTYPE ───────────┐
 *	          ▼                                           │
 *	up ──▶ groups ──▶ (compare pending) ──▶ read one by one ──▶ block on all
 *	                   after a lost read        ▲  │ found some       │
 *	                                            └──┴──────────────────┘
 */
#include "daemon/queue/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/queue/budget.h"
#include "daemon/queue/entry.h"
#include "daemon/queue/fault.h"
#include "daemon/queue/groups.h"
#include "daemon/queue/order.h"
#include "daemon/queue/pending.h"
#include "lib/base/backoff.h"

enum {
	/* How long a read blocks at most: a sign of life for both sides when there is no
	 * work; and what of the lease it may take. */
	BLOCK_MAX_MS = 2000,
	BLOCK_PART = 6,
	/* A reply that takes this much longer is not coming (a half-open connection).
	 * Both together are less than half of the lease. */
	READ_TIMEOUT_MAX_MS = 5000,
	READ_TIMEOUT_PART = 4,

	/* A server that has not noticed that a connection is lost carries out what it was
	 * asked, and gives jobs to the read that blocks until its time is over. */
	LOST_EXTRA_MS = 1000,
	/* How often the jobs in flight are compared with what Redis says we hold. */
	AUDIT_MS = 60000,
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 10000,
	/* A connection that has been silent for this much longer than its time-out should
	 * have been given up: whoever had to notice it does not work. */
	SILENCE_EXTRA_MS = 5000,
};

enum step { STEP_IDLE, STEP_GROUPS, STEP_COMPARE, STEP_READ, STEP_BLOCK };

struct fetch {
	struct redis_conn *conn;
	const char *consumer;
	const struct fetch_ops *ops;
	void *arg;
	int64_t block_ms;
	int64_t timeout_ms;
	int64_t virtual_time; /* of the queue that was served last, with weights */

	struct queue_list *all;
	struct queue *queues[FETCH_QUEUES_MAX]; /* that are read */
	size_t queue_count;
	bool is_weighted;

	enum step step;     /* what is on its way, ... */
	int64_t step_at_ms; /* ... and since when */
	bool is_paused;
	bool must_compare;     /* a read was lost: pending entries may be unknown here */
	int64_t compare_at_ms; /* once more: what the lost read was given since */
	int64_t audit_at_ms;   /* and now and then, to be sure */
	int64_t read_at_ms;    /* when the read that is on its way was sent */
	bool is_faulty;        /* reads fail: told once */
	struct backoff backoff;
	int64_t not_before_ms;
	struct groups groups;
	struct pending pending;

	/* one pass over the queues: those asked, in order, and how far it has come */
	struct queue *order[FETCH_QUEUES_MAX];
	size_t order_len;
	size_t pos;
	bool is_outdated; /* other queues are read from now on */
};

static void
set_step(struct fetch *f, enum step step)
{
	f->step = step;
	f->step_at_ms = stint_now_ms();
}

/* ---- groups ---- */

static void
on_groups(void *arg, int status)
{
	struct fetch *f = arg;

	f->step = STEP_IDLE;
	f->order_len = 0; /* there may be more queues to read now */
	if (status < 0)
		return;
	if (redis_conn_is_up(f->conn)) /* not if this server was the wrong one */
		f->ops->on_ready(f->arg);
	fetch_poke(f);
}

/* ---- comparing the pending list ---- */

static bool
pending_is_known(void *arg, const struct queue *q, const char *entry_id)
{
	struct fetch *f = arg;

	return f->ops->is_known(f->arg, q, entry_id);
}

static void
pending_on_job(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	struct fetch *f = arg;

	f->ops->on_job(f->arg, q, job, leased_at_ms);
}

static void
pending_on_end(void *arg, int status, size_t found)
{
	struct fetch *f = arg;

	f->step = STEP_IDLE;
	if (found > 0) {
		log_warn("read jobs again whose delivery was lost", F_INT("jobs", found));
		f->ops->on_read(f->arg);
	}
	if (status == 0)
		f->must_compare = false;
	else
		f->not_before_ms = stint_at_ms(BACKOFF_MIN_MS);
	fetch_poke(f);
}

static const struct pending_ops pending_ops = {
	.is_known = pending_is_known,
	.on_job = pending_on_job,
	.on_end = pending_on_end,
};

/* ---- reading ---- */

static void
begin_pass(struct fetch *f)
{
	f->order_len = f->pos = 0;
	f->is_outdated = false;
	for (size_t i = 0; i < f->queue_count; i++)
		if (f->queues[i]->has_group && f->ops->may_read(f->arg, f->queues[i]))
			f->order[f->order_len++] = f->queues[i];
	if (f->is_weighted)
		order_sort(f->order, f->order_len);
}

static void
take_entries(struct fetch *f, struct queue *q, const struct redis_reply *entries)
{
	for (size_t i = 0; i < entries->count; i++) {
		struct job *job;
		const int r = entry_job(&entries->items[i], &job);

		if (r < 0) {
			/* it stands in our pending list: found again by comparing */
			f->must_compare = true;
			f->not_before_ms = stint_at_ms(BACKOFF_MIN_MS);
			continue;
		}
		budget_count_entry(q, &entries->items[i]);
		if (job)
			f->ops->on_job(f->arg, q, job, f->read_at_ms);
	}
}

static struct queue *
queue_of_key(struct fetch *f, const struct redis_reply *key)
{
	for (size_t i = 0; i < f->order_len; i++) {
		const struct buf *k = &f->order[i]->jobs_key;

		if (key->str && key->len == k->len && !memcmp(key->str, k->data, k->len))
			return f->order[i];
	}
	return NULL;
}

/* [[key, [entry, ...]], ...]; returns whether there was any job in it. */
static bool
take_streams(struct fetch *f, const struct redis_reply *r)
{
	bool any = false;

	for (size_t i = 0; i < r->count; i++) {
		const struct redis_reply *stream = &r->items[i];
		struct queue *q =
			stream->count == 2 ? queue_of_key(f, &stream->items[0]) : NULL;

		if (!q)
			continue;
		if (f->is_weighted && q->weight > 0) { /* it may be read no more */
			f->virtual_time = q->virtual_time;
			order_charge(q, stream->items[1].count);
		}
		take_entries(f, q, &stream->items[1]);
		any = any || stream->items[1].count > 0;
	}
	return any;
}

static void
on_read_fault(struct fetch *f, enum fault fault, const struct redis_reply *r,
	struct queue **asked, size_t count)
{
	if (fault == FAULT_WRONG_SERVER)
		return redis_conn_reset(f->conn, r->str);
	if (fault == FAULT_NOGROUP || redis_is_error(r, "WRONGTYPE")) {
		/* backed off already: it could not be made, which is an old story */
		if (asked[0]->backoff.now_ms == 0)
			log_info("consumer group is gone, making it again",
				F_STR("why", r->str));
		return groups_lose(asked, count);
	}
	if (!f->is_faulty)
		log_error("jobs cannot be read, trying again", F_STR("why", r->str));
	f->is_faulty = true;
	f->not_before_ms = stint_at_ms(backoff_next(&f->backoff));
}

/* As soon as possible, and once more when nothing is under way any more. */
static void
compare(struct fetch *f)
{
	f->must_compare = true;
	f->compare_at_ms = stint_at_ms(f->block_ms + LOST_EXTRA_MS);
	f->ops->wake_at(f->arg, f->compare_at_ms);
}

static void
on_entries(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct fetch *f = arg;
	const bool was_blocking = f->step == STEP_BLOCK;
	struct queue **asked = was_blocking ? f->order : &f->order[f->pos];
	const size_t asked_count = was_blocking ? f->order_len : 1;
	enum fault fault;

	f->step = STEP_IDLE;
	if (status == -ENOTCONN)
		return;
	if (status < 0 || count != 1)
		return compare(f);
	fault = fault_of(replies);
	if (fault != FAULT_NONE) {
		on_read_fault(f, fault, replies, asked, asked_count);
		f->order_len = 0;
		return fetch_poke(f);
	}
	if (f->is_faulty)
		log_info("jobs can be read again");
	f->is_faulty = false;
	backoff_reset(&f->backoff);
	for (size_t i = 0; i < asked_count; i++) {
		backoff_reset(&asked[i]->backoff);
		if (replies->type == REDIS_NIL)
			order_catch_up(asked[i], f->virtual_time);
	}
	if (!was_blocking)
		f->pos++;
	/* whatever came, the next read is again for the highest priority */
	if ((replies->type == REDIS_ARRAY && take_streams(f, replies)) || f->is_outdated)
		f->order_len = 0;
	f->ops->on_read(f->arg);
	fetch_poke(f);
}

static void
read_streams(struct fetch *f, struct queue *const *queues, size_t count, size_t credit,
	bool block)
{
	struct redis_batch b;

	redis_batch_begin(f->conn, &b);
	redis_cmd(&b, 7 + 2 * count + (block ? 2 : 0));
	redis_str(&b, "XREADGROUP");
	redis_str(&b, "GROUP");
	redis_str(&b, KEYS_GROUP);
	redis_str(&b, f->consumer);
	redis_str(&b, "COUNT");
	redis_int(&b, (int64_t)budget_entries(queues, count, credit));
	if (block) {
		redis_str(&b, "BLOCK");
		redis_int(&b, f->block_ms);
	}
	redis_str(&b, "STREAMS");
	for (size_t i = 0; i < count; i++)
		redis_key(&b, &queues[i]->jobs_key);
	for (size_t i = 0; i < count; i++)
		redis_str(&b, ">");
	set_step(f, block ? STEP_BLOCK : STEP_READ);
	f->read_at_ms = f->step_at_ms;
	redis_batch_send(&b, f->timeout_ms + (block ? f->block_ms : 0), on_entries, f);
}

static void
read_next(struct fetch *f, size_t credit)
{
	if (f->order_len == 0)
		begin_pass(f);
	if (f->order_len == 0)
		return; /* no queue has its group; poke has asked to be woken */
	if (f->order_len == 1 || f->pos == f->order_len)
		read_streams(f, f->order, f->order_len, credit, true);
	else
		read_streams(f, &f->order[f->pos], 1, credit, false);
}

/* ---- the one place where it is decided what comes next ---- */

static bool
is_due_for_compare(struct fetch *f)
{
	const int64_t now = stint_now_ms();

	if (now >= f->compare_at_ms || now >= f->audit_at_ms)
		f->must_compare = true;
	if (now >= f->compare_at_ms)
		f->compare_at_ms = STINT_NEVER;
	if (f->must_compare)
		f->audit_at_ms = stint_at_ms(AUDIT_MS);
	/* asked for each time: an earlier wake-up may have taken its place */
	else
		f->ops->wake_at(f->arg, f->compare_at_ms < f->audit_at_ms
						? f->compare_at_ms
						: f->audit_at_ms);
	return f->must_compare;
}

void
fetch_poke(struct fetch *f)
{
	int64_t groups_at_ms;
	size_t credit;

	if (f->step != STEP_IDLE || !redis_conn_is_up(f->conn))
		return;
	if (stint_now_ms() < f->not_before_ms)
		return f->ops->wake_at(f->arg, f->not_before_ms);
	if (groups_ask(&f->groups, f->queues, f->queue_count)) {
		set_step(f, STEP_GROUPS);
		return;
	}
	groups_at_ms = groups_due_at_ms(f->queues, f->queue_count);
	if (groups_at_ms != STINT_NEVER)
		f->ops->wake_at(f->arg, groups_at_ms);
	if (is_due_for_compare(f)) {
		set_step(f, STEP_COMPARE);
		return pending_start(&f->pending, f->all);
	}
	credit = f->is_paused ? 0 : f->ops->credit(f->arg);
	if (credit > 0)
		read_next(f, credit);
	else
		f->order_len = 0; /* queues that were empty may not be so by then */
}

/* ---- from outside ---- */

static int64_t
part_of(int64_t lease_ms, int part, int64_t max_ms)
{
	return lease_ms / part < max_ms ? lease_ms / part : max_ms;
}

int
fetch_new(struct redis_conn *conn, const char *consumer, int64_t lease_ms,
	struct queue_list *all, const struct fetch_ops *ops, void *arg,
	struct fetch **ret)
{
	struct fetch *f = calloc(1, sizeof *f);

	if (!f)
		return -ENOMEM;
	f->conn = conn;
	f->consumer = consumer;
	f->block_ms = part_of(lease_ms, BLOCK_PART, BLOCK_MAX_MS);
	f->timeout_ms = part_of(lease_ms, READ_TIMEOUT_PART, READ_TIMEOUT_MAX_MS);
	f->backoff = (struct backoff){BACKOFF_MIN_MS, BACKOFF_MAX_MS, 0};
	f->compare_at_ms = STINT_NEVER;
	f->audit_at_ms = stint_at_ms(AUDIT_MS);
	f->all = all;
	f->ops = ops;
	f->arg = arg;
	f->groups = (struct groups){
		.conn = conn, .timeout_ms = f->timeout_ms, .on_end = on_groups, .arg = f};
	f->pending = (struct pending){.conn = conn,
		.consumer = consumer,
		.timeout_ms = f->timeout_ms,
		.ops = &pending_ops,
		.arg = f};
	*ret = f;
	return 0;
}

void
fetch_free(struct fetch *f)
{
	free(f);
}

void
fetch_set_queues(
	struct fetch *f, struct queue *const *queues, size_t count, bool is_weighted)
{
	f->queue_count = count > FETCH_QUEUES_MAX ? FETCH_QUEUES_MAX : count;
	f->is_weighted = is_weighted;
	for (size_t i = 0; i < f->queue_count; i++) {
		f->queues[i] = queues[i];
		budget_init(f->queues[i]);
		groups_init_queue(f->queues[i]);
	}
	fetch_refresh(f);
}

void
fetch_refresh(struct fetch *f)
{
	if (f->step == STEP_IDLE)
		f->order_len = 0;
	else
		f->is_outdated = true; /* the read on its way needs the old order */
}

void
fetch_on_up(struct fetch *f)
{
	groups_forget(f->queues, f->queue_count);
	f->not_before_ms = 0;
	fetch_poke(f);
}

void
fetch_on_down(struct fetch *f)
{
	f->step = STEP_IDLE;
	f->order_len = 0;
}

void
fetch_compare(struct fetch *f)
{
	compare(f);
	fetch_poke(f);
}

void
fetch_pause(struct fetch *f, bool is_paused)
{
	f->is_paused = is_paused;
	fetch_poke(f);
}

bool
fetch_is_reading(const struct fetch *f)
{
	return f->step != STEP_IDLE || (f->must_compare && redis_conn_is_up(f->conn));
}

bool
fetch_is_unsure(const struct fetch *f)
{
	return f->step != STEP_IDLE || f->must_compare || f->compare_at_ms != STINT_NEVER;
}

bool
fetch_is_overdue(const struct fetch *f)
{
	const int64_t heard_at_ms = redis_conn_heard_at_ms(f->conn);
	const int64_t since_ms =
		heard_at_ms > f->step_at_ms ? heard_at_ms : f->step_at_ms;

	return f->step != STEP_IDLE && redis_conn_is_up(f->conn) &&
	       stint_now_ms() > since_ms + f->block_ms + f->timeout_ms + SILENCE_EXTRA_MS;
}

bool
fetch_should_end(const struct fetch *f)
{
	return f->step == STEP_BLOCK && (f->is_outdated || f->is_paused);
}

bool
fetch_is_blocked(const struct fetch *f)
{
	return f->step == STEP_BLOCK;
}
