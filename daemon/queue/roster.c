/*
 * roster.c - XINFO CONSUMERS of all queues in one batch, then leave.lua for those that
 * may go
 */
#include "daemon/queue/roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/obs/log.h"
#include "daemon/queue/fault.h"
#include "daemon/queue/identity.h"
#include "lib/wire/keys.h"

enum {
	REAP_IDLE_MS = 3600000,
	REAP_MAX = 256, /* in one listing; the next one takes more */
};

void
roster_forget(struct roster *r, struct gone *g)
{
	TAILQ_REMOVE(&r->gone, g, link);
	free(g);
}

void
roster_fini(struct roster *r)
{
	struct gone *g;

	while ((g = TAILQ_FIRST(&r->gone)))
		roster_forget(r, g);
}

static void
add_gone(struct roster *r, struct queue *q, const struct redis_reply *name)
{
	struct gone *g = calloc(1, sizeof *g + name->len + 1);

	if (!g)
		return; /* the next listing finds it again */
	g->queue = q;
	memcpy(g->name, name->str, name->len + 1);
	TAILQ_INSERT_TAIL(&r->gone, g, link);
}

static void
reap(struct roster *r, struct redis_batch *b, const struct queue *q, const char *name)
{
	if (b->commands == REAP_MAX)
		return;
	redis_script_call(b, r->scripts, SCRIPT_LEAVE, 1, 2);
	redis_key(b, &q->jobs_key);
	redis_str(b, KEYS_GROUP);
	redis_str(b, name);
}

/* The value of that name in [name, value, ...]; NULL: there is none. */
static const struct redis_reply *
value_of(const struct redis_reply *row, const char *name, enum redis_type type)
{
	for (size_t i = 0; row->type == REDIS_ARRAY && i + 1 < row->count; i += 2)
		if (row->items[i].str && !strcmp(row->items[i].str, name))
			return row->items[i + 1].type == type ? &row->items[i + 1] : NULL;
	return NULL;
}

static void
judge(struct roster *r, struct redis_batch *b, struct queue *q,
	const struct redis_reply *row)
{
	const struct redis_reply *name = value_of(row, "name", REDIS_STRING);
	const struct redis_reply *held = value_of(row, "pending", REDIS_INTEGER);
	const struct redis_reply *idle_ms = value_of(row, "idle", REDIS_INTEGER);
	bool is_gone;

	/* a name with a NUL in it is nobody's that we know */
	if (!name || !held || !idle_ms || !name->str || strlen(name->str) != name->len ||
		!strcmp(name->str, r->consumer))
		return;
	is_gone = identity_is_gone(r->consumer, name->str);
	if (held->integer > 0 && is_gone)
		add_gone(r, q, name);
	else if (held->integer == 0 && (is_gone || idle_ms->integer > REAP_IDLE_MS))
		reap(r, b, q, name->str);
}

static void
on_reaped(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct roster *r = arg;
	const struct redis_reply *fault = NULL;

	/* Whether each of them went does not matter: the next listing tells. */
	for (size_t i = 0; i < count; i++)
		if (fault_of(&replies[i]) == FAULT_NOSCRIPT ||
			fault_of(&replies[i]) == FAULT_WRONG_SERVER)
			fault = &replies[i];
	r->on_end(r->arg, status, fault);
}

/* Is it an error of one queue? Tells people of it. */
static bool
is_queue_fault(struct roster *r, const struct queue *q, const struct redis_reply *reply)
{
	const enum fault fault = fault_of(reply);

	/* no stream, no group: no consumers */
	if (fault == FAULT_NOGROUP || strstr(reply->str, "no such key"))
		return true;
	if (fault == FAULT_WRONG_SERVER)
		return false;
	if (!r->is_faulty)
		log_warn("who is gone cannot be told, their jobs wait for a lease to end",
			F_STR("queue", q->name), F_STR("why", reply->str));
	r->is_faulty = true;
	return true;
}

static void
on_consumers(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	const struct redis_reply *fault = NULL;
	struct roster *r = arg;
	struct redis_batch b;

	if (status < 0 || count != r->count)
		return r->on_end(r->arg, status < 0 ? status : -EPROTO, NULL);
	redis_batch_begin(r->conn, &b);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < replies[i].count; k++)
			judge(r, &b, r->queues[i], &replies[i].items[k]);
		if (replies[i].type == REDIS_ERROR &&
			!is_queue_fault(r, r->queues[i], &replies[i]))
			fault = &replies[i];
	}
	if (b.commands > 0 && !fault)
		return redis_batch_send(&b, r->timeout_ms, on_reaped, r);
	redis_batch_drop(&b);
	r->on_end(r->arg, 0, fault);
}

void
roster_start(struct roster *r)
{
	struct redis_batch b;

	roster_fini(r);
	redis_batch_begin(r->conn, &b);
	for (size_t i = 0; i < r->count; i++) {
		redis_cmd(&b, 4);
		redis_str(&b, "XINFO");
		redis_str(&b, "CONSUMERS");
		redis_key(&b, &r->queues[i]->jobs_key);
		redis_str(&b, KEYS_GROUP);
	}
	redis_batch_send(&b, r->timeout_ms, on_consumers, r);
}
