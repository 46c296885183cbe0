/*
 * conn.c - the life of a connection
 *
 * conn_priv.h has the picture of its states. Losing a connection and telling so are
 * two steps: conn_lose() closes the socket, from wherever the fault was found, and
 * makes no callback; settle() follows from the loop, completes the batches, tells
 * the owner and sets the timer for the next try.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>
#include "daemon/redis/conn_priv.h"
#include "lib/base/cleanup.h"

void
conn_enter(struct redis_conn *c)
{
	c->depth++;
}

static void
free_event(struct event *ev)
{
	if (ev)
		event_free(ev);
}

static void
destroy(struct redis_conn *c)
{
	free_event(c->read_event);
	free_event(c->write_event);
	free_event(c->resolve_event);
	free_event(c->poke);
	free_event(c->timer);
	resolve_abandon(c->resolve);
	reply_reader_free(c->reader);
	pending_fini(&c->waiting);
	pending_fini(&c->refused);
	buf_wipe(&c->out);
	redis_url_fini(&c->url);
	free(c->name);
	free(c);
}

void
conn_leave(struct redis_conn *c)
{
	if (--c->depth == 0 && c->is_stopped)
		destroy(c);
}

void
conn_poke(struct redis_conn *c)
{
	const struct timeval now = {0};

	/* A timer, as an active event would run before the loop has looked at anything
	 * else. Without memory for one, unfair is better than never. */
	if (event_add(c->poke, &now) < 0)
		event_active(c->poke, EV_TIMEOUT, 0);
}

static int64_t
next_deadline(const struct redis_conn *c)
{
	const struct pending *oldest = pending_first(&c->waiting);

	switch (c->state) {
	case CONN_RESOLVING:
	case CONN_CONNECTING:
	case CONN_INTRODUCING:
		return c->try_until_ms;
	case CONN_UP:
		return oldest ? oldest->at_ms : STINT_NEVER;
	case CONN_WAITING:
		return c->retry_at_ms;
	default:
		return STINT_NEVER;
	}
}

void
conn_arm_timer(struct redis_conn *c)
{
	int64_t at_ms = next_deadline(c), ms;
	struct timeval tv;

	/* One that fires early looks again and costs less than setting it each time. */
	if (c->timer_at_ms <= at_ms)
		return;
	ms = at_ms - stint_now_ms();
	if (ms < 0)
		ms = 0;
	tv = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	c->timer_at_ms = at_ms;
	if (event_add(c->timer, &tv) < 0) {
		c->timer_at_ms = STINT_NEVER;
		conn_poke(c); /* which tries again */
	}
}

static void
close_socket(struct redis_conn *c)
{
	event_del(c->read_event);
	event_del(c->write_event);
	event_del(c->resolve_event);
	event_del(c->timer); /* of its deadlines none is left */
	c->timer_at_ms = STINT_NEVER;
	close_fd(&c->fd);
	c->is_blocked = false;
	c->in_at = 0;
	c->in_len = 0;
	c->out_sent = 0;
	c->client_id = 0;
	buf_wipe(&c->out); /* it may have grown while the server was silent */
}

void
conn_lose(struct redis_conn *c, int code, const char *fmt, ...)
{
	struct pending intro;
	va_list ap;

	if (c->state == CONN_IDLE || c->state == CONN_LOST || c->state == CONN_WAITING)
		return;
	c->why.code = code;
	va_start(ap, fmt);
	vsnprintf(c->why.msg, sizeof c->why.msg, fmt, ap);
	va_end(ap);
	if (c->state == CONN_INTRODUCING) {
		intro_lost(c);
		pending_pop(&c->waiting, &intro); /* nobody else's */
	}
	close_socket(c);
	c->state = CONN_LOST;
	conn_poke(c);
}

/* Those that are there now: one that is sent from a callback waits for the next poke. */
static void
complete_refused(struct redis_conn *c)
{
	struct pending p;

	for (size_t n = c->refused.len; n > 0 && pending_pop(&c->refused, &p); n--)
		p.done(p.arg, p.status, NULL, 0);
}

static void
settle(struct redis_conn *c)
{
	struct pending p;
	int64_t retry_ms;

	while (pending_pop(&c->waiting, &p))
		p.done(p.arg, c->why.code, NULL, 0);
	complete_refused(c);
	if (c->is_stopped)
		return;
	retry_ms = reconnect_wait_ms(&c->reconnect);
	c->state = CONN_WAITING;
	c->retry_at_ms = stint_at_ms(retry_ms);
	conn_arm_timer(c);
	if (c->ops.on_down)
		c->ops.on_down(c->arg, &c->why, retry_ms);
}

