/*
 * control_fixture.h - a reader of control streams, and what it told
 *
 * Its own connection is either to the real Redis of held_fixture.h or to a scripted one;
 * the writer is the real one's. The clock goes on: reads really block.
 */
#ifndef TESTS_CONTROL_FIXTURE_H
#define TESTS_CONTROL_FIXTURE_H

#include "daemon/queue/control.h"
#include "lib/wire/keys.h"
#include "tests/unit/held_fixture.h"

enum {
	LEASE_MS = 1000,       /* reads block for a quarter of it */
	LONG_LEASE_MS = 60000, /* for 5 s */
};

struct me {
	struct held *held;
	struct event_base *base;
	struct redis_conn *conn; /* the reader's own */
	struct control *control;
	int ups;
	int downs;

	int cancels;
	char cancelled[JOB_ID_MAX + 1]; /* the last one */
	int64_t cancelled_unix_ms;
	int pauses; /* on_pause() calls */
	int readies;
	bool was_paused; /* when the last one became ready */
	int jobs;
	char pulled[ENTRY_ID_BYTES];
	int64_t leased_at_ms;
	int dues;
	int lost_replies;
	int noscripts;
	int64_t wake_at_ms;
};

static inline void
me_on_cancel(void *arg, struct queue *q, const char *id, int64_t unix_ms)
{
	struct me *me = arg;

	(void)q;
	me->cancels++;
	strcpy(me->cancelled, id);
	me->cancelled_unix_ms = unix_ms;
}

static inline void
me_on_pause(void *arg, struct queue *q, bool is_paused)
{
	assert_int_equal(q->is_paused, is_paused);
	((struct me *)arg)->pauses++;
}

static inline void
me_on_ready(void *arg, struct queue *q)
{
	struct me *me = arg;

	assert_true(control_is_ready(me->control, q));
	me->readies++;
	me->was_paused = q->is_paused;
}

static inline void
me_on_job(void *arg, struct queue *q, struct job *job, int64_t leased_at_ms)
{
	struct me *me = arg;

	assert_true(
		control_is_cancelled(me->control, q, job->id, job->submitted_unix_ms));
	assert_int_equal(job->deliveries, 1);
	me->jobs++;
	strcpy(me->pulled, job->entry_id);
	me->leased_at_ms = leased_at_ms;
	free(job);
}

static inline void
me_on_lost_reply(void *arg)
{
	((struct me *)arg)->lost_replies++;
}

static inline void
me_on_due(void *arg, struct queue *q)
{
	(void)q;
	((struct me *)arg)->dues++;
}

static inline void
me_on_noscript(void *arg)
{
	((struct me *)arg)->noscripts++;
}

static inline void
me_wake_at(void *arg, int64_t at_ms)
{
	struct me *me = arg;

	if (at_ms < me->wake_at_ms)
		me->wake_at_ms = at_ms;
}

static const struct control_ops me_ops = {.on_cancel = me_on_cancel,
	.on_pause = me_on_pause,
	.on_ready = me_on_ready,
	.on_job = me_on_job,
	.on_lost_reply = me_on_lost_reply,
	.on_due = me_on_due,
	.on_noscript = me_on_noscript,
	.wake_at = me_wake_at};

static inline void
me_on_up(void *arg)
{
	struct me *me = arg;

	me->ups++;
	control_on_up(me->control);
}

static inline void
me_on_down(void *arg, const struct stint_err *why, int64_t retry_ms)
{
	(void)why, (void)retry_ms;
	((struct me *)arg)->downs++;
}

static const struct redis_conn_ops me_conn_ops = {
	.on_up = me_on_up, .on_down = me_on_down};

/* Its own connection is not started. @path: of its server's socket. */
static inline void
me_init(struct me *me, struct held *h, char *path, int64_t lease_ms)
{
	const struct redis_url url = {.path = path};
	struct redis_conn_opts conn = h->client.opts;
	struct control_opts opts = {.writer = h->client.conn,
		.scripts = &h->scripts,
		.consumer = "me",
		.lease_ms = lease_ms,
		.ops = &me_ops,
		.arg = me};

	stint_clock_reset();
	*me = (struct me){.held = h, .base = h->client.base, .wake_at_ms = STINT_NEVER};
	conn.url = &url;
	conn.ops = &me_conn_ops;
	conn.arg = me;
	assert_int_equal(redis_conn_new(&conn, &me->conn), 0);
	opts.conn = me->conn;
	assert_int_equal(control_new(&opts, &me->control), 0);
}

static inline void
me_start(struct me *me, struct queue *const *queues, size_t count)
{
	assert_int_equal(control_set_queues(me->control, queues, count), 0);
	redis_conn_start(me->conn);
}

/* The writer stays, so what is on its way there ends first. */
static inline void
end(struct me *me)
{
	control_pause(me->control, true);
	held_say(me->held, "PING");
	redis_conn_free(me->conn);
	control_free(me->control);
}

static inline void
me_poke_when_due(struct me *me)
{
	if (stint_now_ms() < me->wake_at_ms)
		return;
	me->wake_at_ms = STINT_NEVER;
	control_poke(me->control);
}

#define WAIT(me, condition) RUN_UNTIL((me)->base, (me_poke_when_due(me), (condition)))

/* XADD to the control stream of queue a */
#define say_control(h, ...) held_say(h, "XADD", "stint:{a}:control", __VA_ARGS__)

#endif
