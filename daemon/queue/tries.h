/*
 * tries.h - a kind of script call on one queue: what its answers ask for, when to try
 * again
 *
 * Scripts are refused for reasons that pass (LOADING, OOM, ...). Whoever calls one asks
 * here what an answer means: the first refusal in a row is told, further ones only
 * lengthen the wait, and the first success is told again. Thread: the loop's.
 */
#ifndef QUEUE_TRIES_H
#define QUEUE_TRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/fault.h"
#include "daemon/redis/script.h"

/* A zeroed one has met no trouble yet. */
struct tries {
	bool is_refused;
	int64_t backoff_ms;
	int64_t not_before_ms;
};

/* Of all calls of one kind. */
struct tries_conf {
	struct redis_conn *conn;
	struct redis_scripts *scripts;
	const char *refused; /* the lines to log */
	const char *mended;
};

/* Can scripts be called: the connection is up and has them? */
bool tries_is_up(const struct tries_conf *conf);

/* The connection is new: nothing is known of this server. */
void tries_reset(struct tries *t);

/**
 * tries_take() - what the answer to a call asks for
 * @queue:  its name
 * @status: of the batch
 * @reply:  of the script; NULL: not what it answers (or @status < 0)
 *
 * Return: FAULT_NONE: carried out. FAULT_NOSCRIPT: not, and scripts->is_loaded is false
 * now. Anything else: not carried out, or nobody knows; not to be tried before
 * t->not_before_ms. On the wrong server the connection was reset, too.
 */
enum fault tries_take(struct tries *t, const struct tries_conf *conf, const char *queue,
	int status, const struct redis_reply *reply);

#endif
