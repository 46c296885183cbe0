/*
 * claim.c - lists consumers, takes over from those that are gone, and reclaims
 *
 *	a listing is due    someone is gone     a scan is due
 *	     LIST              TAKE_OVER           RECLAIM
 *	       └───────────────────┴──────────────────┴──▶ poke: one batch at a time
 *
 * A listing (roster.c) finds who is gone. A scan of a queue is page after page of
 * reclaim.lua, until its cursor is at the end again.
 */
#include "daemon/queue/claim.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/queue/budget.h"
#include "daemon/queue/entry.h"
#include "daemon/queue/fault.h"
#include "daemon/queue/fetch.h"
#include "daemon/queue/lease.h"
#include "daemon/queue/roster.h"
#include "daemon/queue/tries.h"
#include "lib/base/random.h"

#define CURSOR_START "0-0"

enum {
	LIST_EVERY_MS = 60000,
	/* Jobs of a dead daemon run elsewhere two seconds after their lease at the
	   latest. */
	SCAN_MAX_MS = 1500,
	SCAN_PART = 2, /* of a lease */
	/* Away for so long: what the others hold may look as if they were dead. */
	AWAY_PART = 3,
};

enum step { STEP_IDLE, STEP_LIST, STEP_TAKE_OVER, STEP_RECLAIM };

/* The search for entries whose lease has ended, in one queue. */
struct scan {
	struct queue *queue;
	char cursor[ENTRY_ID_BYTES];
	int64_t at_ms; /* of the next page */
	size_t found;
	struct tries tries;
};

struct claim {
	struct claim_opts opts;
	uint64_t random;
	bool is_paused;
	struct scan scans[FETCH_QUEUES_MAX];
	size_t scan_count;
	struct roster roster;
	struct tries_conf tries_conf;
	struct tries tries; /* of what is not a scan */
	int64_t list_at_ms;
	int64_t down_at_ms; /* the writer is away since then; STINT_NEVER: it is not */

	/* what is on its way */
	enum step step;
	struct queue *asked;
	struct gone *taking;
	int64_t sent_at_ms;
	bool has_lost_row; /* there was no memory for its job */
};

static int64_t
jittered(struct claim *c, int64_t ms)
{
	return ms - ms / 4 + random_next(&c->random) % (ms / 4 + 1);
}

static struct scan *
scan_of(struct claim *c, const struct queue *q)
{
	for (size_t i = 0; i < c->scan_count; i++)
		if (c->scans[i].queue == q)
			return &c->scans[i];
	return NULL;
}

static void
send_step(struct claim *c, struct redis_batch *b, enum step step, redis_done_fn done)
{
	c->step = step;
	c->sent_at_ms = stint_now_ms();
	redis_batch_send(b, lease_timeout_ms(c->opts.lease_ms), done, c);
}

static void
call_script(struct claim *c, struct redis_batch *b, enum script script,
	const struct queue *q, const char *consumer, size_t more)
{
	redis_script_call(b, c->opts.scripts, script, 1, 2 + more);
	redis_key(b, &q->jobs_key);
	redis_str(b, KEYS_GROUP);
	redis_str(b, consumer);
}

/* ---- answers ---- */

/* A batch failed as a whole: usually the connection is lost, and claim_on_up() goes on.
 */
static void
on_lost_batch(struct claim *c, int status)
{
	const bool may_hold = c->step == STEP_TAKE_OVER || c->step == STEP_RECLAIM;

	c->step = STEP_IDLE;
	tries_take(&c->tries, &c->tries_conf, "", status, NULL);
	c->opts.ops->wake_at(c->opts.arg, c->tries.not_before_ms);
	if (may_hold && status != -ENOTCONN)
		c->opts.ops->on_lost_reply(c->opts.arg);
}

/* The answer to a call, of one queue or of all: whether it was carried out. */
static bool
is_done(struct claim *c, struct tries *t, const char *queue, const struct redis_reply *r)
{
	const bool is_answer = r->type == REDIS_ERROR || r->type == REDIS_ARRAY;
	const enum fault fault =
		tries_take(t, &c->tries_conf, queue, 0, is_answer ? r : NULL);

	if (fault == FAULT_NOSCRIPT)
		c->opts.ops->on_noscript(c->opts.arg);
	return fault == FAULT_NONE;
}

/* [entry, fields, deliveries]; a job of no entry or a known one is not made. */
static int
row_job(struct claim *c, struct queue *q, const struct redis_reply *row,
	struct job **ret_job)
{
	struct redis_reply entry = {.type = REDIS_ARRAY, .items = row->items, .count = 2};
	int r;

	*ret_job = NULL;
	if (row->type != REDIS_ARRAY || row->count != 3 ||
		row->items[0].type != REDIS_STRING || !row->items[0].str)
		return -EPROTO;
	if (c->opts.ops->is_known(c->opts.arg, q, row->items[0].str))
		return 0;
	r = entry_job(&entry, ret_job);
	if (r < 0 || !*ret_job)
		return r;
	budget_count_entry(q, &entry);
	if (row->items[2].type == REDIS_INTEGER && row->items[2].integer > 0)
		(*ret_job)->deliveries = row->items[2].integer > INT_MAX
						 ? INT_MAX
						 : (int)row->items[2].integer;
	return 0;
}

