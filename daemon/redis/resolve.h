/*
 * resolve.h - from a host name to socket addresses, without blocking the loop
 *
 *	resolve_start("redis.example", 6379, &r, &err);
 *	... wait until resolve_fd(r) is readable ...
 *	resolve_finish(r, &addrs, &err);
 *
 * getaddrinfo() blocks, for as long as the resolver's time-outs add up to, and
 * cannot be interrupted; only it knows everything that nsswitch.conf says. So it
 * runs in a task of its own, one per lookup. resolve_finish() joins that task, which
 * has nothing left to do by then. resolve_abandon() does not wait: the lookup is put
 * on a list, and joined by a later call when it has ended. It touches nothing but
 * itself, so it may also end after everything else is gone.
 *
 * Thread: the loop's.
 */
#ifndef REDIS_RESOLVE_H
#define REDIS_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <stint/err.h>

enum {
	ADDR_LIST_MAX = 8, /* more are ignored */
};

struct addr_list {
	size_t count;
	struct {
		struct sockaddr_storage sa;
		socklen_t len;
	} v[ADDR_LIST_MAX];
};

/* An IP literal, needs no lookup; false: it is not one. */
bool resolve_literal(const char *host, int port, struct addr_list *ret);

/* The path of a unix socket; -ENAMETOOLONG. */
int resolve_path(const char *path, struct addr_list *ret, struct stint_err *err);

struct resolve;

/* Start to look @host up; -ENOMEM, -EMFILE, -EAGAIN (no thread). */
int resolve_start(
	const char *host, int port, struct resolve **ret, struct stint_err *err);

/* Becomes readable when resolve_finish() would not wait. */
int resolve_fd(const struct resolve *r);

/* The answer; frees @r, whatever it is. -EHOSTUNREACH: none. */
int resolve_finish(struct resolve *r, struct addr_list *ret, struct stint_err *err);

/* Never mind the answer. Takes NULL: then it only joins what has ended by now. */
void resolve_abandon(struct resolve *r);

#endif
