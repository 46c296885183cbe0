/*
 * config.h - the configuration: plain values, units in names
 *
 * A snapshot is made by config_load(), never changes after, and is counted: the
 * daemon holds one reference, and so does each job on its way. A reload makes a
 * new snapshot; the old one goes with its last job.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <stint/plugin.h>
#include <sys/types.h>
#include <uthash.h>
#include "daemon/obs/log.h"
#include "lib/base/buf.h"
#include "lib/wire/url.h"

enum isolation { ISOLATION_PROCESS, ISOLATION_THREAD };

/* Which file a plugin is, when the configuration was read. */
struct plugin_stamp {
	dev_t dev;
	ino_t ino;
	off_t bytes;
	struct timespec changed;
};

enum result_store { STORE_ALL, STORE_FAILURES, STORE_NONE };

/* What a process may use; 0: no limit of its own. */
struct handler_limits {
	int64_t memory_bytes;
	int64_t cpu_ms; /* whole seconds are counted: rounded up */
	int files;
	int processes;
};

/* As whom a handler runs. */
struct handler_account {
	char *user;    /* as written; NULL: the daemon's */
	char *group;   /* as written; NULL: the user's own */
	bool is_other; /* than the daemon: the following must be taken on */
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary */
	size_t group_count;
	char **environment; /* HOME, USER, LOGNAME, SHELL of @user; NULL: none */
};

struct handler_conf {
	char *name;
	bool is_worker; /* its process stays: `worker`, or `plugin` but in a thread */
	char **argv;    /* NULL-terminated; NULL: it runs in a thread */
	char *plugin;   /* absolute path; NULL: it is none */
	struct plugin_stamp plugin_stamp;
	int plugin_line; /* where the file names it, for faults that are found later */
	int plugin_column;
	enum isolation isolation; /* of a plugin */
	/* Of a plugin in a thread: set once by the loop (handler/plugins.h) before any
	 * worker sees the snapshot; NULL until then. */
	stint_plugin_fn run;
	char **environment; /* "NAME=value", NULL-terminated; never NULL */
	char *directory;    /* NULL: the daemon's own */
	struct handler_limits limits;
	struct handler_account account;
	int64_t timeout_ms;
	int64_t kill_grace_ms;
	int64_t ready_timeout_ms; /* of a worker, as the next two */
	int64_t idle_timeout_ms;  /* 0: none */
	int max_jobs;             /* 0: none */
	int concurrency;          /* how many of the workers at once; 0: all */
	int64_t output_limit_bytes;
	int64_t payload_limit_bytes;
	int retries;     /* of a failed attempt, when the job does not say */
	int max_retries; /* that a job may ask for */
	int64_t backoff_ms;
	int64_t backoff_max_ms;
	int64_t result_ttl_ms;
	enum result_store store;
	UT_hash_handle hh; /* by name */
};

struct queue_conf {
	char *name;
	unsigned weight; /* 0 with strict priority */
};

struct config {
	_Atomic int refs;
	char *path;             /* the file; NULL: built in */
	struct redis_url redis; /* its password may come from password_file */
	char *password_file;    /* as written; NULL: none */
	char *prefix;
	int concurrency;  /* `auto` is already resolved */
	bool is_weighted; /* queues: a map with weights; else strict priority by order */
	struct queue_conf *queues;
	size_t queue_count;
	struct handler_conf *handlers;   /* hash */
	int64_t default_result_ttl_ms;   /* results.ttl: for jobs of no known handler */
	enum result_store default_store; /* results.store, likewise */
	int64_t default_payload_limit_bytes; /* defaults.payload_limit, likewise */
	int64_t unknown_handler_ms;          /* 0: reject at once */
	int64_t lease_ms;
	int max_stuck;      /* threads that plugins keep, before the daemon gives up */
	int max_deliveries; /* of a job whose daemons die, before it is given up */
	int dead_max_count; /* letters kept in each queue's dead stream */
	int64_t dead_max_bytes;
	int64_t shutdown_timeout_ms;
	int64_t start_timeout_ms;
	enum log_level log_level;
	enum log_format log_format;
};

/**
 * config_load() - read and check a file
 * @path:   the file; @text NULL: it is read
 * @text:   the content, when it does not come from a file (@path names it in faults)
 * @faults: every fault as one line "FILE:LINE:COL: key: expected ..., got ...\n"
 *
 * Return: 0 and a snapshot with one reference; -EINVAL and at least one fault;
 * -ENOMEM. Blocks: on the file system. Thread: the loop's.
 */
int config_load(
	const char *path, const char *text, struct config **ret, struct buf *faults);

struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* takes NULL; frees with the last reference */

const struct handler_conf *config_handler(
	const struct config *c, const char *name, size_t n);

/**
 * config_needs_restart() - the keys that differ but cannot change in a running daemon
 *
 * Appends their names, comma-separated ("redis.url, prefix"); nothing: a reload
 * takes everything.
 */
void config_needs_restart(
	const struct config *now, const struct config *wanted, struct buf *names);

/* Where Redis is, for programs that are not the daemon. */
struct config_redis {
	struct redis_url url;
	char *prefix;
};

/**
 * config_load_redis() - only `redis` and `prefix` of a file
 *
 * The rest is not looked at, so that stintctl works without the environment (and the
 * handlers) that the daemon's configuration names. Return and @faults as above.
 */
int config_load_redis(const char *path, struct config_redis *ret, struct buf *faults);
void config_redis_fini(struct config_redis *c);

#endif