/* How many jobs there were in them. */
static size_t
take_rows(struct claim *c, struct queue *q, const struct redis_reply *rows, size_t count)
{
	size_t found = 0;
	struct job *job;

	for (size_t i = 0; i < count; i++) {
		if (row_job(c, q, &rows[i], &job) < 0)
			c->has_lost_row = true;
		if (!job)
			continue;
		found++;
		c->opts.ops->on_job(c->opts.arg, q, job, c->sent_at_ms);
	}
	return found;
}

/* All of a reply was taken, and what it changes is noted: whoever is called may poke. */
static void
end_reply(struct claim *c)
{
	const bool has_lost_row = c->has_lost_row;

	c->step = STEP_IDLE;
	c->has_lost_row = false;
	c->opts.ops->on_read(c->opts.arg);
	if (has_lost_row)
		c->opts.ops->on_lost_reply(c->opts.arg);
	claim_poke(c);
}

/* ---- who is gone ---- */

static void
on_listed(void *arg, int status, const struct redis_reply *fault)
{
	struct claim *c = arg;

	if (status < 0)
		return on_lost_batch(c, status);
	c->step = STEP_IDLE;
	c->list_at_ms = stint_at_ms(jittered(c, LIST_EVERY_MS));
	if (fault)
		is_done(c, &c->tries, "", fault);
	claim_poke(c);
}

static void
list_consumers(struct claim *c)
{
	for (size_t i = 0; i < c->scan_count; i++)
		c->roster.queues[i] = c->scans[i].queue;
	c->roster.count = c->scan_count;
	c->step = STEP_LIST;
	roster_start(&c->roster);
}

/* ---- taking over ---- */

/* Whose entries can be taken now. */
static struct gone *
next_gone(struct claim *c)
{
	struct gone *g;

	TAILQ_FOREACH (g, &c->roster.gone, link)
		if (!g->queue->is_paused && scan_of(c, g->queue))
			return g;
	return NULL;
}

static void
end_take_over(struct claim *c, struct gone *g)
{
	if (g->found > 0)
		log_info("took over the jobs of a daemon that is gone",
			F_STR("queue", g->queue->name), F_STR("daemon", g->name),
			F_INT("jobs", g->found));
	roster_forget(&c->roster, g);
}

/* [[row, ...], 1 when the consumer holds nothing more and was taken off] */
static void
on_taken_over(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct claim *c = arg;
	struct gone *g = c->taking; /* still listed: no listing ran in between */

	if (status < 0 || count != 2)
		return on_lost_batch(c, status);
	if (is_done(c, &c->tries, c->asked->name, &replies[0]))
		g->found += take_rows(c, c->asked, replies[0].items, replies[0].count);
	/* After any fault the next listing tells whether there is more, but scripts are
	 * back soon. */
	if (fault_of(&replies[0]) != FAULT_NOSCRIPT &&
		(replies[0].count == 0 || replies[1].integer == 1))
		end_take_over(c, g);
	end_reply(c);
}

static void
take_over(struct claim *c, struct gone *g, size_t credit)
{
	struct redis_batch b;

	c->taking = g;
	c->asked = g->queue;
	redis_batch_begin(c->opts.conn, &b);
	call_script(c, &b, SCRIPT_TAKEOVER, g->queue, c->opts.consumer, 2);
	redis_str(&b, g->name);
	redis_int(&b, (int64_t)budget_entries(&g->queue, 1, credit));
	call_script(c, &b, SCRIPT_LEAVE, g->queue, g->name, 0);
	send_step(c, &b, STEP_TAKE_OVER, on_taken_over);
}

/* ---- reclaiming ---- */

static struct scan *
next_scan(struct claim *c)
{
	struct scan *next = NULL;

	for (size_t i = 0; i < c->scan_count; i++)
		if (!c->scans[i].queue->is_paused &&
			(!next || c->scans[i].at_ms < next->at_ms))
			next = &c->scans[i];
	return next;
}

static void
end_scan(struct claim *c, struct scan *s, bool others_hold)
{
	int64_t pause_ms = c->opts.lease_ms;

	if (others_hold && pause_ms / SCAN_PART < SCAN_MAX_MS)
		pause_ms = pause_ms / SCAN_PART;
	else if (others_hold)
		pause_ms = SCAN_MAX_MS;
	s->at_ms = stint_at_ms(jittered(c, pause_ms));
	if (s->found > 0)
		log_info("reclaimed jobs whose lease had ended",
			F_STR("queue", s->queue->name), F_INT("jobs", s->found));
	s->found = 0;
	strcpy(s->cursor, CURSOR_START);
}

