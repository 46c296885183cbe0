/*
 * lease.c - renews what is in flight, and tells what could not be renewed
 *
 * The list is walked when its oldest lease may be a third over, and a few times in each
 * lease besides: a job that a blocked read brought is leased since that read was sent. So
 * a busy daemon with short jobs renews nothing, and each walk is rare.
 *
 * Attempts may end, and others begin, while a renewal is on its way. Answers name entry
 * ids; only attempts that are marked as renewing are meant by them.
 */
#include "daemon/queue/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/queue/tries.h"
#include "lib/wire/keys.h"

enum {
	/* parts of a lease */
	RENEW_PART = 3,  /* renewed when a third is over: two tries can fail */
	EXPIRE_PART = 4, /* the last quarter is for ending what runs, ... */
	HOLD_PART = 8,   /* ... the last eighth for killing what does not end */
	WALK_PART = 12,  /* how late a lease that began in the past may be noticed */
	TIMEOUT_PART = 3,
	RETRY_PART = 8,

	TIMEOUT_MAX_MS = 5000,
	RETRY_MAX_MS = 5000,
};

/* One call of the script, on its way. */
struct call {
	struct queue *queue;
	bool is_failed;
};

struct lease {
	struct lease_opts opts;
	int64_t walk_at_ms;
	bool is_due; /* renew as soon as that is possible */

	bool is_busy; /* a renewal is on its way, or its answer is being told */
	int64_t sent_at_ms;
	bool has_control; /* its last command is control's */
	struct call *calls;
	size_t call_count;

	struct attempt **sorted; /* only while a renewal is written */

	struct tries_conf tries_conf;
	struct tries tries;
};

int64_t
lease_timeout_ms(int64_t lease_ms)
{
	const int64_t part_ms = lease_ms / TIMEOUT_PART;

	return part_ms < TIMEOUT_MAX_MS ? part_ms : TIMEOUT_MAX_MS;
}

int64_t
lease_retry_max_ms(int64_t lease_ms)
{
	const int64_t part_ms = lease_ms / RETRY_PART;

	return part_ms < RETRY_MAX_MS ? part_ms : RETRY_MAX_MS;
}

int64_t
lease_hold_ms(int64_t lease_ms)
{
	return lease_ms - lease_ms / HOLD_PART;
}

int64_t
lease_grace_ms(int64_t lease_ms)
{
	return lease_ms / HOLD_PART;
}

bool
lease_is_over(int64_t leased_at_ms, int64_t lease_ms)
{
	return stint_now_ms() >= leased_at_ms + lease_ms - lease_ms / EXPIRE_PART;
}

static struct attempt_list *
in_flight(struct lease *l)
{
	return l->opts.ops->list(l->opts.arg);
}

static bool
has_ended(const struct attempt *a)
{
	/* the loop sets and reads this value */
	return atomic_load_explicit(&a->slot, memory_order_relaxed) == ATTEMPT_ENDED;
}

/* ---- the answer ---- */

static void
earlier(int64_t *at_ms, int64_t other_ms)
{
	if (other_ms < *at_ms)
		*at_ms = other_ms;
}

/* After a batch that failed (@status < 0), or a reply that is no list. */
static void
try_again(struct lease *l, int status, const char *queue, const struct redis_reply *r)
{
	const struct redis_reply *error = r && r->type == REDIS_ERROR ? r : NULL;
	const int64_t latest_ms = stint_at_ms(lease_timeout_ms(l->opts.lease_ms) / 2);

	l->is_due = true;
	if (tries_take(&l->tries, &l->tries_conf, queue, status, error) == FAULT_NOSCRIPT)
		return l->opts.ops->on_noscript(l->opts.arg);
	/* leases do not wait for long */
	earlier(&l->tries.not_before_ms, latest_ms);
	l->opts.ops->wake_at(l->opts.arg, l->tries.not_before_ms);
}

