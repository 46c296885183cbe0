/*
 * fake_conn.c - in place of daemon/redis/conn.c and batch.c
 */
#include "tests/sim/fake_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>

enum { ORPHAN_MS = 400 };

static const char *const roles[LINK_COUNT] = {"reader", "writer", "control"};

/* ---- batches ---- */

void
redis_batch_begin(struct redis_conn *c, struct redis_batch *b)
{
	*b = (struct redis_batch){.conn = c, .out = &c->out, .start = c->out.len};
}

size_t
redis_batch_bytes(const struct redis_batch *b)
{
	return b->out->len - b->start;
}

void
redis_batch_drop(struct redis_batch *b)
{
	b->out->len = b->start;
	b->commands = 0;
}

bool
redis_is_error(const struct redis_reply *r, const char *word)
{
	const size_t n = strlen(word);

	return r->type == REDIS_ERROR && r->len >= n && !memcmp(r->str, word, n) &&
	       (r->len == n || r->str[n] == ' ');
}

static void
batch_free(struct fake_batch *b)
{
	if (b->conn || b->is_waiting)
		return; /* the other side needs it */
	arena_free(&b->arena);
	buf_fini(&b->bytes);
	free(b);
}

static void
append(struct fake_batch **list, struct fake_batch *b)
{
	while (*list)
		list = &(*list)->next_sent;
	*list = b;
}

void
redis_batch_send(
	struct redis_batch *out, int64_t timeout_ms, redis_done_fn done, void *arg)
{
	struct redis_conn *c = out->conn;
	struct fake_batch *b = calloc(1, sizeof *b);

	if (!b)
		abort();
	b->conn = c;
	b->done = done;
	b->arg = arg;
	b->commands = out->commands;
	b->at_ms = stint_at_ms(timeout_ms);
	if (c->is_up) {
		b->bytes = c->out; /* nothing else is in it */
		c->out = (struct buf){0};
		b->replies =
			arena_alloc(&b->arena, (b->commands + 1) * sizeof *b->replies);
		append(&c->sent, b);
		/* without a session it waits for the loss to be told */
		b->is_waiting = b->commands > 0 && c->session;
		if (b->is_waiting && c->session->last)
			c->session->last->next_waiting = b;
		else if (b->is_waiting)
			c->session->first = b;
		if (b->is_waiting)
			c->session->last = b;
	} else {
		b->status = -ENOTCONN;
		append(&c->refused, b);
	}
	redis_batch_drop(out);
}

/* ---- the client's side ---- */

int
redis_conn_new(const struct redis_conn_opts *opts, struct redis_conn **ret)
{
	struct redis_conn *c = calloc(1, sizeof *c);
	struct node *n = (struct node *)opts->base;

	if (!c)
		return -ENOMEM;
	c->node = n;
	c->role = (enum link_role)n->conn_count;
	/* its own seed is not the same in each process */
	reconnect_init(&c->reconnect, mutant_retry_max_ms(opts->retry_max_ms),
		sim_random(UINT32_MAX));
	c->ops = opts->ops;
	c->arg = opts->arg;
	n->conns[n->conn_count++] = c;
	*ret = c;
	return 0;
}

void
redis_conn_start(struct redis_conn *c)
{
	c->is_started = true;
	c->try_at_ms = stint_now_ms();
}

bool
redis_conn_is_up(const struct redis_conn *c)
{
	return c->is_up;
}

int64_t
redis_conn_heard_at_ms(const struct redis_conn *c)
{
	return c->is_up ? stint_now_ms() : 0; /* nothing is silent here but when lost */
}

int64_t
redis_conn_client_id(const struct redis_conn *c)
{
	return c->session ? c->session->client.id : 0;
}

void
redis_conn_set_string_limit(struct redis_conn *c, size_t limit_bytes)
{
	(void)c;
	(void)limit_bytes;
}

void
redis_conn_reset(struct redis_conn *c, const char *why)
{
	if (!c->is_up)
		return;
	c->must_reset = true;
	snprintf(c->reset_why, sizeof c->reset_why, "%s", why);
}

