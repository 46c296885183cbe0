/*
 * reports.c - progress of running jobs, on its way to Redis
 */
#include "daemon/queue/reports.h"

#include <errno.h>
#include <stdlib.h>
#include <stint/clock.h>
#include "daemon/queue/lease.h"
#include "daemon/queue/tries.h"
#include "lib/wire/keys.h"

enum { CALL_JOBS = 128 }; /* in one call of the script, which bounds its time */

struct reports {
	struct reports_opts opts;
	bool has_news;
	bool is_busy; /* a batch is on its way */
	int64_t not_before_ms;
	struct tries_conf tries_conf;
	struct tries tries;
};

/* It runs, and is ours as far as we know. */
static bool
may_report(const struct attempt *a)
{
	return atomic_load_explicit(&a->slot, memory_order_relaxed) >= 0 && !a->is_lost;
}

static void
take_news(struct attempt *a)
{
	struct progress *news;

	if (!atomic_load_explicit(&a->news, memory_order_relaxed))
		return;
	/* acquire: what the worker has written there is ours to read */
	news = atomic_exchange_explicit(&a->news, NULL, memory_order_acquire);
	free(a->progress);
	a->progress = news;
	a->is_report_due = true;
}

/* How many reports of the queue are due. */
static size_t
look(struct queue *q)
{
	struct attempt *a, *next;
	size_t due = 0;

	HASH_ITER (by_entry, q->held, a, next) {
		take_news(a);
		due += a->is_report_due && may_report(a);
	}
	return due;
}

/* ---- the answer ---- */

/* Once more, with whatever is the newest then. */
static void
try_again(struct reports *r)
{
	struct attempt *a, *next;
	struct queue *q;

	LIST_FOREACH (q, r->opts.queues, link)
		HASH_ITER (by_entry, q->held, a, next)
			a->is_report_due = a->progress != NULL;
	r->has_news = true;
}

/* The last reply that is no list, and of which queue; or just the last one. */
static const struct redis_reply *
worst_reply(struct reports *r, const struct redis_reply *replies, size_t count,
	const char **ret_queue)
{
	const struct redis_reply *worst = NULL;
	struct queue *q;
	size_t i = 0;

	*ret_queue = "";
	LIST_FOREACH (q, r->opts.queues, link) {
		for (; q->report_calls > 0; q->report_calls--, i++) {
			if (i >= count || (worst && worst->type != REDIS_ARRAY &&
						  replies[i].type == REDIS_ARRAY))
				continue;
			worst = &replies[i];
			*ret_queue = q->name;
		}
	}
	return worst;
}

static void
on_written(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct reports *r = arg;
	const struct redis_reply *worst;
	const char *queue;
	enum fault fault;

	if (status == -ECANCELED) /* the daemon ends */
		return;
	r->is_busy = false;
	worst = worst_reply(r, replies, count, &queue);
	fault = tries_take(&r->tries, &r->tries_conf, queue, status, worst);
	if (fault != FAULT_NONE)
		try_again(r);
	if (fault == FAULT_NOSCRIPT)
		r->opts.ops->on_noscript(r->opts.arg);
	reports_poke(r);
}

/* ---- the batch ---- */

/* Longer than that no attempt can last: should it ever stay behind, it goes by itself. */
static int64_t
ttl_ms(const struct reports *r, const struct attempt *a)
{
	return a->handler->timeout_ms + a->handler->kill_grace_ms + r->opts.lease_ms;
}

static void
write_call(struct reports *r, struct redis_batch *b, struct queue *q,
	struct attempt **list, size_t count)
{
	q->report_calls++;
	redis_script_call(b, r->opts.scripts, SCRIPT_REPORT, 1 + count, 2 + 4 * count);
	redis_key(b, &q->jobs_key);
	for (size_t i = 0; i < count; i++)
		redis_key_of(b, &q->state_stem, list[i]->job->id.p, list[i]->job->id.n);
	redis_str(b, KEYS_GROUP);
	redis_str(b, r->opts.consumer);
	for (size_t i = 0; i < count; i++) {
		redis_str(b, list[i]->job->entry_id);
		redis_int(b, list[i]->progress->percent);
		redis_str(b, list[i]->progress->note);
		redis_int(b, ttl_ms(r, list[i]));
	}
}

static void
write_queue(struct reports *r, struct redis_batch *b, struct queue *q)
{
	struct attempt *list[CALL_JOBS], *a, *next;
	size_t count = 0;

	HASH_ITER (by_entry, q->held, a, next) {
		if (!a->is_report_due || !may_report(a))
			continue;
		a->is_report_due = false;
		list[count++] = a;
		if (count == CALL_JOBS) {
			write_call(r, b, q, list, count);
			count = 0;
		}
	}
	if (count > 0)
		write_call(r, b, q, list, count);
}

static void
write_news(struct reports *r)
{
	struct redis_batch b;
	struct queue *q;
	size_t due = 0;

	r->has_news = false;
	r->opts.ops->listen(r->opts.arg);
	LIST_FOREACH (q, r->opts.queues, link)
		due += look(q);
	if (due == 0)
		return;
	r->is_busy = true;
	r->not_before_ms = stint_at_ms(REPORTS_EVERY_MS);
	redis_batch_begin(r->opts.conn, &b);
	LIST_FOREACH (q, r->opts.queues, link)
		write_queue(r, &b, q);
	redis_batch_send(&b, lease_timeout_ms(r->opts.lease_ms), on_written, r);
}

void
reports_poke(struct reports *r)
{
	int64_t not_before_ms = r->not_before_ms;

	if (!r->has_news || r->is_busy)
		return;
	if (not_before_ms < r->tries.not_before_ms)
		not_before_ms = r->tries.not_before_ms;
	if (stint_now_ms() < not_before_ms)
		r->opts.ops->wake_at(r->opts.arg, not_before_ms);
	else if (tries_is_up(&r->tries_conf))
		write_news(r);
}

/* ---- from outside ---- */

void
reports_note(struct reports *r)
{
	r->has_news = true;
	reports_poke(r);
}

void
reports_on_up(struct reports *r)
{
	tries_reset(&r->tries);
	reports_poke(r);
}

int
reports_new(const struct reports_opts *opts, struct reports **ret)
{
	struct reports *r = calloc(1, sizeof *r);

	if (!r)
		return -ENOMEM;
	r->opts = *opts;
	r->tries_conf = (struct tries_conf){.conn = opts->conn,
		.scripts = opts->scripts,
		.refused = "progress of jobs cannot be written, trying again",
		.mended = "progress of jobs can be written again"};
	*ret = r;
	return 0;
}

void
reports_free(struct reports *r)
{
	free(r);
}