static void
lose(struct lease *l, const struct queue *q, const char *entry_id)
{
	struct attempt *a = l->opts.ops->find(l->opts.arg, q, entry_id);

	if (!a || !a->is_renewing)
		return;
	a->is_renewing = false;
	a->is_lost = true;
	if (!has_ended(a))
		l->opts.ops->on_lost(l->opts.arg, a);
}

/* [entry, ...]: those that are not ours any more */
static void
take_lost(struct lease *l, const struct queue *q, const struct redis_reply *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->items[i].type == REDIS_STRING && r->items[i].str)
			lose(l, q, r->items[i].str);
}

static bool
is_failed(const struct lease *l, const struct queue *q)
{
	for (size_t i = 0; i < l->call_count; i++)
		if (l->calls[i].is_failed && l->calls[i].queue == q)
			return true;
	return false;
}

/* Those that are still marked were not lost. */
static void
take_renewed(struct lease *l, bool any_failed)
{
	struct attempt *a;

	TAILQ_FOREACH (a, in_flight(l), in_flight) {
		if (!a->is_renewing)
			continue;
		a->is_renewing = false;
		if (any_failed && is_failed(l, a->queue))
			continue;
		a->leased_at_ms = l->sent_at_ms;
		a->is_expiring = false;
	}
}

static void
take_calls(struct lease *l, const struct redis_reply *replies)
{
	size_t failed = l->call_count; /* the last one that did */

	for (size_t i = 0; i < l->call_count; i++) {
		l->calls[i].is_failed = replies[i].type != REDIS_ARRAY;
		if (l->calls[i].is_failed)
			failed = i;
		else
			take_lost(l, l->calls[i].queue, &replies[i]);
	}
	take_renewed(l, failed < l->call_count);
	if (failed < l->call_count)
		try_again(l, 0, l->calls[failed].queue->name, &replies[failed]);
	else
		tries_take(
			&l->tries, &l->tries_conf, l->calls[0].queue->name, 0, replies);
}

static void
forget_renewal(struct lease *l, int status)
{
	struct attempt *a;

	TAILQ_FOREACH (a, in_flight(l), in_flight)
		a->is_renewing = false;
	l->is_busy = false;
	try_again(l, status, "", NULL);
}

static void
on_renewed(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct lease *l = arg;

	if (status < 0 || count != l->call_count + l->has_control)
		return forget_renewal(l, status);
	take_calls(l, replies);
	if (l->has_control)
		l->opts.ops->take_control(l->opts.arg, &replies[l->call_count]);
	l->is_busy = false;
	lease_poke(l);
}

/* ---- the renewal ---- */

static int
compare_queues(const void *left, const void *right)
{
	struct attempt *const *a = left, *const *b = right;

	return strcmp((*a)->queue->name, (*b)->queue->name);
}

/* All that are to be renewed, queue by queue. */
static ssize_t
sort_by_queue(struct lease *l)
{
	struct attempt **sorted;
	size_t count = 0, room = 0;
	struct attempt *a;

	TAILQ_FOREACH (a, in_flight(l), in_flight)
		room += !a->is_lost;
	if (room == 0)
		return 0;
	sorted = reallocarray(l->sorted, room, sizeof(struct attempt *));
	if (!sorted)
		return -ENOMEM;
	l->sorted = sorted;
	TAILQ_FOREACH (a, in_flight(l), in_flight)
		if (!a->is_lost)
			sorted[count++] = a;
	qsort(sorted, count, sizeof(struct attempt *), compare_queues);
	return (ssize_t)count;
}

/* How many of the first belong to one call. */
static size_t
call_size(struct attempt *const *list, size_t count)
{
	size_t n = 1;

	while (n < count && n < LEASE_CALL_ENTRIES && list[n]->queue == list[0]->queue)
		n++;
	return n;
}

static int
plan_calls(struct lease *l, size_t count)
{
	struct call *calls;
	size_t calls_count = 0;

	for (size_t i = 0; i < count; i += call_size(&l->sorted[i], count - i))
		calls_count++;
	calls = reallocarray(l->calls, calls_count, sizeof *calls);
	if (!calls)
		return -ENOMEM;
	l->calls = calls;
	l->call_count = 0;
	return 0;
}