size_t
redis_conn_queued_bytes(const struct redis_conn *c)
{
	return c->out.len;
}

size_t
redis_conn_waiting_count(const struct redis_conn *c)
{
	size_t n = 0;

	for (const struct fake_batch *b = c->sent; b; b = b->next_sent)
		n++;
	return n;
}

static void
complete(struct fake_batch *b, int status)
{
	const bool has_replies = status == 0;
	struct fake_batch done = *b;

	b->conn = NULL;
	done.done(done.arg, status, has_replies ? b->replies : NULL,
		has_replies ? b->commands : 0);
	batch_free(b);
}

static void
complete_all(struct fake_batch **list, int status)
{
	struct fake_batch *b;

	while ((b = *list)) {
		*list = b->next_sent;
		complete(b, status);
	}
}

/* Redis may not notice for a while, and still execute what it has got. */
static void
leave_session(struct redis_conn *c)
{
	struct session *s = c->session;

	c->session = NULL;
	if (!s)
		return;
	s->conn = NULL;
	s->until_ms = stint_now_ms();
	if (!sim_chance(3))
		s->until_ms += sim_random(ORPHAN_MS);
	else if (sim_chance(2))
		session_free(s);
}

void
conn_lose_it(struct redis_conn *c, int status, const char *why)
{
	const int64_t retry_ms = reconnect_wait_ms(&c->reconnect);
	struct stint_err err = {0};

	sim_trace("node %d %s: lost, %s", c->node->number, roles[c->role], why);
	c->is_up = c->must_reset = false;
	leave_session(c);
	c->try_at_ms = STINT_NEVER;
	complete_all(&c->sent, status);
	c->try_at_ms = stint_now_ms() + retry_ms;
	stint_err_set(&err, status, "%s", why);
	c->ops->on_down(c->arg, &err, retry_ms);
}

bool
conn_has_refused(const struct redis_conn *c)
{
	return c->refused || c->must_reset;
}

void
conn_complete_refused(struct redis_conn *c)
{
	struct fake_batch *b = c->refused;

	if (c->must_reset)
		return conn_lose_it(c, -EIO, c->reset_why);
	c->refused = b->next_sent;
	sim_trace("node %d %s: a batch is refused, no connection", c->node->number,
		roles[c->role]);
	complete(b, b->status);
}

bool
conn_has_answer(const struct redis_conn *c)
{
	return c->sent && !c->sent->is_waiting && c->sent->executed == c->sent->commands;
}

void
conn_deliver(struct redis_conn *c)
{
	struct fake_batch *b = c->sent;

	sim_trace("node %d %s: gets %zu replies", c->node->number, roles[c->role],
		b->commands);
	c->sent = b->next_sent;
	complete(b, 0);
}

bool
conn_can_connect(const struct redis_conn *c)
{
	return c->is_started && !c->is_up && c->try_at_ms <= stint_now_ms();
}

void
conn_connect(struct redis_conn *c)
{
	struct session *s;

	if (world.is_redis_down || c->node->cut_until_ms > stint_now_ms())
		return conn_lose_it(c, -ECONNREFUSED, "connection refused");
	if (model.is_loading)
		return conn_lose_it(c, -EACCES, "PING: LOADING");
	s = calloc(1, sizeof *s);
	if (!s)
		abort();
	s->conn = c;
	s->node = c->node->number;
	s->role = c->role;
	s->client.id = ++world.next_client_id;
	s->next = world.sessions;
	world.sessions = s;
	c->session = s;
	c->is_up = true;
	reconnect_up(&c->reconnect);
	sim_trace("node %d %s: up", c->node->number, roles[c->role]);
	c->ops->on_up(c->arg);
}

/* Replies come in order: the earliest deadline of all is that of the first. */
int64_t
conn_timeout_at_ms(const struct redis_conn *c)
{
	int64_t at_ms = c->is_started && !c->is_up ? c->try_at_ms : STINT_NEVER;

	for (const struct fake_batch *b = c->sent; b; b = b->next_sent)
		if (b->at_ms < at_ms)
			at_ms = b->at_ms;
	return at_ms;
}

