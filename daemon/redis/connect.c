/*
 * connect.c - one try: addresses, socket, connected
 *
 * A try goes through all addresses of the host (::1, then 127.0.0.1) under one
 * deadline. The first is the one that worked last time, or follows the one at which
 * the last try ended, so that an address that swallows packets does not hide the
 * next one for ever.
 *
 * A lookup that takes longer than a try stays under way and the next try waits for
 * it again: a dead name server costs one waiting thread, not one per try.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <stint/clock.h>
#include "daemon/redis/conn_priv.h"
#include "lib/base/cleanup.h"

enum {
	/* A silent peer is noticed within half a minute, also with nothing to say. */
	KEEPALIVE_IDLE_S = 15,
	KEEPALIVE_INTERVAL_S = 5,
	KEEPALIVE_COUNT = 3,
	UNACKED_MAX_MS = 30 * 1000,
};

static const struct {
	int level;
	int name;
	int value;
} tcp_options[] = {
	{IPPROTO_TCP, TCP_NODELAY, 1},
	{SOL_SOCKET, SO_KEEPALIVE, 1},
	{IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
	{IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
	{IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MAX_MS},
};

static int
set_tcp_options(int fd)
{
	for (size_t i = 0; i < ARRAY_LEN(tcp_options); i++)
		if (setsockopt(fd, tcp_options[i].level, tcp_options[i].name,
			    &tcp_options[i].value, sizeof tcp_options[i].value) < 0)
			return -errno;
	return 0;
}

static void
connected(struct redis_conn *c)
{
	if (reply_reader_reset(c->reader) < 0 || event_add(c->read_event, NULL) < 0) {
		conn_lose(c, -ENOMEM, "cannot connect: out of memory");
		return;
	}
	c->is_reading = false;
	c->state = CONN_INTRODUCING;
	intro_start(c);
}

/* 0: connected, or on the way to it */
static int
connect_to(struct redis_conn *c, const struct sockaddr_storage *sa, socklen_t len)
{
	cleanup(fdp) int fd =
		socket(sa->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (sa->ss_family != AF_UNIX)
		r = set_tcp_options(fd);
	if (r < 0)
		return r;
	if (connect(fd, (const struct sockaddr *)sa, len) < 0)
		r = -errno;
	if (r < 0 && r != -EINPROGRESS)
		return r;
	event_assign(
		c->read_event, c->base, fd, EV_READ | EV_PERSIST, stream_on_readable, c);
	event_assign(c->write_event, c->base, fd, EV_WRITE, stream_on_writable, c);
	if (r == -EINPROGRESS && event_add(c->write_event, NULL) < 0)
		return -ENOMEM;
	c->fd = take_fd(&fd);
	if (r == 0)
		connected(c);
	return 0;
}

/* Go on with the next address; @r: what was wrong with the one before. */
static void
connect_next(struct redis_conn *c, int r)
{
	while (c->addrs_left > 0) {
		size_t i = c->addr_next++ % c->addrs.count;

		c->addrs_left--;
		r = connect_to(c, &c->addrs.v[i].sa, c->addrs.v[i].len);
		if (r == 0)
			return;
	}
	conn_lose(c, r, "cannot connect: %s", strerror(-r));
}

void
connect_on_writable(struct redis_conn *c)
{
	int e = 0;
	socklen_t n = sizeof e;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0)
		e = errno;
	if (e == 0) {
		connected(c);
		return;
	}
	close_fd(&c->fd); /* its event has fired and is in no set */
	connect_next(c, -e);
}

static void
connect_start(struct redis_conn *c)
{
	c->state = CONN_CONNECTING;
	c->addrs_left = c->addrs.count;
	connect_next(c, -EHOSTUNREACH);
}

void
connect_on_resolved(evutil_socket_t fd, short what, void *conn)
{
	struct redis_conn *c = conn;
	struct stint_err err = {0};
	int r = resolve_finish(take_ptr(c->resolve), &c->addrs, &err);

	(void)fd, (void)what;
	if (r < 0)
		conn_lose(c, r, "%s", err.msg);
	else
		connect_start(c);
}

static void
resolve_host(struct redis_conn *c)
{
	struct stint_err err = {0};
	int r = 0;

	c->state = CONN_RESOLVING;
	if (!c->resolve)
		r = resolve_start(c->url.host, c->url.port, &c->resolve, &err);
	if (r < 0) {
		conn_lose(c, r, "%s", err.msg);
		return;
	}
	event_assign(c->resolve_event, c->base, resolve_fd(c->resolve), EV_READ,
		connect_on_resolved, c);
	if (event_add(c->resolve_event, NULL) < 0)
		conn_lose(c, -ENOMEM, "cannot resolve %s: out of memory", c->url.host);
}

void
connect_try(struct redis_conn *c)
{
	struct stint_err err = {0};

	c->state = CONN_CONNECTING;
	c->try_until_ms = stint_at_ms(c->connect_timeout_ms);
	conn_arm_timer(c);
	if (c->url.path && resolve_path(c->url.path, &c->addrs, &err) < 0)
		conn_lose(c, err.code, "cannot connect: %s", err.msg);
	else if (c->url.path || resolve_literal(c->url.host, c->url.port, &c->addrs))
		connect_start(c);
	else
		resolve_host(c);
}
