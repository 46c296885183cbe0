/*
 * daemon.c - one run of the daemon, from its names to its exit code
 *
 * One thing drives it all: whenever something has changed (a reply, an outcome, a
 * signal, a timer), everyone is poked and starts what may start now.
 */
#include "daemon/daemon.h"
#include "daemon/daemon_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <stint/clock.h>
#include "daemon/ask.h"
#include "daemon/obs/log.h"
#include "daemon/obs/log_ids.h"
#include "daemon/obs/notify.h"
#include "lib/base/cleanup.h"

enum {
	STATUS_EVERY_MS = 1000,
	/* What giving up the start takes beyond start_timeout. */
	START_EXTRA_MS = 10000,
	/* Descriptors, with room: an idle daemon has 16, a busy worker up to 7. */
	FILES_OF_DAEMON = 32,
	FILES_OF_WORKER = 8,
	GROUPED_BYTES = 27, /* 20 digits, a comma before every third, a NUL */
};

/* ---- going on ---- */

bool
daemon_has_read_control(struct daemon *d)
{
	const struct config *c = d->config;

	for (size_t i = 0; i < c->queue_count; i++)
		if (!control_is_ready(d->control,
			    queue_get(&d->queues, c->prefix, c->queues[i].name)))
			return false;
	return true;
}

/* READY once jobs can be read and results be stored; the workers are there before. */
static void
note_ready(struct daemon *d)
{
	if (d->is_ready || !d->has_groups || !commit_is_ready(d->commit) ||
		!daemon_has_read_control(d))
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
	lease_poke(d->lease);
	reports_poke(d->reports);
	control_poke(d->control);
	admit_poke(d->admit);
	delayed_poke(d->delayed);
	aside_poke(d->aside);
	claim_poke(d->claim);
	fetch_poke(d->fetch);
	drain_poke(&d->drain);
	loop_timer_set_earlier(&d->status_timer, stint_at_ms(STATUS_EVERY_MS));
}

/* 18,204: for people. */
static const char *
grouped(char out[GROUPED_BYTES], uint64_t n)
{
	char *p = out + GROUPED_BYTES - 1;

	*p = '\0';
	for (int digits = 0; n > 0 || digits == 0; n /= 10, digits++) {
		if (digits > 0 && digits % 3 == 0)
			*--p = ',';
		*--p = (char)('0' + n % 10);
	}
	return p;
}

void
daemon_set_status(struct daemon *d, void (*tell)(const char *status))
{
	const struct flight_counts *counts = flight_counts(d->flight);
	const size_t waiting =
		dispatch_waiting_count(d->dispatch) + aside_count(d->aside);
	char done[GROUPED_BYTES], failed[GROUPED_BYTES];
	char text[256], stuck[40] = "", limited[64] = "";

	if (daemon_stuck_count(d) > 0)
		snprintf(stuck, sizeof stuck, "%zu stuck, ", daemon_stuck_count(d));
	if (waiting > 0)
		snprintf(
			limited, sizeof limited, ", %zu wait for their handler", waiting);
	snprintf(text, sizeof text,
		"%s%s%zu/%zu busy, %s%zu queue%s, %s done, %s failed%s",
		d->is_file_faulty ? "faulty configuration not loaded, " : "",
		d->redis_fault[0] ? "redis away, "
		: d->is_quiet     ? "quiet, "
				  : "",
		workers_busy(d->workers), workers_count(d->workers), stuck,
		d->config->queue_count, d->config->queue_count == 1 ? "" : "s",
		grouped(done, counts->done), grouped(failed, counts->failed), limited);
	tell(text);
}

static void
on_status_due(void *arg)
{
	daemon_set_status(arg, notify_status);
}

/* ---- stopping ---- */

static const char *
why_not_ready(const struct daemon *d)
{
	if (d->redis_fault[0])
		return d->redis_fault;
	for (enum link_role role = 0; role < LINK_COUNT; role++)
		if (!d->links[role].is_up)
			return "no answer";
	return "it refuses what is needed, see the lines before";
}

static void
on_start_timeout(void *arg)
{
	struct daemon *d = arg;
	char url[REDIS_URL_TEXT_BYTES];

	log_error("redis was not ready within start_timeout, giving up",
		F_STR("redis", redis_url_text(&d->config->redis, url)),
		F_STR("why", why_not_ready(d)));
	d->exit_code = EXIT_UNAVAILABLE;
	loop_stop(&d->loop);
}

