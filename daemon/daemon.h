/*
 * daemon.h - the daemon: makes every part in order, runs, frees in reverse
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <signal.h>
#include <stdbool.h>
#include <stint/err.h>
#include "daemon/config/config.h"
#include "daemon/handler/cgroup.h"
#include "daemon/handler/zygote.h"

/* Exit codes that users rely on (sysexits.h where it has them). */
enum {
	EXIT_USAGE = 64,
	EXIT_UNAVAILABLE = 69, /* Redis could not be reached, or not be told everything */
	EXIT_SOFTWARE = 70,    /* a part of the daemon died: start a clean one */
	EXIT_CONFIG = 78,
};

struct daemon_opts {
	const char *config_path; /* NULL: @config_text */
	const char *config_text;
	const char *redis_url; /* not NULL: instead of the configuration's */
	struct zygote *zygote;
	struct cgroup cgroup; /* where it runs jobs */
};

/* The signals that the daemon takes; main() blocks them before anything is started. */
void daemon_signals(sigset_t *ret);

/* Load and check the configuration, and print its faults. 0 or -errno. */
int daemon_load(const struct daemon_opts *opts, struct config **ret, struct buf *faults);

/* This Redis in place of the configuration's. 0 or -errno. */
int daemon_use_redis(const char *url, struct config *config);

/**
 * daemon_run() - run until a signal ends it
 * @ret_is_stuck: some of its threads are still in a plugin that does not return. They
 *                can only end with the process, which must not free what they may use,
 *                nor run the destructors of what they run: _exit(2).
 *
 * Return: the exit code.
 */
int daemon_run(const struct daemon_opts *opts, struct config *config, bool *ret_is_stuck);

#endif