void
redis_conn_free(struct redis_conn *c)
{
	if (!c)
		return;
	c->is_up = c->is_started = false;
	leave_session(c);
	complete_all(&c->sent, -ECANCELED);
	complete_all(&c->refused, -ECANCELED);
	c->node->conns[c->role] = NULL;
	buf_fini(&c->out);
	free(c);
}

/* ---- the server's side ---- */

static size_t
parse_number(struct fake_batch *b)
{
	const char *p = b->bytes.data + b->parsed_bytes + 1;
	char *end;
	const size_t v = strtoul(p, &end, 10);

	b->parsed_bytes = (size_t)(end - b->bytes.data) + 2;
	return v;
}

static struct bytes *
parse_command(struct fake_batch *b, size_t *ret_argc)
{
	const size_t argc = parse_number(b);
	struct bytes *argv = arena_alloc(&b->arena, argc * sizeof *argv);

	for (size_t i = 0; i < argc; i++) {
		const size_t n = parse_number(b);

		argv[i] = (struct bytes){b->bytes.data + b->parsed_bytes, n};
		/* so that each argument is terminated */
		b->bytes.data[b->parsed_bytes + n] = '\0';
		b->parsed_bytes += n + 2;
	}
	*ret_argc = argc;
	return argv;
}

bool
session_can_execute(const struct session *s)
{
	return s->first && !s->client.is_blocked;
}

static void
trace_command(const struct session *s, const struct bytes *argv, size_t argc)
{
	char text[400];
	size_t at = 0;

	if (!world.is_traced)
		return;
	for (size_t i = 0; i < argc && at + 60 < sizeof text; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%.*s ",
			argv[i].n > 48 ? 40 : (int)argv[i].n, argv[i].p);
	text[at ? at - 1 : 0] = '\0';
	if (bytes_is(argv[0], "EVALSHA"))
		sim_trace("redis, for node %d %s%s: script %s, %s", s->node,
			roles[s->role], s->conn ? "" : " (gone)",
			script_texts[bytes_int(argv[1])].name, text + 49);
	else
		sim_trace("redis, for node %d %s%s: %s", s->node, roles[s->role],
			s->conn ? "" : " (gone)", text);
}

static void
batch_executed(struct session *s)
{
	struct fake_batch *b = s->first;

	s->first = b->next_waiting;
	if (!s->first)
		s->last = NULL;
	b->is_waiting = false;
	batch_free(b);
}

/* A blocked read that has got its answer, or the end of its time. */
static void
finish_blocked(struct session *s)
{
	while (s->first && s->first->executed == s->first->commands &&
		!s->client.is_blocked)
		batch_executed(s);
}

void
session_execute(struct session *s, size_t max)
{
	struct fake_batch *b = s->first;

	finish_blocked(s);
	if (s->first != b)
		return;
	for (size_t i = 0; i < max && b->executed < b->commands; i++) {
		struct redis_reply *reply = &b->replies[b->executed++];
		size_t argc;
		const struct bytes *argv = parse_command(b, &argc);

		trace_command(s, argv, argc);
		model_execute(&s->client, argv, argc, &b->arena, reply);
		if (reply->type == REDIS_ERROR)
			sim_trace("    error: %s", reply->str);
		if (model.is_written)
			check_state();
	}
	finish_blocked(s);
}

void
session_free(struct session *s)
{
	struct session **at = &world.sessions;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	model_drop_client(&s->client);
	while (s->first) {
		s->first->executed = 0; /* its replies are not for anybody */
		batch_executed(s);
	}
	free(s);
}

void
sessions_end(void)
{
	struct session *s;

	while ((s = world.sessions)) {
		if (s->conn) {
			redis_conn_reset(s->conn, "closed by the server");
			s->conn->session = NULL;
		}
		session_free(s);
	}
}
