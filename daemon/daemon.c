/*
 * daemon.c - makes every part in order, wires them to each other, frees in reverse
 *
 * The parts know nothing of each other but what their headers say; here stands who
 * tells whom. One thing drives it all: whenever something has changed (a reply, an
 * outcome, a signal, a timer), everyone is poked and starts what may start now.
 */
#include "daemon/daemon.h"
#include "daemon/daemon_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/obs/notify.h"
#include "lib/base/cleanup.h"

enum { STATUS_EVERY_MS = 1000 };

/* ---- who tells whom ---- */

/* READY once jobs can be read and results be stored; the workers are there before. */
static void
note_ready(struct daemon *d)
{
	if (d->is_ready || !d->has_groups || !commit_is_ready(d->commit))
		return;
	d->is_ready = true;
	loop_timer_stop(&d->start_timer);
	log_info("ready", F_STR("name", d->name),
		F_INT("workers", d->config->concurrency),
		F_INT("queues", d->config->queue_count));
	daemon_set_status(d, notify_ready);
}

void
daemon_poke(struct daemon *d)
{
	if (d->is_closing)
		return;
	note_ready(d);
	commit_poke(d->commit);
	fetch_poke(d->fetch);
	drain_poke(&d->drain);
	loop_timer_set_earlier(&d->status_timer, stint_at_ms(STATUS_EVERY_MS));
}

static void
on_change(void *arg)
{
	daemon_poke(arg);
}

void
daemon_set_status(struct daemon *d, void (*tell)(const char *status))
{
	const struct dispatch_counts counts = dispatch_counts(d->dispatch);
	char text[256];

	snprintf(text, sizeof text,
		"%s%zu/%zu busy, %zu queue%s, %" PRIu64 " done, %" PRIu64 " failed",
		d->redis_fault[0] ? "redis away, "
		: d->is_quiet     ? "quiet, "
				  : "",
		workers_busy(d->workers), workers_count(d->workers),
		d->config->queue_count, d->config->queue_count == 1 ? "" : "s",
		counts.done, counts.failed);
	tell(text);
}

static void
on_status_due(void *arg)
{
	daemon_set_status(arg, notify_status);
}

static void
on_done(void *arg, struct attempt *a, enum finish_answer answer, int flags)
{
	struct daemon *d = arg;

	dispatch_done(d->dispatch, a, answer, flags);
}

static void
commit_wake_at(void *arg, int64_t at_ms)
{
	struct daemon *d = arg;

	loop_timer_set_earlier(&d->commit_timer, at_ms);
}

static const struct commit_ops commit_ops = {
	.on_done = on_done,
	.on_settled = on_change,
	.wake_at = commit_wake_at,
};

static size_t
fetch_credit(void *arg)
{
	struct daemon *d = arg;

	return dispatch_credit(d->dispatch);
}

static bool
fetch_is_known(void *arg, const struct queue *q, const char *entry_id)
{
	struct daemon *d = arg;

	return dispatch_is_known(d->dispatch, q, entry_id);
}

static void
fetch_on_job(void *arg, struct queue *q, struct job *job)
{
	struct daemon *d = arg;

	dispatch_add(d->dispatch, q, job);
}

static void
fetch_on_read(void *arg)
{
	struct daemon *d = arg;

	dispatch_flush(d->dispatch);
	drain_poke(&d->drain); /* it may have been waiting for this read */
}

static void
fetch_wake_at(void *arg, int64_t at_ms)
{
	struct daemon *d = arg;

	loop_timer_set_earlier(&d->fetch_timer, at_ms);
}

static void
fetch_on_ready(void *arg)
{
	struct daemon *d = arg;

	d->has_groups = true;
	daemon_note_back(d);
	daemon_poke(d);
}

static const struct fetch_ops fetch_ops = {
	.credit = fetch_credit,
	.is_known = fetch_is_known,
	.on_job = fetch_on_job,
	.on_read = fetch_on_read,
	.on_ready = fetch_on_ready,
	.wake_at = fetch_wake_at,
};

