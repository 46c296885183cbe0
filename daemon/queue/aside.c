/*
 * aside.c - finds piles of jobs that were put aside, and takes from them
 *
 *	a listing is due          a pile has something, and there is room
 *	     LIST                             TAKE
 *	       └────────────────────────────────┴──▶ poke: one batch at a time
 */
#define HASH_NONFATAL_OOM 1 /* uthash would end the process */
#include "daemon/queue/aside.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include <uthash.h>
#include "daemon/obs/log.h"
#include "daemon/queue/budget.h"
#include "daemon/queue/entry.h"
#include "daemon/queue/lease.h"
#include "daemon/queue/tries.h"
#include "lib/wire/keys.h"

enum {
	/* How long what another daemon has put aside may go unnoticed; ... */
	LIST_MS = 1500,
	/* ... where no handler has a limit, which is rarely to be expected. */
	LIST_RARELY_MS = 15000,
	TAKES_MAX = 16, /* piles in one batch */
};

/* What is put aside in one queue for one handler. */
struct aside_pile {
	UT_hash_handle hh; /* by handler, in queue->piles */
	size_t count;      /* as it was heard of last */
	bool has_some;     /* as far as is known: cleared by a take that finds too few */
	char handler[];
};

struct take {
	struct queue *queue;
	struct aside_pile *pile;
	struct aside_room asked;
};

enum step { STEP_IDLE, STEP_LIST, STEP_TAKE };

struct aside {
	struct aside_opts o;
	struct tries_conf tries_conf;
	struct tries tries;
	int64_t list_at_ms;

	/* what is on its way */
	enum step step;
	int64_t sent_at_ms;
	struct take takes[TAKES_MAX];
	size_t take_count;
	size_t listed_count; /* queues */
};

/* ---- piles ---- */

static struct aside_pile *
find_pile(const struct queue *q, const char *handler)
{
	struct aside_pile *p;

	HASH_FIND(hh, q->piles, handler, strlen(handler), p);
	return p;
}

/* NULL: no memory; a listing finds it again. */
static struct aside_pile *
get_pile(struct queue *q, const char *handler)
{
	const size_t n = strlen(handler);
	struct aside_pile *p = find_pile(q, handler);

	if (p)
		return p;
	p = calloc(1, sizeof *p + n + 1);
	if (!p)
		return NULL;
	memcpy(p->handler, handler, n + 1);
	HASH_ADD(hh, q->piles, handler, n, p);
	if (p->hh.tbl)
		return p;
	free(p);
	return NULL;
}

void
aside_note(struct queue *q, const char *handler)
{
	struct aside_pile *p = get_pile(q, handler);

	if (p)
		p->has_some = true;
}

bool
aside_has(const struct queue *q, const char *handler)
{
	const struct aside_pile *p = q->piles ? find_pile(q, handler) : NULL;

	return p && p->has_some;
}

/* ---- listing ---- */

/* One row [consumer, "count"] of XPENDING's summary. */
static void
take_holder(struct queue *q, const struct redis_reply *row)
{
	const size_t stem = strlen(KEYS_ASIDE);
	struct aside_pile *p;

	if (row->type != REDIS_ARRAY || row->count != 2 || !row->items[0].str ||
		!row->items[1].str || strncmp(row->items[0].str, KEYS_ASIDE, stem) != 0 ||
		strlen(row->items[0].str) != row->items[0].len)
		return;
	p = get_pile(q, row->items[0].str + stem);
	if (!p)
		return;
	p->count = strtoul(row->items[1].str, NULL, 10);
	p->has_some = true;
}

/* [count, first, last, [holder, ...]]; without a group or a stream there is nothing */
static void
take_summary(struct queue *q, const struct redis_reply *r)
{
	const struct redis_reply *rows;

	for (struct aside_pile *p = q->piles; p; p = p->hh.next)
		p->count = 0;
	if (r->type != REDIS_ARRAY || r->count != 4)
		return;
	rows = &r->items[3];
	for (size_t i = 0; rows->type == REDIS_ARRAY && i < rows->count; i++)
		take_holder(q, &rows->items[i]);
}

