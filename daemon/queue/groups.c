/*
 * groups.c - XGROUP CREATE for each queue that is read
 */
#include "daemon/queue/groups.h"

#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/queue/fault.h"
#include "lib/wire/keys.h"

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 10000 };

void
groups_init_queue(struct queue *q)
{
	q->backoff.min_ms = BACKOFF_MIN_MS;
	q->backoff.max_ms = BACKOFF_MAX_MS;
}

static void
on_group(struct groups *g, struct queue *q, const struct redis_reply *r)
{
	const enum fault fault = fault_of(r);

	/* Out of memory refuses XGROUP CREATE even where the group exists, but not reads.
	 * If it does not exist, the read will say so. */
	if (fault == FAULT_NONE || fault == FAULT_REFUSED ||
		redis_is_error(r, "BUSYGROUP")) {
		q->has_group = true;
		return;
	}
	if (fault == FAULT_WRONG_SERVER)
		return redis_conn_reset(g->conn, r->str);
	if (q->backoff.now_ms < BACKOFF_MAX_MS)
		log_error("queue cannot be read, trying again later",
			F_STR("queue", q->name), F_STR("key", buf_cstr(&q->jobs_key)),
			F_STR("why", r->str));
	/* something that people must mend: no need to hurry */
	q->backoff.now_ms = BACKOFF_MAX_MS;
	q->ask_at_ms = stint_at_ms(BACKOFF_MAX_MS);
}

static void
on_groups(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct groups *g = arg;

	for (size_t i = 0; status == 0 && i < count && i < g->asked_count; i++)
		on_group(g, g->asked[i], &replies[i]);
	g->on_end(g->arg, status);
}

bool
groups_ask(struct groups *g, struct queue *const *queues, size_t count)
{
	const int64_t now = stint_now_ms();
	struct redis_batch b;

	g->asked_count = 0;
	for (size_t i = 0; i < count && g->asked_count < GROUPS_MAX; i++)
		if (!queues[i]->has_group && queues[i]->ask_at_ms <= now)
			g->asked[g->asked_count++] = queues[i];
	if (g->asked_count == 0)
		return false;
	redis_batch_begin(g->conn, &b);
	for (size_t i = 0; i < g->asked_count; i++) {
		redis_cmd(&b, 6);
		redis_str(&b, "XGROUP");
		redis_str(&b, "CREATE");
		redis_key(&b, &g->asked[i]->jobs_key);
		redis_str(&b, KEYS_GROUP);
		redis_str(&b, "0"); /* never "$": jobs may be waiting already */
		redis_str(&b, "MKSTREAM");
	}
	redis_batch_send(&b, g->timeout_ms, on_groups, g);
	return true;
}

int64_t
groups_due_at_ms(struct queue *const *queues, size_t count)
{
	int64_t at = STINT_NEVER;

	for (size_t i = 0; i < count; i++)
		if (!queues[i]->has_group && queues[i]->ask_at_ms < at)
			at = queues[i]->ask_at_ms;
	return at;
}

void
groups_lose(struct queue *const *queues, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct queue *q = queues[i];

		q->has_group = false;
		q->ask_at_ms = stint_at_ms(q->backoff.now_ms); /* the first time: now */
		backoff_next(&q->backoff);
	}
}

void
groups_forget(struct queue *const *queues, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		queues[i]->has_group = false;
		queues[i]->ask_at_ms = 0;
	}
}