/* ---- stopping ---- */

static void
on_start_timeout(void *arg)
{
	struct daemon *d = arg;
	char url[REDIS_URL_TEXT_BYTES];

	log_error("redis was not ready within start_timeout, giving up",
		F_STR("redis", redis_url_text(&d->config->redis, url)),
		F_STR("why", d->redis_fault));
	d->exit_code = EXIT_UNAVAILABLE;
	loop_stop(&d->loop);
}

static void
on_drained(void *arg, bool all_stored)
{
	struct daemon *d = arg;

	if (!all_stored && d->exit_code == 0)
		d->exit_code = EXIT_UNAVAILABLE;
	loop_stop(&d->loop);
}

static void
stop(struct daemon *d, const char *why)
{
	if (d->drain.state != DRAIN_RUNNING) {
		log_info("stopping faster", F_STR("why", why));
		return drain_hurry(&d->drain);
	}
	log_info("stopping", F_STR("why", why),
		F_INT("running", dispatch_running_count(d->dispatch)));
	daemon_set_status(d, notify_stopping);
	if (!d->is_ready)
		return loop_stop(&d->loop); /* nothing was fetched yet */
	drain_begin(&d->drain, d->config->shutdown_timeout_ms);
}

static void
on_zygote_gone(void *arg)
{
	struct daemon *d = arg;

	loop_watch_stop(&d->zygote_watch);
	log_error("the process that starts commands has died; stopping, start me again");
	d->exit_code = EXIT_SOFTWARE;
	if (d->drain.state == DRAIN_RUNNING)
		stop(d, "zygote died");
}

/* ---- signals ---- */

void
daemon_signals(sigset_t *ret)
{
	const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCONT, SIGUSR1};

	sigemptyset(ret);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(ret, signals[i]);
}

static void
set_quiet(struct daemon *d, bool is_quiet)
{
	if (d->drain.state != DRAIN_RUNNING || d->is_quiet == is_quiet)
		return;
	d->is_quiet = is_quiet;
	log_info(is_quiet ? "quiet: fetching stops, jobs go on" : "fetching again");
	fetch_pause(d->fetch, is_quiet);
	if (is_quiet)
		daemon_unblock(d);
	daemon_poke(d);
}

static void
on_signal(void *arg, int signo)
{
	struct daemon *d = arg;

	switch (signo) {
	case SIGTERM:
	case SIGINT:
		return stop(d, signo == SIGTERM ? "SIGTERM" : "SIGINT");
	case SIGHUP:
		return daemon_reload(d);
	case SIGTSTP:
		return set_quiet(d, true);
	case SIGCONT:
		return set_quiet(d, false);
	case SIGUSR1:
		return dispatch_log_state(d->dispatch);
	default:
		return;
	}
}

/* ---- life ---- */

static void
make_names(struct daemon *d)
{
	char host[64] = "localhost";
	uint64_t random = (uint64_t)stint_now_us();

	gethostname(host, sizeof host);
	host[sizeof host - 1] = '\0';
	/* the clock is unique enough where there are no random bytes */
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
		log_debug("no random bytes");
	snprintf(d->name, sizeof d->name, "%s-%d", host, (int)getpid());
	snprintf(d->consumer, sizeof d->consumer, "%s-%08" PRIx64, d->name, random >> 32);
}

static int
watch_zygote(struct daemon *d)
{
	d->zygote_pidfd = (int)syscall(SYS_pidfd_open, zygote_pid(d->opts->zygote), 0);
	if (d->zygote_pidfd < 0)
		return -errno;
	return loop_watch_start(
		&d->zygote_watch, &d->loop, d->zygote_pidfd, on_zygote_gone, d);
}