static void
on_listed(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct aside *as = arg;
	size_t skip = 0, i = 0;
	struct queue *q;

	as->step = STEP_IDLE;
	as->list_at_ms = stint_at_ms(
		as->o.ops->is_limited(as->o.arg) || aside_count(as) > 0 ? LIST_MS
									: LIST_RARELY_MS);
	if (status < 0 || count != as->listed_count)
		return as->o.ops->wake_at(as->o.arg, as->list_at_ms);
	/* queues that were made meanwhile are at the front of the list */
	LIST_FOREACH (q, as->o.queues, link)
		skip++;
	skip -= count;
	LIST_FOREACH (q, as->o.queues, link) {
		if (i >= skip)
			take_summary(q, &replies[i - skip]);
		i++;
	}
	aside_poke(as);
}

static void
list(struct aside *as)
{
	const struct queue *q;
	struct redis_batch b;

	as->step = STEP_LIST;
	as->listed_count = 0;
	redis_batch_begin(as->o.conn, &b);
	LIST_FOREACH (q, as->o.queues, link) {
		redis_cmd(&b, 3);
		redis_str(&b, "XPENDING");
		redis_key(&b, &q->jobs_key);
		redis_str(&b, KEYS_GROUP);
		as->listed_count++;
	}
	redis_batch_send(&b, lease_timeout_ms(as->o.lease_ms), on_listed, as);
}

/* ---- taking ---- */

/* Whether the row was lost: there was no memory for its job. */
static bool
is_lost_row(struct aside *as, struct queue *q, const struct redis_reply *row)
{
	struct redis_reply entry = {.type = REDIS_ARRAY, .items = row->items, .count = 2};
	struct job *job;

	if (row->type != REDIS_ARRAY || row->count != 3 || !row->items[0].str)
		return true;
	if (as->o.ops->is_known(as->o.arg, q, row->items[0].str))
		return false;
	if (entry_job(&entry, &job) < 0)
		return true;
	if (!job)
		return false;
	budget_count_entry(q, &entry);
	if (row->items[2].type == REDIS_INTEGER && row->items[2].integer > 0)
		job->deliveries = row->items[2].integer > INT_MAX
					  ? INT_MAX
					  : (int)row->items[2].integer;
	as->o.ops->on_job(as->o.arg, q, job, as->sent_at_ms);
	return false;
}

/* Whether a row of it was lost. */
static bool
take_rows(struct aside *as, const struct take *t, const struct redis_reply *r)
{
	bool is_any_lost = false;

	t->pile->count -= r->count < t->pile->count ? r->count : t->pile->count;
	if (r->count < t->asked.count)
		t->pile->has_some = false;
	for (size_t i = 0; i < r->count; i++)
		is_any_lost = is_lost_row(as, t->queue, &r->items[i]) || is_any_lost;
	return is_any_lost;
}

/* The answer to one call; whether a job in it was lost. */
static bool
take_answer(struct aside *as, const struct take *t, const struct redis_reply *r)
{
	const bool is_answer = r->type == REDIS_ARRAY || r->type == REDIS_ERROR;
	enum fault fault;

	if (fault_of(r) == FAULT_NOGROUP || redis_is_error(r, "WRONGTYPE")) {
		t->pile->has_some = false;
		t->pile->count = 0;
		return false;
	}
	fault = tries_take(
		&as->tries, &as->tries_conf, t->queue->name, 0, is_answer ? r : NULL);
	if (fault == FAULT_NOSCRIPT)
		as->o.ops->on_noscript(as->o.arg);
	return fault == FAULT_NONE && take_rows(as, t, r);
}

static void
on_taken(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct aside *as = arg;
	bool is_any_lost = false;

	as->step = STEP_IDLE;
	if (status < 0 || count != as->take_count) {
		tries_take(&as->tries, &as->tries_conf, "", status, NULL);
		as->o.ops->wake_at(as->o.arg, as->tries.not_before_ms);
		if (status != -ENOTCONN)
			as->o.ops->on_lost_reply(as->o.arg);
		return;
	}
	as->step = STEP_TAKE; /* whoever is called may poke */
	for (size_t i = 0; i < count; i++)
		is_any_lost = take_answer(as, &as->takes[i], &replies[i]) || is_any_lost;
	as->step = STEP_IDLE;
	as->o.ops->on_read(as->o.arg);
	if (is_any_lost)
		as->o.ops->on_lost_reply(as->o.arg);
	aside_poke(as);
}

