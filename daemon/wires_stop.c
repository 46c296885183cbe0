/*
 * wires_stop.c - who is told when the daemon stops, and asked whether it goes on
 */
#include "daemon/daemon_priv.h"

static void
on_quiesce(void *arg)
{
	struct daemon *d = arg;

	fetch_pause(d->fetch, true);
	claim_pause(d->claim, true);
	delayed_pause(d->delayed, true);
	control_pause(d->control, true);
	intake_drain(d->intake);
	dispatch_take_back(d->dispatch);
	dispatch_put_aside(d->dispatch, NULL);
	commit_poke(d->commit);
}

static bool
on_is_taking(void *arg)
{
	struct daemon *d = arg;

	return fetch_is_reading(d->fetch) || claim_is_reading(d->claim) ||
	       control_is_pulling(d->control) || aside_is_reading(d->aside) ||
	       (admit_pending_count(d->admit) > 0 && commit_is_ready(d->commit));
}

static bool
on_is_settled(void *arg)
{
	struct daemon *d = arg;

	return flight_count(d->flight) == 0 && !fetch_is_unsure(d->fetch) &&
	       !claim_is_reading(d->claim) && !aside_is_reading(d->aside);
}

static void
on_unblock(void *arg)
{
	daemon_unblock(arg);
}

static void
on_drained(void *arg, bool all_stored)
{
	daemon_drained(arg, all_stored);
}

const struct drain_ops daemon_drain_ops = {
	.quiesce = on_quiesce,
	.is_taking = on_is_taking,
	.is_settled = on_is_settled,
	.unblock = on_unblock,
	.on_done = on_drained,
};

/* While Redis is away that is known, and told; what could be read is asked for here once
 * more; and a stop has its own ends. */
static bool
on_is_well(void *arg)
{
	struct daemon *d = arg;

	if (d->drain.state != DRAIN_RUNNING)
		return true;
	fetch_poke(d->fetch);
	return !fetch_is_overdue(d->fetch);
}

const struct watchdog_ops daemon_watchdog_ops = {.is_well = on_is_well};