static int
make_parts(struct daemon *d, struct stint_err *err)
{
	struct dispatch_opts dispatch_opts = {
		.loop = &d->loop, .name = d->name, .on_change = on_change, .arg = d};
	sigset_t signals;
	int r;

	daemon_signals(&signals);
	r = loop_init(&d->loop, &signals, on_signal, d, err);
	if (r == 0)
		r = workers_new((size_t)d->config->concurrency, d->opts->zygote, d->name,
			&d->workers, err);
	if (r == 0)
		r = watch_zygote(d);
	if (r == 0)
		r = daemon_link_open(d, &d->reader, "reader");
	if (r == 0)
		r = daemon_link_open(d, &d->writer, "writer");
	if (r == 0)
		r = fetch_new(d->reader.conn, d->consumer, &d->queues, &fetch_ops, d,
			&d->fetch);
	if (r == 0)
		r = commit_new(d->writer.conn, d->consumer, &d->queues, &commit_ops, d,
			&d->commit);
	dispatch_opts.workers = d->workers;
	dispatch_opts.commit = d->commit;
	if (r == 0)
		r = dispatch_new(&dispatch_opts, d->config, &d->dispatch);
	if (r == 0)
		r = daemon_apply_queues(d);
	return r < 0 ? stint_err_wrap(err, r, "cannot start") : 0;
}

static void
on_fetch_due(void *arg)
{
	struct daemon *d = arg;

	fetch_poke(d->fetch);
}

static void
on_commit_due(void *arg)
{
	struct daemon *d = arg;

	commit_poke(d->commit);
}

static void
start(struct daemon *d)
{
	d->drain = (struct drain){.loop = &d->loop,
		.fetch = d->fetch,
		.dispatch = d->dispatch,
		.workers = d->workers,
		.commit = d->commit,
		.unblock = daemon_unblock,
		.on_done = on_drained,
		.arg = d};
	drain_init(&d->drain);
	loop_timer_init(&d->start_timer, &d->loop, on_start_timeout, d);
	loop_timer_init(&d->fetch_timer, &d->loop, on_fetch_due, d);
	loop_timer_init(&d->commit_timer, &d->loop, on_commit_due, d);
	loop_timer_init(&d->status_timer, &d->loop, on_status_due, d);
	loop_timer_set(&d->start_timer, stint_at_ms(d->config->start_timeout_ms));
	redis_conn_start(d->reader.conn);
	redis_conn_start(d->writer.conn);
}

static void
free_parts(struct daemon *d)
{
	d->is_closing = true;
	if (d->drain.loop)
		drain_fini(&d->drain);
	if (d->dispatch)
		loop_watch_stop(&d->zygote_watch);
	close_fd(&d->zygote_pidfd);
	/* what the workers still have must end before its memory does */
	if (d->workers)
		workers_cancel(d->workers);
	workers_free(d->workers);
	redis_conn_free(d->reader.conn);
	redis_conn_free(d->writer.conn);
	fetch_free(d->fetch);
	commit_free(d->commit);
	dispatch_free(d->dispatch);
	loop_fini(&d->loop);
	queue_list_fini(&d->queues);
	config_unref(d->config);
}

int
daemon_run(const struct daemon_opts *opts, struct config *config)
{
	struct daemon d = {.opts = opts,
		.config = config_ref(config),
		.zygote_pidfd = -1,
		.loop = {.signal_fd = -1}};
	struct stint_err err = {0};

	log_setup(config->log_level, config->log_format);
	make_names(&d);
	if (make_parts(&d, &err) < 0) {
		log_error("start failed", F_STR("why", err.msg));
		d.exit_code = EXIT_SOFTWARE;
	} else {
		start(&d);
		if (loop_run(&d.loop) < 0)
			d.exit_code = EXIT_SOFTWARE;
		log_info("stopped", F_INT("done", dispatch_counts(d.dispatch).done),
			F_INT("handed_back", dispatch_counts(d.dispatch).handed_back));
	}
	free_parts(&d);
	return d.exit_code;
}
