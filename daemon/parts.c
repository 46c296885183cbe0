/*
 * parts.c - makes every part of the daemon in order, and frees them in reverse
 */
#include "daemon/daemon_priv.h"

#include <stint/clock.h>
#include "daemon/handler/handler.h"

static int
make_finishers(struct daemon *d)
{
	const struct commit_opts commit = {.conn = d->links[LINK_WRITER].conn,
		.scripts = &d->scripts,
		.consumer = d->consumer,
		.queues = &d->queues,
		.lease_ms = d->config->lease_ms,
		.ops = &daemon_commit_ops,
		.arg = d};
	const struct lease_opts lease = {.conn = d->links[LINK_WRITER].conn,
		.scripts = &d->scripts,
		.consumer = d->consumer,
		.lease_ms = d->config->lease_ms,
		.ops = &daemon_lease_ops,
		.arg = d};
	const struct reports_opts reports = {.conn = d->links[LINK_WRITER].conn,
		.scripts = &d->scripts,
		.consumer = d->consumer,
		.queues = &d->queues,
		.lease_ms = d->config->lease_ms,
		.ops = &daemon_reports_ops,
		.arg = d};
	int r = commit_new(&commit, &d->commit);

	if (r == 0)
		r = flight_new(d->commit, d->name, &d->flight);
	if (r == 0)
		r = lease_new(&lease, &d->lease);
	if (r == 0)
		r = reports_new(&reports, &d->reports);
	return r;
}

static int
make_runners(struct daemon *d, struct stint_err *err)
{
	struct dispatch_opts dispatch = {.loop = &d->loop,
		.flight = d->flight,
		.on_change = daemon_on_change,
		.on_news = daemon_on_news,
		.on_stuck = daemon_on_stuck,
		.arg = d};
	int r = workers_new((size_t)d->config->concurrency, d->opts->zygote, d->name,
		&d->workers, err);

	dispatch.workers = d->workers;
	if (r == 0)
		r = dispatch_new(&dispatch, &d->dispatch);
	if (r == 0)
		r = dispatch_set_config(d->dispatch, d->config);
	return r;
}

static int
make_watchers(struct daemon *d)
{
	const struct control_opts control = {.conn = d->links[LINK_CONTROL].conn,
		.writer = d->links[LINK_WRITER].conn,
		.scripts = &d->scripts,
		.consumer = d->consumer,
		.lease_ms = d->config->lease_ms,
		.ops = &daemon_control_ops,
		.arg = d};
	const struct delayed_opts delayed = {.conn = d->links[LINK_WRITER].conn,
		.scripts = &d->scripts,
		.lease_ms = d->config->lease_ms,
		.seed = (uint64_t)stint_now_us(),
		.ops = &daemon_delayed_ops,
		.arg = d};
	int r = control_new(&control, &d->control);

	if (r == 0)
		r = delayed_new(&delayed, &d->delayed);
	return r;
}

static int
make_takers(struct daemon *d)
{
	const struct admit_opts admit = {.conn = d->links[LINK_WRITER].conn,
		.scripts = &d->scripts,
		.consumer = d->consumer,
		.queues = &d->queues,
		.lease_ms = d->config->lease_ms,
		.ops = &daemon_admit_ops,
		.arg = d};
	const struct aside_opts aside = {.conn = d->links[LINK_WRITER].conn,
		.scripts = &d->scripts,
		.queues = &d->queues,
		.consumer = d->consumer,
		.lease_ms = d->config->lease_ms,
		.ops = &daemon_aside_ops,
		.arg = d};
	const struct claim_opts claim = {.conn = d->links[LINK_WRITER].conn,
		.scripts = &d->scripts,
		.consumer = d->consumer,
		.lease_ms = d->config->lease_ms,
		.seed = (uint64_t)stint_now_us(),
		.ops = &daemon_claim_ops,
		.arg = d};
	struct intake_opts intake = {.loop = &d->loop,
		.flight = d->flight,
		.dispatch = d->dispatch,
		.control = d->control,
		.on_change = daemon_on_change,
		.arg = d};
	int r = admit_new(&admit, &d->admit);

	intake.admit = d->admit;
	if (r == 0)
		r = aside_new(&aside, &d->aside);
	if (r == 0)
		r = intake_new(&intake, d->config, &d->intake);
	if (r == 0)
		r = claim_new(&claim, &d->claim);
	if (r == 0)
		r = fetch_new(d->links[LINK_READER].conn, d->consumer,
			d->config->lease_ms, &d->queues, &daemon_fetch_ops, d, &d->fetch);
	return r;
}

int
daemon_open(struct daemon *d, struct stint_err *err)
{
	int r = 0;

	for (int i = 0; i < WAKE_COUNT; i++)
		loop_timer_init(&d->wakes[i], &d->loop, daemon_on_change, d);
	loop_timer_init(&d->unblock_timer, &d->loop, daemon_unblock_again, d);
	d->drain = (struct drain){.loop = &d->loop, .ops = &daemon_drain_ops, .arg = d};
	drain_init(&d->drain);
	for (enum link_role role = 0; r == 0 && role < LINK_COUNT; role++)
		r = daemon_link_open(d, role);
	if (r == 0)
		r = make_finishers(d);
	if (r == 0)
		r = make_runners(d, err);
	if (r == 0)
		r = make_watchers(d);
	if (r == 0)
		r = make_takers(d);
	if (r == 0)
		r = daemon_apply_queues(d);
	if (r < 0)
		return stint_err_wrap(err, r, "cannot start");
	d->drain.dispatch = d->dispatch;
	d->drain.commit = d->commit;
	for (enum link_role role = 0; role < LINK_COUNT; role++)
		redis_conn_start(d->links[role].conn);
	return 0;
}

void
daemon_close(struct daemon *d)
{
	d->is_closing = true;
	drain_fini(&d->drain);
	for (int i = 0; i < WAKE_COUNT; i++)
		loop_timer_stop(&d->wakes[i]);
	loop_timer_stop(&d->unblock_timer);
	/* what the workers still have must end before its memory does */
	if (d->dispatch)
		dispatch_cancel_all(d->dispatch, HANDLER_CAUSE_SHUTDOWN,
			"the daemon is shutting down");
	if (daemon_stuck_count(d) > 0)
		return workers_leave(d->workers);
	workers_free(d->workers);
	/* in reverse: what was waiting for one connection may still look at those before
	 */
	for (int role = LINK_COUNT - 1; role >= 0; role--)
		redis_conn_free(d->links[role].conn);
	fetch_free(d->fetch);
	claim_free(d->claim);
	intake_free(d->intake);
	aside_free(d->aside);
	admit_free(d->admit);
	delayed_free(d->delayed);
	control_free(d->control);
	dispatch_free(d->dispatch);
	reports_free(d->reports);
	lease_free(d->lease);
	flight_free(d->flight);
	commit_free(d->commit);
	queue_list_fini(&d->queues);
}
