/*
 * daemon_priv.h - the daemon's own state, for the files that share it
 *
 *	daemon.c  one run: names, signals, stopping
 *	parts.c   makes all parts, frees them in reverse
 *	wires.c   who tells whom; wires_stop.c: at the stop
 *	links.c   the three connections
 *	reload.c  the configuration
 *
 * Thread: the loop's, all of it.
 */
#ifndef DAEMON_DAEMON_PRIV_H
#define DAEMON_DAEMON_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stint/err.h>
#include "daemon/core/commit.h"
#include "daemon/core/dispatch.h"
#include "daemon/core/drain.h"
#include "daemon/core/flight.h"
#include "daemon/core/intake.h"
#include "daemon/core/loop.h"
#include "daemon/core/watchdog.h"
#include "daemon/core/workers.h"
#include "daemon/daemon.h"
#include "daemon/queue/admit.h"
#include "daemon/queue/aside.h"
#include "daemon/queue/claim.h"
#include "daemon/queue/control.h"
#include "daemon/queue/delayed.h"
#include "daemon/queue/fetch.h"
#include "daemon/queue/identity.h"
#include "daemon/queue/lease.h"
#include "daemon/queue/reports.h"
#include "daemon/redis/conn.h"
#include "daemon/redis/script.h"

enum { DAEMON_NAME_BYTES = 96 };

/* The connections differ in what they are for, and whom their ups and downs concern. */
enum link_role { LINK_READER, LINK_WRITER, LINK_CONTROL, LINK_COUNT };

struct link {
	struct daemon *daemon;
	struct redis_conn *conn;
	bool is_up;
};

/* Each part that asks to be woken has a timer of its own. */
enum daemon_wake {
	WAKE_FETCH,
	WAKE_COMMIT,
	WAKE_ADMIT,
	WAKE_ASIDE,
	WAKE_DELAYED,
	WAKE_LEASE,
	WAKE_REPORTS,
	WAKE_CLAIM,
	WAKE_CONTROL,
	WAKE_COUNT
};

struct daemon {
	const struct daemon_opts *opts;
	struct config *config;
	char name[DAEMON_NAME_BYTES];  /* host-pid: in results */
	char consumer[IDENTITY_BYTES]; /* one run of it */

	struct loop loop;
	struct queue_list queues;
	struct link links[LINK_COUNT];
	struct redis_scripts scripts;
	struct fetch *fetch;
	struct claim *claim;
	struct admit *admit;
	struct aside *aside;
	struct delayed *delayed;
	struct control *control;
	struct lease *lease;
	struct reports *reports;
	struct commit *commit;
	struct workers *workers;
	struct flight *flight;
	struct dispatch *dispatch;
	struct intake *intake;
	struct drain drain;

	int zygote_pidfd;
	struct loop_watch zygote_watch;
	struct loop_timer start_timer;
	struct loop_timer status_timer;
	struct watchdog watchdog;
	struct loop_timer wakes[WAKE_COUNT];
	struct loop_timer unblock_timer;

	bool has_groups; /* the reader has asked for them: jobs can come */
	bool is_ready;
	bool is_refusal_told; /* since Redis is away: that it does not let us in */
	bool is_quiet;
	bool is_file_faulty; /* at the last reload: an older configuration is in force */
	bool is_closing;     /* parts are being freed: poke no one */
	char redis_fault[STINT_ERR_MSG_BYTES]; /* why Redis is away, as last told; "": it
						  is not */
	int exit_code;
};

/* ---- daemon.c ---- */

/* Something has changed: everyone starts what may start now. Idempotent. */
void daemon_poke(struct daemon *d);

/* Is it known what was cancelled and paused before? */
bool daemon_has_read_control(struct daemon *d);

/* Tell the service manager, in one of notify.h's words, with the counts of the moment. */
void daemon_set_status(struct daemon *d, void (*tell)(const char *status));

/* Threads that plugins keep, and what to do with so many. */
size_t daemon_stuck_count(const struct daemon *d);
void daemon_on_stuck(void *arg, size_t count); /* @arg: the daemon */

/* All is stored, or given up: leave the loop. */
void daemon_drained(struct daemon *d, bool all_stored);

/* ---- parts.c ---- */

/* Make every part, then connect. The loop, the names and the configuration are there.
 * Return: 0; -errno and @err, then daemon_close() frees what was made. */
int daemon_open(struct daemon *d, struct stint_err *err);

/* While plugins keep threads, only the others are waited for: all that these may touch
 * stays until the process ends. */
void daemon_close(struct daemon *d);

/* ---- wires.c, wires_stop.c: whom the parts tell; the arg of all is the daemon ---- */

extern const struct fetch_ops daemon_fetch_ops;
extern const struct claim_ops daemon_claim_ops;
extern const struct aside_ops daemon_aside_ops;
extern const struct admit_ops daemon_admit_ops;
extern const struct delayed_ops daemon_delayed_ops;
extern const struct control_ops daemon_control_ops;
extern const struct lease_ops daemon_lease_ops;
extern const struct reports_ops daemon_reports_ops;
extern const struct commit_ops daemon_commit_ops;
extern const struct drain_ops daemon_drain_ops;
extern const struct watchdog_ops daemon_watchdog_ops;

/* @arg: the daemon. */
void daemon_on_change(void *arg);
void daemon_on_news(void *arg);

/* ---- links.c ---- */

/* Tells that Redis is back, once all connections are up and it has taken a write. */
void daemon_note_back(struct daemon *d);

/* 0 or -errno. */
int daemon_link_open(struct daemon *d, enum link_role role);

/* End the read that blocks, if one does, in a way that loses no entry. */
void daemon_unblock(struct daemon *d);
void daemon_unblock_again(void *arg); /* @arg: the daemon; its timer calls it */

/* The largest payload that any handler takes; longer strings need not be kept. */
size_t daemon_string_limit(const struct config *config);

/* ---- reload.c ---- */

/* Read the queues of the configuration in force. 0 or -ENOMEM. */
int daemon_apply_queues(struct daemon *d);

/* Warn where so many workers may run out of descriptors, which makes jobs fail. */
void daemon_check_files(int workers);

/* Take over what the file says now; a faulty file keeps the old configuration, and so
 * does a daemon that stops. True: what the file says is in force. */
bool daemon_reload(struct daemon *d);

#endif
