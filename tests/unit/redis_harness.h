/*
 * redis_harness.h - what the tests of the Redis connection share
 *
 * struct client is a connection and what was heard from it, struct fake a scripted
 * server on a unix socket. Both live in one event loop: no threads, no sleeping;
 * RUN_UNTIL() turns the loop until a condition holds. struct server is a real,
 * private redis-server.
 */
#ifndef TESTS_REDIS_HARNESS_H
#define TESTS_REDIS_HARNESS_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <stint/clock.h>
#include "daemon/redis/conn.h"
#include "lib/base/cleanup.h"

enum {
	PATIENCE_MS = 20000, /* a test that waits for longer has failed */
	RETRY_MAX_MS = 60,
	TICK_MS = 5, /* the loop turns at least that often */
	DIR_BYTES = 64,
	PATH_BYTES = 128,
	STATUS_NONE = 1, /* of a batch that has not completed */
};

/* Also where a test has stopped stint's clock. */
static inline int64_t
real_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#define RUN_UNTIL(base, condition)                                                       \
	do {                                                                             \
		int64_t until_ms_ = real_now_ms() + PATIENCE_MS;                         \
		while (!(condition)) {                                                   \
			assert_true(real_now_ms() < until_ms_);                          \
			event_base_loop(base, EVLOOP_ONCE);                              \
		}                                                                        \
	} while (0)

/* Turn the loop a few times without waiting: whatever can happen now, happens. */
static inline void
settle_loop(struct event_base *base)
{
	for (int i = 0; i < 6; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* ------------------------------------------------------------------ fake server */

struct fake {
	struct event_base *base;
	char dir[DIR_BYTES];
	char path[PATH_BYTES];
	int listen_fd;
	struct event *accept_event;
	int fd; /* of the newest connection */
	struct event *read_event;
	int accepted_count;
	const char *greeting; /* the answer to the introduction; NULL: silence */
	bool closes_after_greeting;
	bool is_greeted;
	struct buf heard; /* what was said after the introduction, which is in intro */
	struct buf intro;
};

static inline void
fake_say(struct fake *f, const void *p, size_t n)
{
	assert_int_equal(send(f->fd, p, n, MSG_NOSIGNAL), n);
}

static inline void
fake_text(struct fake *f, const char *text)
{
	fake_say(f, text, strlen(text));
}

static inline void
fake_hang_up(struct fake *f)
{
	if (f->read_event)
		event_free(f->read_event);
	f->read_event = NULL;
	close_fd(&f->fd);
}

static inline void
fake_on_bytes(evutil_socket_t fd, short what, void *arg)
{
	static const char intro_end[] = "CLIENT\r\n$2\r\nID\r\n";
	struct fake *f = arg;
	struct buf *b = f->is_greeted ? &f->heard : &f->intro;
	ssize_t n = recv(fd, buf_room(b, 65536), 65536, 0);

	(void)what;
	if (n <= 0) {
		fake_hang_up(f);
		return;
	}
	b->len += (size_t)n;
	if (f->is_greeted || !f->greeting || !strstr(buf_cstr(b), intro_end))
		return;
	f->is_greeted = true;
	/* The client may have gone again: that is what some tests are about. */
	if (send(fd, f->greeting, strlen(f->greeting), MSG_NOSIGNAL) < 0 ||
		f->closes_after_greeting)
		fake_hang_up(f);
}

static inline void
fake_on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct fake *f = arg;

	(void)what;
	fake_hang_up(f);
	f->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(f->fd >= 0);
	f->accepted_count++;
	f->is_greeted = false;
	buf_reset(&f->heard, 0);
	buf_reset(&f->intro, 0);
	f->read_event = event_new(f->base, f->fd, EV_READ | EV_PERSIST, fake_on_bytes, f);
	assert_int_equal(event_add(f->read_event, NULL), 0);
}

static inline void
fake_open(struct fake *f, struct event_base *base)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	*f = (struct fake){.base = base, .fd = -1, .greeting = "+PONG\r\n:7\r\n"};
	strcpy(f->dir, "/tmp/stint-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/s", f->dir);
	strcpy(sun.sun_path, f->path);
	f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->listen_fd, (struct sockaddr *)&sun, sizeof sun), 0);
	assert_int_equal(listen(f->listen_fd, 8), 0);
	f->accept_event = event_new(
		base, f->listen_fd, EV_READ | EV_PERSIST, fake_on_connection, f);
	assert_int_equal(event_add(f->accept_event, NULL), 0);
}

/* Before client_fini(), to which the loop belongs. */
static inline void
fake_close(struct fake *f)
{
	fake_hang_up(f);
	event_free(f->accept_event);
	close_fd(&f->listen_fd);
	unlink(f->path);
	rmdir(f->dir);
	buf_fini(&f->heard);
	buf_fini(&f->intro);
}

/* ----------------------------------------------------------------------- client */

struct client {
	struct event_base *base;
	struct event *tick;
	struct redis_conn *conn;
	struct redis_conn_opts opts; /* to be changed before client_start() */
	struct redis_conn_ops ops;
	struct redis_url url;
	int up_count;
	int down_count;
	struct stint_err why;
	int64_t retry_ms;
};

static inline void
client_on_up(void *arg)
{
	((struct client *)arg)->up_count++;
}

