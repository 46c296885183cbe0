/*
 * conn_priv.h - the inside of a connection, shared by the files that make it up
 *
 *	conn.c      its life: new, start, lost, settled, timers, free
 *	reconnect.c how long it waits before the next try
 *	connect.c   one try: addresses, socket, connected     resolve.c   host names
 *	intro.c     AUTH, SELECT, PING, CLIENT: what makes a connected socket "up"
 *	batch.c     what callers write and send, and the queues of batches
 *	stream.c    bytes out and in                          reply.c     bytes to replies
 *
 * Callbacks are made in three places only: stream.c when the replies of a batch
 * are complete, conn.c when a loss is settled, and redis_conn_free(). Each is
 * between conn_enter() and conn_leave(), so the struct outlives a callback that
 * frees the connection; after a callback the code asks again how things stand.
 * conn_lose() makes none, and so may be called from anywhere.
 */
#ifndef REDIS_CONN_PRIV_H
#define REDIS_CONN_PRIV_H

#include "daemon/redis/conn.h"
#include "daemon/redis/reconnect.h"
#include "daemon/redis/reply.h"
#include "daemon/redis/resolve.h"

/*
 *	IDLE ──start──▶ RESOLVING ──▶ CONNECTING ──▶ INTRODUCING ──▶ UP
 *	                    ▲  │           │               │          │
 *	                    │  └───────────┴──── lose ─────┴──────────┤
 *	                 retry timer                                  ▼
 *	                    └───────── WAITING ◀───── settle ─────── LOST
 *
 * Literal addresses and unix sockets go to CONNECTING at once.
 */
enum conn_state {
	CONN_IDLE,
	CONN_RESOLVING,
	CONN_CONNECTING,
	CONN_INTRODUCING,
	CONN_UP,
	CONN_LOST,    /* closed; its batches and on_down are owed their callbacks */
	CONN_WAITING, /* for the next try */
};

enum {
	READ_BYTES =
		64 *
		1024, /* per recv(): beyond that a system call costs next to nothing */
};

/* A batch that has not completed. */
struct pending {
	redis_done_fn done;
	void *arg;
	size_t commands;
	int64_t at_ms; /* deadline of the last reply */
	int status;    /* of a refused one */
};

/* First in, first out; a zeroed one is empty. */
struct pending_ring {
	struct pending *v;
	size_t cap; /* power of two */
	size_t head;
	size_t len;
};

struct redis_conn {
	struct event_base *base;
	struct redis_url url;
	char *name; /* NULL: none */
	int64_t connect_timeout_ms;
	struct redis_conn_ops ops;
	void *arg;

	enum conn_state state;
	struct stint_err why; /* of the last loss */
	int64_t client_id;
	int64_t try_until_ms; /* RESOLVING to INTRODUCING */
	int64_t heard_at_ms;  /* when something last came */
	int64_t retry_at_ms;  /* WAITING */
	struct reconnect reconnect;

	struct resolve *resolve; /* may outlive a try: see connect.c */
	struct addr_list addrs;
	size_t addr_next;  /* modulo their count: which to try next */
	size_t addrs_left; /* in this try */

	int fd;
	struct event *read_event;
	struct event *write_event;
	struct event *resolve_event;
	struct event *poke; /* zero time-out: work for the next round of the loop */
	struct event *timer;
	int64_t timer_at_ms; /* when it fires; STINT_NEVER: it does not */

	struct buf out;
	size_t out_sent; /* of out; the rest waits for room in the socket */
	bool is_blocked; /* no send() before write_event, or before the loss, fires */

	struct pending_ring waiting; /* for replies, oldest first */
	struct pending_ring refused; /* never sent, to complete from the loop */
	struct reply_reader *reader;
	bool is_reading; /* reader: has begun with the oldest of waiting */

	int depth;       /* of conn_enter() */
	bool is_stopped; /* redis_conn_free() was called */
	size_t in_at;    /* bytes of in that the reader has got */
	size_t in_len;
	char in[READ_BYTES];
};

/* conn.c */
void conn_enter(struct redis_conn *c);
void conn_leave(struct redis_conn *c); /* may free it */

/* Close the socket; the rest follows from the loop. Nothing when there is none. */
void conn_lose(struct redis_conn *c, int code, const char *fmt, ...) STINT_PRINTF(3, 4);

/* Have the loop look at the connection in its next round. */
void conn_poke(struct redis_conn *c);

/* See to it that the timer fires when the state's deadline passes. */
void conn_arm_timer(struct redis_conn *c);

/* connect.c: RESOLVING or CONNECTING, or lost already */
void connect_try(struct redis_conn *c);
void connect_on_writable(struct redis_conn *c);
void connect_on_resolved(evutil_socket_t fd, short what, void *conn);

/* intro.c */
void intro_start(struct redis_conn *c);
void intro_lost(struct redis_conn *c); /* put the server's last words into c->why */

/* batch.c */
bool pending_push(struct pending_ring *r, const struct pending *p); /* false: no memory */
bool pending_pop(struct pending_ring *r, struct pending *ret);      /* false: empty */
struct pending *pending_first(const struct pending_ring *r);        /* NULL: empty */
void pending_fini(struct pending_ring *r);

/* Send what was written since begin, whatever the state. */
void batch_enqueue(struct redis_batch *b, int64_t at_ms, redis_done_fn done, void *arg);

/* stream.c */
void stream_flush(struct redis_conn *c);
void stream_on_readable(evutil_socket_t fd, short what, void *conn);
void stream_on_writable(evutil_socket_t fd, short what, void *conn);

/* Read and complete batches for a bounded time; true: there is more, the loop goes on. */
bool stream_read(struct redis_conn *c);

#endif
