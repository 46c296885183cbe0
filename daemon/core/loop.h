/*
 * loop.h - the event loop: one libevent base, signals as events, timers
 *
 * The loop thread owns everything but the handlers' work; it never blocks. Signals
 * are blocked in every thread (main() does that first) and arrive here through a
 * signalfd(2).
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <signal.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stint/err.h>

struct loop {
	struct event_base *base;
	int signal_fd;
	struct event signal_event;
	void (*on_signal)(void *arg, const struct signalfd_siginfo *signal);
	void *arg;
};

/* @signals: delivered to @on_signal; they must be blocked already. */
int loop_init(struct loop *l, const sigset_t *signals,
	void (*on_signal)(void *arg, const struct signalfd_siginfo *signal), void *arg,
	struct stint_err *err);
void loop_fini(struct loop *l);

/* Until loop_stop(). 0 or -EIO. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* A point in time at which a function is called; embedded by its owner. */
struct loop_timer {
	struct event event;
	void (*fn)(void *arg);
	void *arg;
	int64_t at_ms; /* STINT_NEVER: not set */
};

void loop_timer_init(
	struct loop_timer *t, struct loop *l, void (*fn)(void *arg), void *arg);
void loop_timer_set(struct loop_timer *t, int64_t at_ms);
/* Set it unless it is set to an earlier time. */
void loop_timer_set_earlier(struct loop_timer *t, int64_t at_ms);
void loop_timer_stop(struct loop_timer *t);

/* A descriptor to watch for reading; embedded by its owner. */
struct loop_watch {
	struct event event;
	void (*fn)(void *arg);
	void *arg;
};

int loop_watch_start(
	struct loop_watch *w, struct loop *l, int fd, void (*fn)(void *arg), void *arg);
void loop_watch_stop(struct loop_watch *w);

#endif
