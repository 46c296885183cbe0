/*
 * resolve.c - from a host name to socket addresses, without blocking the loop
 *
 * Each lookup is a task. It closes a channel when the answer is there, and the descriptor
 * of that tells the loop; nothing of libevent is touched from the task. From then on
 * joining it does not wait, so that is also how the lookups that were abandoned are told
 * apart: ended ones are joined when the next one is started or abandoned, the others stay
 * in the list. Those that the name server still keeps when the daemon ends are the one
 * thing that it does not wait for: that could take as long as the resolver's time-outs,
 * and nobody wants to know.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/chan.h>
#include <stint/ctx.h>
#include <stint/task.h>
#include <sys/queue.h>
#include <sys/un.h>
#include "daemon/redis/resolve.h"

enum {
	PORT_TEXT_BYTES = sizeof "65535",
};

struct resolve {
	struct stint_task *task;
	struct stint_chan *ready; /* nothing is sent: the task closes it */
	int ready_fd;
	char port[PORT_TEXT_BYTES];
	struct addrinfo *found; /* the task's until ready_fd is readable */
	LIST_ENTRY(resolve) in_abandoned;
	char host[];
};

/* The loop thread's. */
static LIST_HEAD(, resolve) abandoned = LIST_HEAD_INITIALIZER(abandoned);

static void
resolve_free(struct resolve *r)
{
	if (r->found)
		freeaddrinfo(r->found);
	stint_chan_free(r->ready);
	free(r);
}

/* Its task has nothing left to do, or has not much. */
static void
resolve_join(struct resolve *r, struct stint_err *ret_result)
{
	/* cannot fail: the background never ends */
	(void)!stint_task_join(stint_ctx_background(), r->task, ret_result);
}

static void
join_abandoned(void)
{
	struct resolve *r, *next = LIST_FIRST(&abandoned);
	struct stint_err unwanted;

	while ((r = next)) {
		next = LIST_NEXT(r, in_abandoned);
		if (stint_chan_try_recv(r->ready, NULL) != -EPIPE)
			continue;
		LIST_REMOVE(r, in_abandoned);
		resolve_join(r, &unwanted);
		resolve_free(r);
	}
}

static void
list_fill(struct addr_list *ret, const struct addrinfo *found)
{
	ret->count = 0;
	for (; found && ret->count < ADDR_LIST_MAX; found = found->ai_next) {
		if (found->ai_addrlen > sizeof ret->v[0].sa)
			continue;
		memcpy(&ret->v[ret->count].sa, found->ai_addr, found->ai_addrlen);
		ret->v[ret->count].len = found->ai_addrlen;
		ret->count++;
	}
}

static int
look_up(const char *host, const char *port, int flags, struct addrinfo **ret)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | flags,
	};

	return getaddrinfo(host, port, &hints, ret);
}

bool
resolve_literal(const char *host, int port, struct addr_list *ret)
{
	char port_text[PORT_TEXT_BYTES];
	struct addrinfo *found = NULL;

	snprintf(port_text, sizeof port_text, "%hu", (unsigned short)port);
	if (look_up(host, port_text, AI_NUMERICHOST, &found) != 0)
		return false;
	list_fill(ret, found);
	freeaddrinfo(found);
	return ret->count > 0;
}

int
resolve_path(const char *path, struct addr_list *ret, struct stint_err *err)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t n = strlen(path);

	if (n >= sizeof sun.sun_path)
		return stint_err_set(err, -ENAMETOOLONG,
			"the socket's path is longer than %zu bytes",
			sizeof sun.sun_path - 1);
	memcpy(sun.sun_path, path, n);
	memcpy(&ret->v[0].sa, &sun, sizeof sun);
	ret->v[0].len = sizeof sun;
	ret->count = 1;
	return 0;
}

static int
resolve_main(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	struct resolve *r = arg;
	int e;

	(void)ctx; /* getaddrinfo() cannot be interrupted */
	e = look_up(r->host, r->port, 0, &r->found);
	if (e != 0)
		e = stint_err_set(err, -EHOSTUNREACH, "cannot resolve %s: %s", r->host,
			e == EAI_SYSTEM ? strerror(errno) : gai_strerror(e));
	stint_chan_close(r->ready);
	return e;
}

int
resolve_start(const char *host, int port, struct resolve **ret, struct stint_err *err)
{
	size_t n = strlen(host) + 1;
	struct resolve *r = calloc(1, sizeof *r + n);
	int e;

	join_abandoned();
	if (!r)
		return stint_err_set(
			err, -ENOMEM, "cannot resolve %s: out of memory", host);
	memcpy(r->host, host, n);
	snprintf(r->port, sizeof r->port, "%hu", (unsigned short)port);
	e = stint_chan_new(0, 1, &r->ready);
	if (e == 0)
		e = r->ready_fd = stint_chan_recv_fd(r->ready);
	if (e >= 0)
		e = stint_task_start(stint_ctx_background(), "stint-resolve",
			resolve_main, r, &r->task);
	if (e < 0) {
		stint_err_set(err, e, "cannot resolve %s: %s", host, strerror(-e));
		resolve_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

int
resolve_fd(const struct resolve *r)
{
	return r->ready_fd;
}

int
resolve_finish(struct resolve *r, struct addr_list *ret, struct stint_err *err)
{
	struct stint_err result;

	resolve_join(r, &result);
	list_fill(ret, r->found);
	if (result.code == 0 && ret->count == 0)
		stint_err_set(
			&result, -EHOSTUNREACH, "cannot resolve %s: no address", r->host);
	resolve_free(r);
	return result.code < 0 ? stint_err_set(err, result.code, "%s", result.msg) : 0;
}

void
resolve_abandon(struct resolve *r)
{
	if (r)
		LIST_INSERT_HEAD(&abandoned, r, in_abandoned);
	join_abandoned();
}