void
daemon_drained(struct daemon *d, bool all_stored)
{
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
	log_info("stopping", F_MESSAGE_ID(LOG_ID_STOPPING), F_STR("why", why),
		F_INT("running", dispatch_running_count(d->dispatch)));
	daemon_set_status(d, notify_stopping);
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

size_t
daemon_stuck_count(const struct daemon *d)
{
	return d->dispatch ? dispatch_stuck_count(d->dispatch) : 0;
}

void
daemon_on_stuck(void *arg, size_t count)
{
	struct daemon *d = arg;

	daemon_set_status(d, notify_status);
	if (count < (size_t)d->config->max_stuck || d->drain.state != DRAIN_RUNNING)
		return;
	log_error("plugins keep too many threads; stopping, start me again",
		F_MESSAGE_ID(LOG_ID_MAX_STUCK), F_INT("stuck", count));
	d->exit_code = EXIT_SOFTWARE;
	stop(d, "max_stuck");
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
	claim_pause(d->claim, is_quiet);
	dispatch_set_quiet(d->dispatch, is_quiet);
	if (is_quiet)
		daemon_unblock(d);
	daemon_poke(d);
}

/* SIGUSR1: what every worker is doing, and all in sums. */
static void
log_state(struct daemon *d)
{
	const struct flight_counts *counts = flight_counts(d->flight);

	log_info("state", F_INT("workers", workers_count(d->workers)),
		F_INT("busy", workers_busy(d->workers)),
		F_INT("in_flight", flight_count(d->flight)),
		F_INT("unstored", commit_pending_count(d->commit)),
		F_INT("done", counts->done), F_INT("failed", counts->failed),
		F_INT("retried", counts->retried), F_INT("delayed", counts->delayed),
		F_INT("handed_back", counts->handed_back),
		F_INT("put_aside", counts->put_aside),
		F_INT("duplicates", counts->duplicates),
		F_INT("reclaimed", counts->reclaimed),
		F_INT("run_us", dispatch_run_us(d->dispatch)),
		F_INT("stuck", daemon_stuck_count(d)));
	dispatch_log(d->dispatch);
	aside_log(d->aside);
	flight_log(d->flight);
}

static void
on_signal(void *arg, const struct signalfd_siginfo *signal)
{
	struct daemon *d = arg;
	const int signo = (int)signal->ssi_signo;

	switch (signo) {
	case SIGTERM:
	case SIGINT:
		return stop(d, signo == SIGTERM ? "SIGTERM" : "SIGINT");
	case SIGHUP:
		return ask_answer(signal, daemon_reload(d));
	case SIGTSTP:
		return set_quiet(d, true);
	case SIGCONT:
		return set_quiet(d, false);
	case SIGUSR1:
		return log_state(d);
	default:
		return;
	}
}

/* ---- life ---- */

static void
make_names(struct daemon *d)
{
	char host[64] = "localhost";

	gethostname(host, sizeof host);
	host[sizeof host - 1] = '\0';
	snprintf(d->name, sizeof d->name, "%s-%d", host, (int)getpid());
	identity_make(d->consumer, host, getpid());
}

static int
watch_zygote(struct daemon *d, struct stint_err *err)
{
	int r;

	d->zygote_pidfd = (int)syscall(SYS_pidfd_open, zygote_pid(d->opts->zygote), 0);
	r = d->zygote_pidfd < 0 ? -errno
				: loop_watch_start(&d->zygote_watch, &d->loop,
					  d->zygote_pidfd, on_zygote_gone, d);
	return r < 0 ? stint_err_wrap(err, r, "cannot watch the zygote") : 0;
}

static int
prepare(struct daemon *d, struct stint_err *err)
{
	sigset_t signals;
	int r;

	daemon_signals(&signals);
	make_names(d);
	r = loop_init(&d->loop, &signals, on_signal, d, err);
	if (r < 0)
		return r;
	loop_timer_init(&d->start_timer, &d->loop, on_start_timeout, d);
	loop_timer_init(&d->status_timer, &d->loop, on_status_due, d);
	return watch_zygote(d, err);
}

/* Return: do plugins keep threads, so that not all could be freed? */
static bool
clean_up(struct daemon *d)
{
	const bool is_stuck = daemon_stuck_count(d) > 0;

	loop_watch_stop(&d->zygote_watch);
	loop_timer_stop(&d->start_timer);
	loop_timer_stop(&d->status_timer);
	watchdog_stop(&d->watchdog);
	close_fd(&d->zygote_pidfd);
	daemon_close(d);
	if (is_stuck)
		return true;
	loop_fini(&d->loop);
	config_unref(d->config);
	return false;
}

void
daemon_check_files(int workers)
{
	const rlim_t wanted = FILES_OF_DAEMON + (rlim_t)workers * FILES_OF_WORKER;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= wanted)
		return;
	log_warn("the limit of open files (LimitNOFILE=, ulimit -Hn) is low for so many "
		 "workers, jobs may fail",
		F_INT("limit", files.rlim_cur), F_INT("wanted", wanted),
		F_INT("workers", workers));
}

/* How jobs are held to their limits. */
static void
log_cgroup(const struct cgroup *cg)
{
	if (!*cg->root)
		log_info("jobs have no control groups: limits are those of processes",
			F_STR("why", cg->why));
	else
		log_info("jobs have control groups", F_STR("below", cg->root),
			F_STR("controllers", cg->has_memory && cg->has_pids
						     ? "memory pids"
					     : cg->has_memory ? "memory"
					     : cg->has_pids   ? "pids"
							      : "none"));
}

int
daemon_run(const struct daemon_opts *opts, struct config *config, bool *ret_is_stuck)
{
	struct daemon d = {.opts = opts,
		.config = config_ref(config),
		.zygote_pidfd = -1,
		.loop = {.signal_fd = -1}};
	struct stint_err err = {0};

	log_setup(config->log_level, config->log_format);
	log_cgroup(&opts->cgroup);
	daemon_check_files(config->concurrency);
	if (prepare(&d, &err) < 0 || daemon_open(&d, &err) < 0) {
		log_error("start failed", F_STR("why", err.msg));
		d.exit_code = EXIT_SOFTWARE;
	} else {
		notify_extend_ms(config->start_timeout_ms + START_EXTRA_MS);
		loop_timer_set(&d.start_timer, stint_at_ms(config->start_timeout_ms));
		watchdog_start(&d.watchdog, &d.loop, &daemon_watchdog_ops, &d);
		if (loop_run(&d.loop) < 0)
			d.exit_code = EXIT_SOFTWARE;
		log_info("stopped", F_MESSAGE_ID(LOG_ID_STOPPED),
			F_INT("done", flight_counts(d.flight)->done),
			F_INT("handed_back", flight_counts(d.flight)->handed_back));
	}
	*ret_is_stuck = clean_up(&d);
	return d.exit_code;
}
