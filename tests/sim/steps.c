/*
 * steps.c - what may happen next
 *
 * Things that take no time happen before the clock moves: due timers, outcomes, refused
 * batches. Only a frozen node lets them wait. What travels (commands, replies,
 * connections) takes as long as the seed likes.
 */
#include <errno.h>
#include <stdlib.h>
#include <stint/clock.h>
#include "tests/sim/fake_conn.h"

enum kind {
	TIMER,
	OUTCOMES,
	BEGIN_RUN,
	END_RUN,
	TELL,
	REFUSED,
	TIMEOUT,
	STOPPED,
	READ_OVER, /* the server's: a read has blocked long enough */
	GONE,      /* the server's: it notices that a client is */
	EXECUTE,
	DELIVER,
	CONNECT,
};

struct choice {
	enum kind kind;
	union {
		struct node *node;
		struct loop_timer *timer;
		struct redis_conn *conn;
		struct session *session;
	};
};

enum { CHOICES_MAX = 512, SLOW_IN = 8, SLOW_MS = 30, IDLE_MS = 100 };

struct choices {
	struct choice now[CHOICES_MAX], later[CHOICES_MAX];
	size_t now_count, later_count;
	int64_t next_ms; /* when there will be more to choose from */
};

static void
add_now(struct choices *cs, struct choice c)
{
	if (cs->now_count < CHOICES_MAX)
		cs->now[cs->now_count++] = c;
}

static void
add_later(struct choices *cs, struct choice c)
{
	if (cs->later_count < CHOICES_MAX)
		cs->later[cs->later_count++] = c;
}

static void
note_time(struct choices *cs, int64_t at_ms)
{
	if (at_ms > world.now_ms && at_ms < cs->next_ms)
		cs->next_ms = at_ms;
}

/* ---- what there is ---- */

static void
look_at_conn(struct choices *cs, struct redis_conn *c)
{
	const int64_t timeout_at_ms = conn_timeout_at_ms(c);

	note_time(cs, timeout_at_ms);
	if (conn_has_refused(c))
		add_now(cs, (struct choice){REFUSED, {.conn = c}});
	else if (c->is_up && timeout_at_ms <= world.now_ms)
		add_now(cs, (struct choice){TIMEOUT, {.conn = c}});
	else if (conn_can_connect(c))
		add_later(cs, (struct choice){CONNECT, {.conn = c}});
	if (c->is_up && conn_has_answer(c))
		add_later(cs, (struct choice){DELIVER, {.conn = c}});
}

static void
look_at_workers(struct choices *cs, struct node *n)
{
	const struct workers *w = n->workers;

	note_time(cs, workers_next_ms(w));
	if (workers_have_outcomes(w))
		add_now(cs, (struct choice){OUTCOMES, {.node = n}});
	if (workers_can_begin(w))
		add_now(cs, (struct choice){BEGIN_RUN, {.node = n}});
	if (workers_can_end(w))
		add_now(cs, (struct choice){END_RUN, {.node = n}});
	if (workers_can_tell(w))
		add_now(cs, (struct choice){TELL, {.node = n}});
}

static void
look_at_node(struct choices *cs, struct node *n)
{
	if (n->has_stopped)
		return add_now(cs, (struct choice){STOPPED, {.node = n}});
	for (size_t i = 0; i < n->timer_count; i++) {
		if (n->timers[i]->at_ms <= world.now_ms)
			add_now(cs, (struct choice){TIMER, {.timer = n->timers[i]}});
		note_time(cs, n->timers[i]->at_ms);
	}
	for (size_t i = 0; i < n->conn_count; i++)
		look_at_conn(cs, n->conns[i]);
	look_at_workers(cs, n);
}

static void
look_at_session(struct choices *cs, struct session *s)
{
	if (s->client.is_blocked) {
		note_time(cs, s->client.blocked_until_ms);
		if (s->client.blocked_until_ms <= world.now_ms)
			add_now(cs, (struct choice){READ_OVER, {.session = s}});
	} else if (session_can_execute(s)) {
		add_later(cs, (struct choice){EXECUTE, {.session = s}});
	}
	if (s->conn)
		return;
	note_time(cs, s->until_ms);
	if (s->until_ms <= world.now_ms)
		add_now(cs, (struct choice){GONE, {.session = s}});
}

static void
look(struct choices *cs)
{
	cs->now_count = cs->later_count = 0;
	cs->next_ms = STINT_NEVER;
	for (size_t i = 0; i < world.node_count; i++)
		if (world.nodes[i]->is_alive && !world.nodes[i]->is_frozen)
			look_at_node(cs, world.nodes[i]);
	for (struct session *s = world.sessions; s; s = s->next)
		look_at_session(cs, s);
}

/* ---- making it happen ---- */

static void
fire(struct loop_timer *t)
{
	t->at_ms = STINT_NEVER;
	t->fn(t->arg);
}

static void
stopped(struct node *n)
{
	sim_trace("node %d: has stopped, exit code %d", n->number, n->daemon.exit_code);
	if (n->daemon.exit_code == 0 && commit_pending_count(n->daemon.commit) > 0)
		sim_fail("node %d: exit code 0 with results not stored", n->number);
	check_left(n);
	/* one that was told before may have had no Redis for too long */
	if (n->daemon.exit_code != 0 && !n->is_draining)
		sim_fail("node %d: exit code %d", n->number, n->daemon.exit_code);
	world_kill_node(n);
}

static void
read_over(struct session *s)
{
	sim_trace("redis, for node %d: nothing came", s->node);
	model_unblock(&s->client);
	session_execute(s, 1);
}

static void
happen(const struct choice *c)
{
	switch (c->kind) {
	case TIMER:
		return fire(c->timer);
	case OUTCOMES:
		return c->node->watch->fn(c->node->watch->arg);
	case BEGIN_RUN:
		return workers_begin_one(c->node->workers);
	case END_RUN:
		return workers_end_one(c->node->workers);
	case TELL:
		return workers_tell_one(c->node->workers);
	case REFUSED:
		return conn_complete_refused(c->conn);
	case TIMEOUT:
		return conn_lose_it(c->conn, -ETIMEDOUT, "timed out");
	case STOPPED:
		return stopped(c->node);
	case READ_OVER:
		return read_over(c->session);
	case GONE:
		return session_free(c->session);
	case EXECUTE:
		return session_execute(c->session, sim_chance(3) ? 1 : SIZE_MAX);
	case DELIVER:
		return conn_deliver(c->conn);
	case CONNECT:
		return conn_connect(c->conn);
	}
}

static void
wait_for(struct choices *cs)
{
	int64_t next_ms = cs->next_ms;

	if (next_ms == STINT_NEVER)
		next_ms = world.now_ms + IDLE_MS;
	if (cs->later_count > 0 && next_ms > world.now_ms + SLOW_MS)
		next_ms = world.now_ms + 1 + sim_random(SLOW_MS);
	trouble_pass(next_ms);
	world_set_clock(next_ms);
}

bool
step(void)
{
	static struct choices cs;

	world.steps++;
	look(&cs);
	if (cs.now_count > 0)
		happen(&cs.now[sim_random((uint32_t)cs.now_count)]);
	else if (cs.later_count > 0 && (world.is_quiet || !sim_chance(SLOW_IN)))
		happen(&cs.later[sim_random((uint32_t)cs.later_count)]);
	else
		wait_for(&cs);
	return !world.has_failed;
}