static inline void
client_on_down(void *arg, const struct stint_err *why, int64_t retry_ms)
{
	struct client *c = arg;

	c->down_count++;
	c->why = *why;
	c->retry_ms = retry_ms;
}

static inline void
client_on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

static inline void
client_init(struct client *c)
{
	const struct timeval tick = {.tv_usec = TICK_MS * 1000};

	*c = (struct client){.base = event_base_new()};
	assert_non_null(c->base);
	c->tick = event_new(c->base, -1, EV_PERSIST, client_on_tick, NULL);
	assert_int_equal(event_add(c->tick, &tick), 0);
	c->ops =
		(struct redis_conn_ops){.on_up = client_on_up, .on_down = client_on_down};
	c->opts = (struct redis_conn_opts){
		.base = c->base,
		.url = &c->url,
		.connect_timeout_ms = PATIENCE_MS,
		.retry_max_ms = RETRY_MAX_MS,
		.string_limit_bytes = 1024 * 1024,
		.seed = 42,
		.ops = &c->ops,
		.arg = c,
	};
}

static inline void
client_start(struct client *c)
{
	assert_int_equal(redis_conn_new(&c->opts, &c->conn), 0);
	redis_conn_start(c->conn);
}

static inline void
client_fini(struct client *c)
{
	redis_conn_free(c->conn);
	event_free(c->tick);
	event_base_free(c->base);
}

/* A client that is up, at a fake server. */
static inline void
client_at_fake(struct client *c, struct fake *f)
{
	client_init(c);
	fake_open(f, c->base);
	c->url.path = f->path;
	client_start(c);
	RUN_UNTIL(c->base, c->up_count == 1);
}

/* ---------------------------------------------------------------------- batches */

/* What became of one batch; replies are kept as text. */
struct outcome_of {
	int status;
	size_t count;
	struct buf text;
	int done_count;
	void (*then)(void *arg); /* called from inside the completion */
	void *arg;
};

#define OUTCOME_NONE                                                                     \
	{                                                                                \
		.status = STATUS_NONE                                                    \
	}

static inline void
reply_print(struct buf *b, const struct redis_reply *r)
{
	switch (r->type) {
	case REDIS_NIL:
		buf_str(b, "nil");
		break;
	case REDIS_STRING:
		if (r->str)
			buf_fmt(b, "\"%s\"", r->str);
		else
			buf_fmt(b, "string of %zu", r->len);
		break;
	case REDIS_STATUS:
		buf_fmt(b, "+%s", r->str);
		break;
	case REDIS_ERROR:
		buf_fmt(b, "-%s", r->str);
		break;
	case REDIS_INTEGER:
		buf_int(b, r->integer);
		break;
	case REDIS_ARRAY:
		buf_char(b, '[');
		for (size_t i = 0; i < r->count; i++) {
			buf_str(b, i ? " " : "");
			reply_print(b, &r->items[i]);
		}
		buf_char(b, ']');
		break;
	}
}

static inline void
outcome_take(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct outcome_of *o = arg;

	o->done_count++;
	o->status = status;
	o->count = count;
	buf_reset(&o->text, SIZE_MAX);
	for (size_t i = 0; i < count; i++) {
		buf_str(&o->text, i ? " " : "");
		reply_print(&o->text, &replies[i]);
	}
	if (o->then)
		o->then(o->arg);
}

/* Send @n times PING as one batch. */
static inline void
send_pings(struct redis_conn *c, size_t n, int64_t timeout_ms, struct outcome_of *o)
{
	struct redis_batch b;

	redis_batch_begin(c, &b);
	for (size_t i = 0; i < n; i++) {
		redis_cmd(&b, 1);
		redis_str(&b, "PING");
	}
	redis_batch_send(&b, timeout_ms, outcome_take, o);
}

static inline void
ping(struct redis_conn *c, struct outcome_of *o)
{
	send_pings(c, 1, PATIENCE_MS, o);
}

#define assert_outcome(o, expected_status, expected_text)                                \
	do {                                                                             \
		assert_int_equal((o)->status, expected_status);                          \
		assert_int_equal((o)->done_count, 1);                                    \
		assert_string_equal(buf_cstr(&(o)->text), expected_text);                \
		buf_fini(&(o)->text);                                                    \
	} while (0)

/* ------------------------------------------------------------------ real server */

struct server {
	char dir[DIR_BYTES];
	char path[PATH_BYTES];
	pid_t pid; /* 0: not running */
};

static inline void
server_prepare(struct server *s)
{
	*s = (struct server){0};
	strcpy(s->dir, "/tmp/stint-test-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof s->path, "%s/redis.sock", s->dir);
}

/* @password: NULL for none */
static inline void
server_start(struct server *s, const char *password)
{
	static const char *const programs[] = {"redis-server", "valkey-server"};

	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* it goes when the test fails */
	if (!freopen("/dev/null", "w", stdout))
		_exit(127);
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) /* returns if there is none */
		execlp(programs[i], programs[i], "--port", "0", "--unixsocket", s->path,
			"--dir", s->dir, "--save", "", "--requirepass",
			password ? password : "", (char *)NULL);
	_exit(127);
}

static inline void
server_stop(struct server *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
	unlink(s->path);
}

static inline void
server_remove(struct server *s)
{
	server_stop(s);
	rmdir(s->dir);
}

#endif