static void
take_page(struct claim *c, struct scan *s, const struct redis_reply *r)
{
	if (fault_of(r) == FAULT_NOGROUP) /* nobody holds anything */
		return end_scan(c, s, false);
	if (!is_done(c, &s->tries, s->queue->name, r)) {
		s->at_ms = s->tries.not_before_ms;
		return;
	}
	if (r->count < 2 || !r->items[0].str || r->items[0].len >= ENTRY_ID_BYTES)
		return end_scan(c, s, true);
	s->found += take_rows(c, s->queue, r->items + 2, r->count - 2);
	memcpy(s->cursor, r->items[0].str, r->items[0].len + 1);
	s->at_ms = stint_now_ms();
	if (!strcmp(s->cursor, CURSOR_START))
		end_scan(c, s, r->items[1].integer != 0);
}

static void
on_reclaimed(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct claim *c = arg;
	struct scan *s = scan_of(c, c->asked);
	struct scan dropped = {.queue = c->asked}; /* by a reload, since it was asked */

	if (status < 0 || count != 1)
		return on_lost_batch(c, status);
	take_page(c, s ? s : &dropped, replies);
	end_reply(c);
}

static void
reclaim(struct claim *c, const struct scan *s, size_t credit)
{
	struct redis_batch b;

	c->asked = s->queue;
	redis_batch_begin(c->opts.conn, &b);
	call_script(c, &b, SCRIPT_RECLAIM, s->queue, c->opts.consumer, 3);
	redis_int(&b, c->opts.lease_ms);
	redis_str(&b, s->cursor);
	redis_int(&b, (int64_t)budget_entries(&c->asked, 1, credit));
	send_step(c, &b, STEP_RECLAIM, on_reclaimed);
}

/* ---- the one place where it is decided what comes next ---- */

void
claim_poke(struct claim *c)
{
	const int64_t now = stint_now_ms();
	struct scan *s;
	struct gone *g;
	size_t credit;

	if (c->step != STEP_IDLE || c->is_paused || c->scan_count == 0 ||
		!tries_is_up(&c->tries_conf))
		return;
	if (now < c->tries.not_before_ms)
		return c->opts.ops->wake_at(c->opts.arg, c->tries.not_before_ms);
	if (now >= c->list_at_ms)
		return list_consumers(c);
	credit = c->opts.ops->credit(c->opts.arg);
	g = next_gone(c);
	s = next_scan(c);
	if (g && credit > 0)
		return take_over(c, g, credit);
	if (s && s->at_ms <= now && credit > 0)
		return reclaim(c, s, credit);
	c->opts.ops->wake_at(c->opts.arg, c->list_at_ms);
	if (s && s->at_ms > now)
		c->opts.ops->wake_at(c->opts.arg, s->at_ms);
}

/* ---- from outside ---- */

int
claim_new(const struct claim_opts *opts, struct claim **ret)
{
	struct claim *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	c->opts = *opts;
	c->random = opts->seed;
	c->down_at_ms = STINT_NEVER;
	c->tries_conf = (struct tries_conf){.conn = opts->conn,
		.scripts = opts->scripts,
		.refused = "jobs of dead daemons cannot be taken over, trying again",
		.mended = "jobs of dead daemons can be taken over again"};
	c->roster = (struct roster){.conn = opts->conn,
		.scripts = opts->scripts,
		.consumer = opts->consumer,
		.timeout_ms = lease_timeout_ms(opts->lease_ms),
		.on_end = on_listed,
		.arg = c};
	TAILQ_INIT(&c->roster.gone);
	*ret = c;
	return 0;
}

void
claim_free(struct claim *c)
{
	if (!c)
		return;
	roster_fini(&c->roster);
	free(c);
}

void
claim_set_queues(struct claim *c, struct queue *const *queues, size_t count)
{
	struct scan scans[FETCH_QUEUES_MAX];

	count = count > FETCH_QUEUES_MAX ? FETCH_QUEUES_MAX : count;
	for (size_t i = 0; i < count; i++) {
		const struct scan *old = scan_of(c, queues[i]);

		budget_init(queues[i]);
		scans[i] =
			old ? *old
			    : (struct scan){.queue = queues[i], .cursor = CURSOR_START};
		if (!old)
			c->list_at_ms = 0;
	}
	memcpy(c->scans, scans, count * sizeof *scans);
	c->scan_count = count;
	claim_poke(c);
}

void
claim_on_up(struct claim *c)
{
	const int64_t now = stint_now_ms(), away_ms = c->opts.lease_ms / AWAY_PART;

	if (c->down_at_ms != STINT_NEVER && now - c->down_at_ms >= away_ms)
		for (size_t i = 0; i < c->scan_count; i++)
			c->scans[i].at_ms = now + away_ms;
	c->down_at_ms = STINT_NEVER;
	tries_reset(&c->tries);
	c->list_at_ms = 0;
	claim_poke(c);
}

void
claim_on_down(struct claim *c)
{
	if (c->down_at_ms == STINT_NEVER)
		c->down_at_ms = stint_now_ms();
}

void
claim_pause(struct claim *c, bool is_paused)
{
	c->is_paused = is_paused;
	claim_poke(c);
}

bool
claim_is_reading(const struct claim *c)
{
	return c->step == STEP_TAKE_OVER || c->step == STEP_RECLAIM;
}
