/*
 * loop.c - libevent without threads, locks or signal handlers
 */
#include "daemon/core/loop.h"

#include <errno.h>
#include <string.h>
#include <stint/clock.h>
#include "lib/base/cleanup.h"

static void
on_signal_readable(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	(void)what;
	while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
		l->on_signal(l->arg, &info);
}

/* Timers by a clock that does not lag: with libevent's usual one, a long wait ends
 * some ms early, more than once. */
static struct event_base *
new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return base;
}

int
loop_init(struct loop *l, const sigset_t *signals,
	void (*on_signal)(void *arg, const struct signalfd_siginfo *signal), void *arg,
	struct stint_err *err)
{
	l->on_signal = on_signal;
	l->arg = arg;
	l->signal_fd = signalfd(-1, signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (l->signal_fd < 0)
		return stint_err_set(err, -errno, "signalfd: %s", strerror(errno));
	l->base = new_base();
	if (!l->base)
		return stint_err_set(err, -ENOMEM, "libevent: cannot make an event base");
	event_assign(&l->signal_event, l->base, l->signal_fd, EV_READ | EV_PERSIST,
		on_signal_readable, l);
	if (event_add(&l->signal_event, NULL) < 0)
		return stint_err_set(err, -ENOMEM, "libevent: cannot watch signals");
	return 0;
}

void
loop_fini(struct loop *l)
{
	if (l->base) {
		event_del(&l->signal_event);
		event_base_free(l->base);
		l->base = NULL;
	}
	close_fd(&l->signal_fd);
}

int
loop_run(struct loop *l)
{
	return event_base_dispatch(l->base) < 0 ? -EIO : 0;
}

void
loop_stop(struct loop *l)
{
	event_base_loopbreak(l->base);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;

	(void)fd;
	(void)what;
	t->at_ms = STINT_NEVER;
	t->fn(t->arg);
}

void
loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(void *arg), void *arg)
{
	t->fn = fn;
	t->arg = arg;
	t->at_ms = STINT_NEVER;
	evtimer_assign(&t->event, l->base, on_timer, t);
}

void
loop_timer_set(struct loop_timer *t, int64_t at_ms)
{
	const int64_t now = stint_now_ms();
	/* one more: libevent's clock may be a coarse one, and early is wrong */
	const int64_t wait = at_ms > now ? at_ms - now + 1 : 0;
	const struct timeval tv = {.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};

	if (at_ms == STINT_NEVER)
		return loop_timer_stop(t);
	t->at_ms = at_ms;
	evtimer_add(&t->event, &tv);
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
	/* a timer that was never initialised belongs to an owner that was never started
	 */
	if (event_initialized(&t->event))
		evtimer_del(&t->event);
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct loop_watch *w = arg;

	(void)fd;
	(void)what;
	w->fn(w->arg);
}

int
loop_watch_start(
	struct loop_watch *w, struct loop *l, int fd, void (*fn)(void *arg), void *arg)
{
	w->fn = fn;
	w->arg = arg;
	event_assign(&w->event, l->base, fd, EV_READ | EV_PERSIST, on_watch, w);
	return event_add(&w->event, NULL) < 0 ? -ENOMEM : 0;
}

void
loop_watch_stop(struct loop_watch *w)
{
	if (event_initialized(&w->event))
		event_del(&w->event);
}
