/*
 * watchdog.c - one timer, and what the environment says about it
 */
#include "daemon/core/watchdog.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/obs/notify.h"

enum {
	/* One sign may come late, and one be lost: half of the time, which is what
	 * sd_watchdog_enabled(3) asks for, would bear only one of them. */
	SIGNS = 3,
};

/* A positive number that is the whole value of a variable; 0: it is not. */
static int64_t
number_in(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long long n;

	if (!text || !*text)
		return 0;
	errno = 0;
	n = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && n > 0 ? n : 0;
}

/* Source: sd_watchdog_enabled(3). Without WATCHDOG_PID it is for whoever reads it. */
static int64_t
granted_us(void)
{
	if (getenv("WATCHDOG_PID") && number_in("WATCHDOG_PID") != getpid())
		return 0;
	return number_in("WATCHDOG_USEC");
}

static void
on_due(void *arg)
{
	struct watchdog *w = arg;
	const bool is_well = w->ops->is_well(w->arg);

	if (is_well)
		notify_send("WATCHDOG=1");
	else if (!w->is_told)
		log_error("no progress: the service manager gets no sign of life");
	w->is_told = !is_well;
	loop_timer_set(&w->timer, stint_at_ms(w->every_ms));
}

void
watchdog_start(
	struct watchdog *w, struct loop *loop, const struct watchdog_ops *ops, void *arg)
{
	const int64_t us = granted_us();

	if (us == 0)
		return;
	w->every_ms = us / 1000 / SIGNS > 0 ? us / 1000 / SIGNS : 1;
	w->ops = ops;
	w->arg = arg;
	w->is_told = false;
	loop_timer_init(&w->timer, loop, on_due, w);
	on_due(w);
}

void
watchdog_stop(struct watchdog *w)
{
	loop_timer_stop(&w->timer);
}
