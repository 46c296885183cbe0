/*
 * watchdog.h - signs of life for the service manager (WatchdogSec= in systemd.service(5))
 *
 *	watchdog_start(&w, &loop, &ops, me);
 *
 * Three times within the time that the manager grants (WATCHDOG_USEC=), the loop asks
 * whether all is well, and only then says so. It is a timer of the loop itself, so that a
 * loop that hangs says nothing. Where the manager wants no signs, nothing happens.
 * Thread: the loop's.
 */
#ifndef CORE_WATCHDOG_H
#define CORE_WATCHDOG_H

#include <stdbool.h>
#include "daemon/core/loop.h"

struct watchdog_ops {
	/* Is the daemon at work, or knows why it cannot be? */
	bool (*is_well)(void *arg);
};

struct watchdog {
	struct loop_timer timer;
	int64_t every_ms;
	const struct watchdog_ops *ops;
	void *arg;
	bool is_told; /* that all is not well: once, until it is */
};

/* @ops and @arg outlive it. The first sign is given at once. */
void watchdog_start(
	struct watchdog *w, struct loop *loop, const struct watchdog_ops *ops, void *arg);

/* Takes one that was never started, if it is zeroed. */
void watchdog_stop(struct watchdog *w);

#endif