static void
on_poke(evutil_socket_t fd, short what, void *conn)
{
	struct redis_conn *c = conn;

	(void)fd, (void)what;
	conn_enter(c);
	if (c->state == CONN_UP)
		stream_read(c); /* what a bounded read left, and batches of no commands */
	if (c->state == CONN_LOST)
		settle(c);
	complete_refused(c);
	if (!c->is_stopped)
		conn_arm_timer(c);
	conn_leave(c);
}

/* The loop may have been held up, not the server: what has come by now counts. */
static void
on_reply_deadline(struct redis_conn *c)
{
	bool has_more = stream_read(c);

	if (c->state == CONN_UP && !has_more && next_deadline(c) <= stint_now_ms())
		conn_lose(c, -ETIMEDOUT, "no reply in time");
}

static void
on_deadline(struct redis_conn *c)
{
	long long ms = c->connect_timeout_ms;

	switch (c->state) {
	case CONN_RESOLVING:
		conn_lose(c, -ETIMEDOUT, "cannot resolve %s: no answer in %lld ms",
			c->url.host, ms);
		break;
	case CONN_CONNECTING:
		conn_lose(c, -ETIMEDOUT, "cannot connect: no answer in %lld ms", ms);
		break;
	case CONN_INTRODUCING:
		conn_lose(c, -ETIMEDOUT, "connected, but no greeting in %lld ms", ms);
		break;
	case CONN_UP:
		on_reply_deadline(c);
		break;
	case CONN_WAITING:
		connect_try(c);
		break;
	default:
		break;
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *conn)
{
	struct redis_conn *c = conn;

	(void)fd, (void)what;
	conn_enter(c);
	c->timer_at_ms = STINT_NEVER;
	if (next_deadline(c) <= stint_now_ms())
		on_deadline(c);
	if (!c->is_stopped)
		conn_arm_timer(c);
	conn_leave(c);
}

/* All events at once, so that only the loop's own memory can run out later. */
static bool
make_events(struct redis_conn *c)
{
	c->read_event = event_new(c->base, -1, 0, stream_on_readable, c);
	c->write_event = event_new(c->base, -1, 0, stream_on_writable, c);
	c->resolve_event = event_new(c->base, -1, 0, connect_on_resolved, c);
	c->poke = event_new(c->base, -1, 0, on_poke, c);
	c->timer = event_new(c->base, -1, 0, on_timer, c);
	return c->read_event && c->write_event && c->resolve_event && c->poke && c->timer;
}

static int
copy_opts(struct redis_conn *c, const struct redis_conn_opts *opts)
{
	c->base = opts->base;
	c->connect_timeout_ms = opts->connect_timeout_ms;
	c->ops = *opts->ops;
	c->arg = opts->arg;
	reconnect_init(&c->reconnect, opts->retry_max_ms, opts->seed);
	if (opts->name) {
		c->name = strdup(opts->name);
		if (!c->name)
			return -ENOMEM;
	}
	return redis_url_copy(opts->url, &c->url);
}

int
redis_conn_new(const struct redis_conn_opts *opts, struct redis_conn **ret)
{
	struct redis_conn *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	c->fd = -1;
	c->timer_at_ms = STINT_NEVER;
	if (copy_opts(c, opts) < 0 || !make_events(c) ||
		reply_reader_new(opts->string_limit_bytes, &c->reader) < 0) {
		destroy(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void
redis_conn_start(struct redis_conn *c)
{
	if (c->state == CONN_IDLE && !c->is_stopped)
		connect_try(c);
}

bool
redis_conn_is_up(const struct redis_conn *c)
{
	return c->state == CONN_UP;
}

int64_t
redis_conn_heard_at_ms(const struct redis_conn *c)
{
	return c->heard_at_ms;
}

void
redis_conn_set_string_limit(struct redis_conn *c, size_t limit_bytes)
{
	reply_reader_set_string_limit(c->reader, limit_bytes);
}

int64_t
redis_conn_client_id(const struct redis_conn *c)
{
	return c->client_id;
}

void
redis_conn_reset(struct redis_conn *c, const char *why)
{
	conn_lose(c, -EIO, "%s", why);
}

size_t
redis_conn_queued_bytes(const struct redis_conn *c)
{
	return c->out.len - c->out_sent;
}

size_t
redis_conn_waiting_count(const struct redis_conn *c)
{
	/* While it introduces itself, what waits is its own. */
	return c->refused.len + (c->state == CONN_INTRODUCING ? 0 : c->waiting.len);
}

void
redis_conn_free(struct redis_conn *c)
{
	struct pending p;

	if (!c || c->is_stopped) /* the latter: called again by what it calls back */
		return;
	c->is_stopped = true;
	conn_enter(c);
	if (c->state == CONN_INTRODUCING)
		pending_pop(&c->waiting, &p);
	c->state = CONN_IDLE;
	close_socket(c);
	while (pending_pop(&c->waiting, &p) || pending_pop(&c->refused, &p))
		p.done(p.arg, -ECANCELED, NULL, 0);
	conn_leave(c);
}
