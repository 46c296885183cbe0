/*
 * lease_fixture.h - the daemon around lease.c, for its tests: its jobs in flight, and
 * what it was told
 */
#ifndef TESTS_LEASE_FIXTURE_H
#define TESTS_LEASE_FIXTURE_H

#include "daemon/queue/lease.h"
#include "lib/wire/keys.h"
#include "tests/unit/held_fixture.h"

enum {
	LEASE_MS = 30000,
	THIRD_MS = LEASE_MS / 3,
	EXPIRE_MS = LEASE_MS - LEASE_MS / 4,
	ATTEMPTS_MAX = 4096,
};

struct me {
	struct held *held;
	struct redis_scripts *scripts;
	struct redis_conn *conn;
	struct lease *lease;
	struct attempt_list list;
	struct attempt *lost;
	int lost_count;
	int expiring_count;
	int noscript_count;
	int64_t wake_at_ms;
	bool asks_control;
	struct buf control;
	bool drops_lost;
};

static inline struct attempt_list *
my_list(void *arg)
{
	return &((struct me *)arg)->list;
}

static inline struct attempt *
my_find(void *arg, const struct queue *q, const char *entry_id)
{
	struct me *me = arg;
	struct attempt *a;

	TAILQ_FOREACH (a, &me->list, in_flight)
		if (a->queue == q && !strcmp(a->job->entry_id, entry_id))
			return a;
	return NULL;
}

static inline void
drop(struct me *me, struct attempt *a)
{
	TAILQ_REMOVE(&me->list, a, in_flight);
	free(a->job);
	free(a);
}

static inline void
my_on_lost(void *arg, struct attempt *a)
{
	struct me *me = arg;

	me->lost = a;
	me->lost_count++;
	if (me->drops_lost)
		drop(me, a);
}

static inline void
my_on_expiring(void *arg, struct attempt *a)
{
	struct me *me = arg;

	assert_true(a->is_expiring);
	me->expiring_count++;
	lease_poke(me->lease); /* a callee may */
}

static inline size_t
my_write_control(void *arg, struct redis_batch *b)
{
	struct me *me = arg;

	if (!me->asks_control)
		return 0;
	redis_cmd(b, 2);
	redis_str(b, "ECHO");
	redis_str(b, "news");
	return 1;
}

static inline void
my_take_control(void *arg, const struct redis_reply *reply)
{
	reply_print(&((struct me *)arg)->control, reply);
}

static inline void
my_on_noscript(void *arg)
{
	struct me *me = arg;

	assert_false(me->scripts->is_loaded);
	me->noscript_count++;
}

static inline void
my_wake_at(void *arg, int64_t at_ms)
{
	struct me *me = arg;

	if (at_ms < me->wake_at_ms)
		me->wake_at_ms = at_ms;
}

static const struct lease_ops my_ops = {
	.list = my_list,
	.find = my_find,
	.on_lost = my_on_lost,
	.on_expiring = my_on_expiring,
	.write_control = my_write_control,
	.take_control = my_take_control,
	.on_noscript = my_on_noscript,
	.wake_at = my_wake_at,
};

static inline void
begin_at(struct me *me, struct redis_conn *conn, struct redis_scripts *scripts,
	int64_t lease_ms)
{
	me->conn = conn;
	me->scripts = scripts;
	me->wake_at_ms = STINT_NEVER;
	TAILQ_INIT(&me->list);
	assert_int_equal(lease_new(&(struct lease_opts){.conn = conn,
					   .scripts = scripts,
					   .consumer = "me",
					   .lease_ms = lease_ms,
					   .ops = &my_ops,
					   .arg = me},
				 &me->lease),
		0);
}

static inline void
begin(struct me *me, void **state)
{
	struct held *h = *state;

	*me = (struct me){.held = h};
	begin_at(me, h->client.conn, &h->scripts, LEASE_MS);
}

static inline void
end(struct me *me)
{
	struct attempt *a;

	/* a renewal may still be on its way */
	RUN_UNTIL(me->held->client.base, redis_conn_waiting_count(me->conn) == 0);
	while ((a = TAILQ_FIRST(&me->list)))
		drop(me, a);
	lease_free(me->lease);
	buf_fini(&me->control);
}

static inline struct attempt *
add(struct me *me, struct queue *q, const char *entry_id)
{
	struct attempt *a = calloc(1, sizeof *a);
	const struct bytes fields[] = {{"handler", 7}, {"h", 1}};

	assert_non_null(a);
	a->job = job_new(entry_id, fields, ARRAY_LEN(fields));
	assert_non_null(a->job);
	a->queue = q;
	a->slot = ATTEMPT_WAITS;
	a->leased_at_ms = stint_now_ms();
	TAILQ_INSERT_TAIL(&me->list, a, in_flight);
	return a;
}

/* In Redis, too: held by @consumer and idle for a minute. */
static inline struct attempt *
hold(struct me *me, struct queue *q, const char *entry_id, const char *consumer)
{
	held_give(me->held, q, entry_id, "x", consumer);
	held_age(me->held, q, entry_id, consumer, "60000");
	return add(me, q, entry_id);
}

static inline bool
is_renewing(const struct me *me)
{
	return redis_conn_waiting_count(me->conn) > 0;
}

static inline void
await_renewal(struct me *me)
{
	assert_true(is_renewing(me));
	RUN_UNTIL(me->held->client.base, !is_renewing(me));
}

/* A third of a lease passes; what is then sent is answered. */
static inline void
pass_third(struct me *me)
{
	held_move_clock(me->held, THIRD_MS);
	lease_poke(me->lease);
	await_renewal(me);
}

#endif
