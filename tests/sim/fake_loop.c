/*
 * fake_loop.c - in place of core/loop.c, obs/log.c, queue/identity.c
 *
 * A node's base is the node itself. Its timers are remembered; steps.c calls them.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stint/clock.h>

/* ---- loop ---- */

void
loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct node *n = (struct node *)l->base;

	t->fn = fn;
	t->arg = arg;
	t->at_ms = STINT_NEVER;
	if (n->timer_count == TIMERS_MAX)
		abort();
	n->timers[n->timer_count++] = t;
}

void
loop_timer_set(struct loop_timer *t, int64_t at_ms)
{
	if (t->fn) /* else it is one of no interest here */
		t->at_ms = at_ms;
}

void
loop_timer_set_earlier(struct loop_timer *t, int64_t at_ms)
{
	if (at_ms < t->at_ms)
		loop_timer_set(t, at_ms);
}

void
loop_timer_stop(struct loop_timer *t)
{
	t->at_ms = STINT_NEVER;
}

int
loop_watch_start(
	struct loop_watch *w, struct loop *l, int fd, void (*fn)(void *arg), void *arg)
{
	struct node *n = (struct node *)l->base;

	(void)fd;
	w->fn = fn;
	w->arg = arg;
	n->watch = w;
	return 0;
}

void
loop_watch_stop(struct loop_watch *w)
{
	w->fn = NULL;
}

void
loop_stop(struct loop *l)
{
	((struct node *)l->base)->has_stopped = true;
}

/* daemon_run() is linked, but not called. */
int
loop_init(struct loop *l, const sigset_t *signals,
	void (*on_signal)(void *arg, const struct signalfd_siginfo *signal), void *arg,
	struct stint_err *err)
{
	(void)l;
	(void)signals;
	(void)on_signal;
	(void)arg;
	(void)err;
	abort();
}

void
loop_fini(struct loop *l)
{
	(void)l;
}

int
loop_run(struct loop *l)
{
	(void)l;
	abort();
}

/* ---- log: into the trace ---- */

void
log_setup(enum log_level level, enum log_format format)
{
	(void)level;
	(void)format;
}

bool
log_is_on(enum log_level level)
{
	(void)level;
	return world.is_traced;
}

void
log_write(const struct log_site *site, const char *msg, const struct log_field *fields,
	size_t count)
{
	struct buf text = {0};

	(void)site;
	for (size_t i = 0; i < count; i++)
		if (fields[i].str)
			buf_fmt(&text, " %s=%s", fields[i].name, fields[i].str);
		else
			buf_fmt(&text, " %s=%lld", fields[i].name,
				(long long)fields[i].num);
	sim_trace("    log: %s%s", msg, buf_cstr(&text));
	buf_fini(&text);
}

/* ---- identity: a node knows whether one of its own host is gone ---- */

void
identity_make(char out[IDENTITY_BYTES], const char *host, pid_t pid)
{
	snprintf(out, IDENTITY_BYTES, "%s-%d", host, (int)pid);
}

bool
identity_is_gone(const char *mine, const char *other)
{
	const char *dash = strrchr(other, '-');
	const int number = dash ? atoi(dash + 1) : -1;

	return dash && mine[strlen("host")] == other[strlen("host")] &&
	       !world.nodes[number]->is_alive;
}
