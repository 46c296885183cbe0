/*
 * resolve.c - from a host name to socket addresses, without blocking the loop
 *
 * The two sides share one struct with a count of two. An eventfd tells the loop
 * that the answer is there; nothing of libevent is touched from the thread.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include "daemon/redis/resolve.h"
#include "lib/base/cleanup.h"

enum {
	PORT_TEXT_BYTES = sizeof "65535",
};

struct resolve {
	_Atomic int refs; /* the thread and its owner */
	pthread_t thread;
	int ready_fd;
	char port[PORT_TEXT_BYTES];
	/* The thread's until ready_fd is readable. */
	int gai_error;
	int sys_error; /* with EAI_SYSTEM */
	struct addrinfo *found;
	char host[];
};

static void
resolve_unref(struct resolve *r)
{
	/* acq_rel: the last one sees all that the other one wrote. */
	if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
		return;
	if (r->found)
		freeaddrinfo(r->found);
	close_fd(&r->ready_fd);
	free(r);
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

static void *
resolve_main(void *arg)
{
	struct resolve *r = arg;

	pthread_setname_np(pthread_self(), "stint-resolve");
	r->gai_error = look_up(r->host, r->port, 0, &r->found);
	r->sys_error = errno;
	eventfd_write(r->ready_fd, 1); /* cannot fail: the count is 0 */
	resolve_unref(r);
	return NULL;
}

/* Signals are for the loop, not for a thread that comes and goes. */
static int
create_thread(struct resolve *r)
{
	sigset_t all, before;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&r->thread, NULL, resolve_main, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -e;
}

int
resolve_start(const char *host, int port, struct resolve **ret, struct stint_err *err)
{
	size_t n = strlen(host) + 1;
	struct resolve *r = calloc(1, sizeof *r + n);
	int e;

	if (!r)
		return stint_err_set(
			err, -ENOMEM, "cannot resolve %s: out of memory", host);
	memcpy(r->host, host, n);
	snprintf(r->port, sizeof r->port, "%hu", (unsigned short)port);
	r->refs = 2;
	r->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e = r->ready_fd < 0 ? -errno : create_thread(r);
	if (e < 0) {
		r->refs = 1; /* there is no thread */
		stint_err_set(err, e, "cannot resolve %s: %s", host, strerror(-e));
		resolve_unref(r);
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
	int e = 0;

	pthread_join(r->thread, NULL);
	list_fill(ret, r->found);
	if (ret->count == 0)
		e = stint_err_set(err, -EHOSTUNREACH, "cannot resolve %s: %s", r->host,
			r->gai_error == EAI_SYSTEM ? strerror(r->sys_error)
			: r->gai_error             ? gai_strerror(r->gai_error)
						   : "no address");
	resolve_unref(r);
	return e;
}

void
resolve_abandon(struct resolve *r)
{
	if (!r)
		return;
	pthread_detach(r->thread);
	resolve_unref(r);
}