static void
write_take(struct aside *as, struct redis_batch *b, const struct take *t)
{
	redis_script_call(b, as->o.scripts, SCRIPT_TAKE_ASIDE, 1, 5);
	redis_key(b, &t->queue->jobs_key);
	redis_str(b, KEYS_GROUP);
	redis_str(b, as->o.consumer);
	redis_str(b, t->pile->handler);
	redis_int(b, t->asked.min_age_ms);
	redis_int(b, (int64_t)t->asked.count);
}

/* All piles that have something for which there is room. */
static void
plan_takes(struct aside *as)
{
	struct take t;

	as->take_count = 0;
	LIST_FOREACH (t.queue, as->o.queues, link)
		for (t.pile = t.queue->piles; t.pile; t.pile = t.pile->hh.next) {
			if (!t.pile->has_some || as->take_count == TAKES_MAX)
				continue;
			t.asked = as->o.ops->room(as->o.arg, t.queue, t.pile->handler);
			if (t.asked.count == 0)
				continue;
			t.asked.count = budget_entries(&t.queue, 1, t.asked.count);
			as->takes[as->take_count++] = t;
		}
}

static void
take(struct aside *as)
{
	struct redis_batch b;

	plan_takes(as);
	if (as->take_count == 0)
		return;
	as->step = STEP_TAKE;
	as->sent_at_ms = stint_now_ms();
	redis_batch_begin(as->o.conn, &b);
	for (size_t i = 0; i < as->take_count; i++)
		write_take(as, &b, &as->takes[i]);
	redis_batch_send(&b, lease_timeout_ms(as->o.lease_ms), on_taken, as);
}

/* ---- the one place where it is decided what comes next ---- */

void
aside_poke(struct aside *as)
{
	const int64_t now = stint_now_ms();

	if (as->step != STEP_IDLE || LIST_EMPTY(as->o.queues) ||
		!tries_is_up(&as->tries_conf))
		return;
	if (now < as->tries.not_before_ms)
		return as->o.ops->wake_at(as->o.arg, as->tries.not_before_ms);
	if (now >= as->list_at_ms)
		return list(as);
	as->o.ops->wake_at(as->o.arg, as->list_at_ms);
	take(as);
}

/* ---- from outside ---- */

int
aside_new(const struct aside_opts *opts, struct aside **ret)
{
	struct aside *as = calloc(1, sizeof *as);

	if (!as)
		return -ENOMEM;
	as->o = *opts;
	as->tries_conf = (struct tries_conf){.conn = opts->conn,
		.scripts = opts->scripts,
		.refused = "jobs that were put aside cannot be taken, trying again",
		.mended = "jobs that were put aside can be taken again"};
	*ret = as;
	return 0;
}

void
aside_free(struct aside *as)
{
	struct aside_pile *p, *next;
	struct queue *q;

	if (!as)
		return;
	LIST_FOREACH (q, as->o.queues, link)
		HASH_ITER (hh, q->piles, p, next) {
			HASH_DEL(q->piles, p);
			free(p);
		}
	free(as);
}

void
aside_look(struct aside *as)
{
	as->list_at_ms = 0;
}

void
aside_on_up(struct aside *as)
{
	tries_reset(&as->tries);
	aside_look(as);
	aside_poke(as);
}

bool
aside_is_reading(const struct aside *as)
{
	return as->step == STEP_TAKE;
}

size_t
aside_count(const struct aside *as)
{
	const struct queue *q;
	size_t n = 0;

	LIST_FOREACH (q, as->o.queues, link)
		for (const struct aside_pile *p = q->piles; p; p = p->hh.next)
			n += p->count;
	return n;
}

void
aside_log(const struct aside *as)
{
	const struct queue *q;

	LIST_FOREACH (q, as->o.queues, link)
		for (const struct aside_pile *p = q->piles; p; p = p->hh.next)
			if (p->count > 0 || p->has_some)
				log_info("jobs are put aside", F_STR("queue", q->name),
					F_STR("handler", p->handler),
					F_INT("jobs", p->count));
}
