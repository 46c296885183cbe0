/*
 * daemon_priv.h - the daemon's own state, for the files that share it
 *
 * daemon.c makes the parts and wires them, links.c has the two connections, reload.c the
 * configuration. Thread: the loop's, all of it.
 */
#ifndef DAEMON_DAEMON_PRIV_H
#define DAEMON_DAEMON_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stint/err.h>
#include "daemon/core/commit.h"
#include "daemon/core/dispatch.h"
#include "daemon/core/drain.h"
#include "daemon/core/loop.h"
#include "daemon/core/workers.h"
#include "daemon/daemon.h"
#include "daemon/queue/fetch.h"
#include "daemon/redis/conn.h"

enum { DAEMON_NAME_BYTES = 96 };

/* The two connections differ in what they tell of their ups and downs. */
struct link {
	struct daemon *daemon;
	struct redis_conn *conn;
	bool is_up;
};

struct daemon {
	const struct daemon_opts *opts;
	struct config *config;
	char name[DAEMON_NAME_BYTES]; /* host-pid: in results */
	char consumer[DAEMON_NAME_BYTES +
		      24]; /* the same and a random part: one run of it */

	struct loop loop;
	struct queue_list queues;
	struct link reader;
	struct link writer;
	struct fetch *fetch;
	struct commit *commit;
	struct workers *workers;
	struct dispatch *dispatch;
	struct drain drain;

	int zygote_pidfd;
	struct loop_watch zygote_watch;
	struct loop_timer start_timer;
	struct loop_timer fetch_timer;
	struct loop_timer commit_timer;
	struct loop_timer status_timer;

	bool has_groups; /* the reader has asked for them: jobs can come */
	bool is_ready;
	bool is_refusal_told; /* since Redis is away: that it does not let us in */
	bool is_quiet;
	bool is_closing;                       /* parts are being freed: poke no one */
	char redis_fault[STINT_ERR_MSG_BYTES]; /* why Redis is away, as last told; "": it
						  is not */
	int exit_code;
};

/* ---- daemon.c ---- */

/* Something has changed: everyone starts what may start now. Idempotent. */
void daemon_poke(struct daemon *d);

/* Tell the service manager, in one of notify.h's words, with the counts of the moment. */
void daemon_set_status(struct daemon *d, void (*tell)(const char *status));

/* ---- links.c ---- */

/* Tells that Redis is back, once both connections are up and it has taken a write. */
void daemon_note_back(struct daemon *d);

/* @role goes into the client's name. 0 or -errno. */
int daemon_link_open(struct daemon *d, struct link *link, const char *role);

/* @arg: the daemon. End the read that blocks, in a way that loses no entry. */
void daemon_unblock(void *arg);

/* The largest payload that any handler takes; longer strings need not be kept. */
size_t daemon_string_limit(const struct config *config);

/* ---- reload.c ---- */

/* Read the queues of the configuration in force. 0 or -ENOMEM. */
int daemon_apply_queues(struct daemon *d);

/* Take over what the file says now; a faulty file keeps the old configuration. */
void daemon_reload(struct daemon *d);

#endif