static void
write_call(struct lease *l, struct redis_batch *b, struct attempt **list, size_t count)
{
	l->calls[l->call_count++] = (struct call){.queue = list[0]->queue};
	redis_script_call(b, l->opts.scripts, SCRIPT_RENEW, 1, 2 + count);
	redis_key(b, &list[0]->queue->jobs_key);
	redis_str(b, KEYS_GROUP);
	redis_str(b, l->opts.consumer);
	for (size_t i = 0; i < count; i++) {
		redis_str(b, list[i]->job->entry_id);
		list[i]->is_renewing = true;
	}
}

static void
renew(struct lease *l)
{
	const ssize_t count = sort_by_queue(l);
	struct redis_batch b;
	size_t n;

	l->is_due = false;
	if (count == 0)
		return;
	if (count < 0 || plan_calls(l, (size_t)count) < 0)
		return try_again(l, -ENOMEM, "", NULL);
	l->is_busy = true;
	l->sent_at_ms = stint_now_ms();
	redis_batch_begin(l->opts.conn, &b);
	for (size_t i = 0; i < (size_t)count; i += n) {
		n = call_size(&l->sorted[i], (size_t)count - i);
		write_call(l, &b, &l->sorted[i], n);
	}
	l->has_control = l->opts.ops->write_control(l->opts.arg, &b) > 0;
	redis_batch_send(&b, lease_timeout_ms(l->opts.lease_ms), on_renewed, l);
}

/* ---- the one place where it is decided what comes next ---- */

/* Tell what expires; find out whether a renewal is due, and when to look again. */
static void
walk(struct lease *l, int64_t now)
{
	const int64_t lease_ms = l->opts.lease_ms;
	int64_t next_ms = now + lease_ms / WALK_PART + 1;
	struct attempt *a, *next;

	l->walk_at_ms = next_ms; /* should a callee poke: no second walk inside of this */
	for (a = TAILQ_FIRST(in_flight(l)); a; a = next) {
		const int64_t renew_at_ms = a->leased_at_ms + lease_ms / RENEW_PART;
		const int64_t expire_at_ms =
			a->leased_at_ms + lease_ms - lease_ms / EXPIRE_PART;

		next = TAILQ_NEXT(a, in_flight);
		if (a->is_lost)
			continue;
		if (renew_at_ms > now)
			earlier(&next_ms, renew_at_ms);
		else if (!l->is_busy)
			l->is_due = true;
		if (a->is_expiring || has_ended(a))
			continue;
		if (expire_at_ms > now) {
			earlier(&next_ms, expire_at_ms);
			continue;
		}
		a->is_expiring = true;
		l->opts.ops->on_expiring(l->opts.arg, a);
	}
	l->walk_at_ms = next_ms;
}

void
lease_poke(struct lease *l)
{
	const int64_t now = stint_now_ms();

	if (TAILQ_EMPTY(in_flight(l))) {
		l->is_due = false;
		return;
	}
	if (now >= l->walk_at_ms)
		walk(l, now);
	if (l->is_due && !l->is_busy && now >= l->tries.not_before_ms &&
		tries_is_up(&l->tries_conf))
		renew(l);
	l->opts.ops->wake_at(l->opts.arg, l->walk_at_ms);
}

/* ---- from outside ---- */

int
lease_new(const struct lease_opts *opts, struct lease **ret)
{
	struct lease *l = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	l->opts = *opts;
	l->tries_conf = (struct tries_conf){.conn = opts->conn,
		.scripts = opts->scripts,
		.refused = "leases cannot be renewed, trying again",
		.mended = "leases can be renewed again"};
	*ret = l;
	return 0;
}

void
lease_free(struct lease *l)
{
	if (!l)
		return;
	free(l->calls);
	free(l->sorted);
	free(l);
}

void
lease_on_up(struct lease *l)
{
	tries_reset(&l->tries);
	lease_poke(l);
}

void
lease_on_down(struct lease *l)
{
	l->is_due = true;
}
