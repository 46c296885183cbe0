/*
 * stream.c - bytes out and in
 *
 * Out: one send() per batch, at once; only when the socket is full does the loop
 * wait for room. In: recv() into one buffer, from there to the reader in slices,
 * and each batch that has all its replies completes.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <stint/clock.h>
#include "daemon/redis/conn_priv.h"

enum {
	OUT_KEEP_MAX = 1024 * 1024, /* of the empty output buffer */
	/* redisReader moves the rest of its buffer down with every KiB that it has
	 * parsed. Fed little at a time it has little to move: 4 KiB replies cost 1.8 us
	 * of CPU each, 2.4 when fed READ_BYTES at once. */
	FEED_BYTES = 8 * 1024,
	/* Timers and other connections wait that long, at most, for this one. */
	BUDGET_US = 2000,
};

void
stream_flush(struct redis_conn *c)
{
	size_t left = c->out.len - c->out_sent;
	ssize_t n;

	if (left == 0 || c->is_blocked)
		return;
	do
		n = send(c->fd, c->out.data + c->out_sent, left, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		/* Reading finds the end, and before it the server's last words. */
		c->is_blocked = true;
		return;
	}
	if (n < 0 && errno != EAGAIN) {
		conn_lose(c, -EIO, "cannot send: %s", strerror(errno));
		return;
	}
	if (n > 0)
		c->out_sent += (size_t)n;
	if (c->out_sent == c->out.len) {
		if (c->state == CONN_INTRODUCING) /* it held the password */
			explicit_bzero(c->out.data, c->out.cap);
		buf_reset(&c->out, OUT_KEEP_MAX);
		c->out_sent = 0;
	} else if (event_add(c->write_event, NULL) == 0) {
		c->is_blocked = true;
	} else {
		conn_lose(c, -EIO, "cannot send: out of memory");
	}
}

static bool
has_rest(const struct redis_conn *c)
{
	return c->in_at < c->in_len || reply_has_rest(c->reader);
}

static int
feed_slice(struct redis_conn *c, struct stint_err *err)
{
	size_t n = c->in_len - c->in_at;
	const char *p = c->in + c->in_at;

	if (n > FEED_BYTES)
		n = FEED_BYTES;
	c->in_at += n;
	return reply_feed(c->reader, p, n, err);
}

/* 1: the oldest batch has all its replies; 0: more bytes are needed; else lost. */
static int
read_oldest(struct redis_conn *c, size_t commands)
{
	struct stint_err err = {0};
	int r = 0;

	if (!c->is_reading)
		r = reply_begin(c->reader, commands, &err);
	c->is_reading = true;
	while (r == 0) {
		r = reply_read(c->reader, &err);
		if (r != 0 || c->in_at == c->in_len)
			break;
		r = feed_slice(c, &err);
	}
	if (r < 0)
		conn_lose(c, r, "%s", err.msg);
	return r;
}

static void
complete_oldest(struct redis_conn *c)
{
	struct pending p = {0};
	bool has_stray;

	pending_pop(&c->waiting, &p);
	c->is_reading = false;
	/* Asked now: the callback may send the next batch, and these are not for it. */
	has_stray = c->waiting.len == 0 && has_rest(c);
	p.done(p.arg, 0, reply_list(c->reader), p.commands);
	reply_end(c->reader);
	if (has_stray)
		conn_lose(c, -EPROTO, "the server said more than it was asked");
}

enum progress { WANTS_BYTES, OUT_OF_TIME, CLOSED };

static enum progress
drain(struct redis_conn *c, int64_t until_us)
{
	while (c->fd >= 0) {
		const struct pending *oldest = pending_first(&c->waiting);
		int r;

		if (!oldest && has_rest(c)) {
			conn_lose(c, -EPROTO, "the server said more than it was asked");
			return CLOSED;
		}
		if (!oldest)
			return WANTS_BYTES;
		r = read_oldest(c, oldest->commands);
		if (r <= 0)
			return r == 0 ? WANTS_BYTES : CLOSED;
		complete_oldest(c);
		if (stint_now_us() >= until_us) {
			conn_poke(c); /* what is in our buffers wakes no one */
			return OUT_OF_TIME;
		}
	}
	return CLOSED;
}

/* False: nothing came, or the connection is lost. */
static bool
receive(struct redis_conn *c)
{
	ssize_t n;

	do
		n = recv(c->fd, c->in, sizeof c->in, 0);
	while (n < 0 && errno == EINTR);
	c->in_at = 0;
	c->in_len = n > 0 ? (size_t)n : 0;
	if (n > 0)
		c->heard_at_ms = stint_now_ms();
	if (n == 0)
		conn_lose(c, -EIO, "closed by the server");
	else if (n < 0 && errno != EAGAIN)
		conn_lose(c, -EIO, "%s", strerror(errno));
	return n > 0;
}

bool
stream_read(struct redis_conn *c)
{
	int64_t until_us = stint_now_us() + BUDGET_US;
	bool is_empty = false; /* the socket: it gave less than it was asked for */

	for (;;) {
		enum progress p = drain(c, until_us);

		if (p != WANTS_BYTES)
			return p == OUT_OF_TIME;
		if (is_empty)
			return false;
		if (stint_now_us() >= until_us)
			return true;
		if (!receive(c))
			return false;
		is_empty = c->in_len < sizeof c->in;
	}
}

void
stream_on_readable(evutil_socket_t fd, short what, void *conn)
{
	struct redis_conn *c = conn;

	(void)fd, (void)what;
	conn_enter(c);
	stream_read(c);
	conn_leave(c);
}

void
stream_on_writable(evutil_socket_t fd, short what, void *conn)
{
	struct redis_conn *c = conn;

	(void)fd, (void)what;
	if (c->state == CONN_CONNECTING) {
		connect_on_writable(c);
		return;
	}
	c->is_blocked = false;
	stream_flush(c);
}
