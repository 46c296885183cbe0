/*
 * conn.h - one connection to Redis, on libevent
 *
 * A connection keeps itself up: it connects, introduces itself (AUTH, SELECT,
 * PING, CLIENT SETNAME), and when it is lost, it comes back with exponential
 * back-off and full jitter. Commands go out in batches, and every batch
 * completes exactly once: with all its replies, or with "outcome unknown".
 *
 *	struct redis_batch b;
 *	redis_batch_begin(conn, &b);
 *	redis_cmd(&b, 2);
 *	redis_str(&b, "GET");
 *	redis_bulk(&b, key, key_len);
 *	redis_batch_send(&b, 5000, on_reply, me);
 *
 * Thread: the loop's alone. Callbacks never run inside redis_batch_send() or any
 * other call made from outside the event loop, so a caller's state is settled
 * before its callback fires. A connection may be stopped and freed inside any of
 * its callbacks.
 */
#ifndef REDIS_CONN_H
#define REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <event2/event.h>
#include <stint/err.h>
#include "lib/base/buf.h"
#include "lib/wire/url.h"

enum redis_type {
	REDIS_NIL,
	REDIS_STRING,
	REDIS_STATUS,
	REDIS_ERROR,
	REDIS_INTEGER,
	REDIS_ARRAY
};

/* One reply; the tree lives in an arena until the callback returns. */
struct redis_reply {
	enum redis_type type;
	int64_t integer; /* REDIS_INTEGER */
	const char *str; /* string, status, error: terminated; NULL with len > 0: a
			    string over the connection's string limit, not kept */
	size_t len;
	struct redis_reply *items; /* REDIS_ARRAY */
	size_t count;
};

/**
 * redis_done_fn - how a batch ended
 * @status:  0: @replies holds one per command; else the outcome is unknown (each
 *           command may or may not have run): -EIO lost, -ETIMEDOUT, -EPROTO,
 *           -ECANCELED stopped; -ENOTCONN: never sent
 */
typedef void (*redis_done_fn)(
	void *arg, int status, const struct redis_reply *replies, size_t count);

struct redis_conn_ops {
	void (*on_up)(void *arg); /* introduced: batches may be sent */
	/* Lost, or could not be made; all batches have completed (but those sent since,
	 * from their callbacks). It is called once per try; @why says what to tell
	 * people. The connection tries again by itself. */
	void (*on_down)(void *arg, const struct stint_err *why, int64_t retry_ms);
};

struct redis_conn_opts {
	struct event_base *base;
	const struct redis_url *url; /* copied */
	const char *name;            /* for CLIENT SETNAME; copied; NULL: none */
	int64_t connect_timeout_ms;  /* for connect and introduction together */
	int64_t retry_max_ms;        /* the longest wait before a try; over 0 */
	size_t string_limit_bytes;   /* longer strings in replies are not kept */
	uint64_t seed;               /* of the jitter */
	const struct redis_conn_ops *ops;
	void *arg;
};

struct redis_conn;

/* 0 or -ENOMEM. Nothing happens before redis_conn_start(). */
int redis_conn_new(const struct redis_conn_opts *opts, struct redis_conn **ret);
void redis_conn_start(struct redis_conn *c);

bool redis_conn_is_up(const struct redis_conn *c);

/* When something was last received, over this connection or one before it; 0: never. */
int64_t redis_conn_heard_at_ms(const struct redis_conn *c);

/* CLIENT ID of this connection while it is up; 0: the server would not tell. */
int64_t redis_conn_client_id(const struct redis_conn *c);

/* Another limit for the strings of replies that come from now on. */
void redis_conn_set_string_limit(struct redis_conn *c, size_t limit_bytes);

/* Close and connect again (READONLY after a failover, say); on_down is called from the
 * event loop with @why. Nothing happens while there is no connection to close. */
void redis_conn_reset(struct redis_conn *c, const char *why);

/* Bytes and batches on their way out or waiting for replies. */
size_t redis_conn_queued_bytes(const struct redis_conn *c);
size_t redis_conn_waiting_count(const struct redis_conn *c);

/* Close, complete all batches with -ECANCELED (from here, at once), free. No on_down.
 * Never waits, not even for a name server. Takes NULL. */
void redis_conn_free(struct redis_conn *c);

struct redis_batch {
	struct redis_conn *conn;
	struct buf *out; /* the connection's output; use the calls below */
	size_t start;    /* where this batch begins in it */
	size_t commands;
};

/* Between begin and send or drop, nothing else may use the connection. */
void redis_batch_begin(struct redis_conn *c, struct redis_batch *b);
void redis_cmd(struct redis_batch *b, size_t argc);
void redis_bulk(struct redis_batch *b, const void *p, size_t n);
void redis_str(struct redis_batch *b, const char *s);
/* A key; and one that is a stem ("stint:{default}:result:") and a name. */
void redis_key(struct redis_batch *b, const struct buf *key);
void redis_key_of(
	struct redis_batch *b, const struct buf *stem, const void *name, size_t n);
void redis_int(struct redis_batch *b, int64_t v);

/* Bytes written so far, to bound a batch. */
size_t redis_batch_bytes(const struct redis_batch *b);

/**
 * redis_batch_send() - off it goes
 * @timeout_ms: until the last reply; when it passes, the connection is lost
 *
 * @done is called exactly once, later, from the event loop. A batch of no commands
 * completes, too. When the connection is not up (or memory ran out while the batch
 * was written) the batch completes with -ENOTCONN (-ENOMEM) in the same way.
 * Only where there is no memory even to remember the batch, @done is called at once.
 */
void redis_batch_send(
	struct redis_batch *b, int64_t timeout_ms, redis_done_fn done, void *arg);

/* Forget what was written since begin. */
void redis_batch_drop(struct redis_batch *b);

/* Does an error reply begin with this word ("NOGROUP")? */
bool redis_is_error(const struct redis_reply *r, const char *word);

#endif
