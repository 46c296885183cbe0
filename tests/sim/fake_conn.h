/*
 * fake_conn.h - connections whose every step is somebody's choice
 *
 * The client's side is what conn.h promises. The server's side is a session, which goes
 * on for a while without its client: what was sent may be executed after the
 * connection was lost, and a read may stay blocked.
 */
#ifndef SIM_FAKE_CONN_H
#define SIM_FAKE_CONN_H

#include "daemon/redis/reconnect.h"
#include "tests/sim/sim.h"

struct fake_batch {
	struct fake_batch *next_sent;    /* client's side: in the order of sending */
	struct fake_batch *next_waiting; /* server's side: not all is executed */
	struct redis_conn *conn;         /* NULL: nobody waits for the replies */
	bool is_waiting;                 /* at the server */
	struct arena arena;
	struct buf bytes;
	size_t commands, parsed_bytes, executed;
	struct redis_reply *replies;
	redis_done_fn done;
	void *arg;
	int status; /* of one that is refused */
	int64_t at_ms;
};

struct session {
	struct session *next;
	struct redis_conn *conn; /* NULL: the client is gone */
	int64_t until_ms;        /* without client: when the server has noticed */
	int node;
	enum link_role role;
	struct fake_batch *first, *last;
	struct model_client client;
};

struct redis_conn {
	struct node *node;
	enum link_role role;
	const struct redis_conn_ops *ops;
	void *arg;
	bool is_started, is_up, must_reset;
	char reset_why[64];
	struct reconnect reconnect;
	int64_t try_at_ms;
	struct session *session;
	struct buf out;
	struct fake_batch *sent, *refused;
};

/* What may happen next to it. Zero-time: refused batches, a reset, a time-out. */
bool conn_has_refused(const struct redis_conn *c);
bool conn_has_answer(const struct redis_conn *c); /* its first batch is executed */
bool conn_can_connect(const struct redis_conn *c);
int64_t conn_timeout_at_ms(const struct redis_conn *c);
void conn_complete_refused(struct redis_conn *c);
void conn_deliver(struct redis_conn *c);
void conn_connect(struct redis_conn *c);
void conn_lose_it(struct redis_conn *c, int status, const char *why);

bool session_can_execute(const struct session *s);
/* Execute up to @max commands of its first batch. */
void session_execute(struct session *s, size_t max);
void session_free(struct session *s);
/* Redis ends: all sessions do, and what was not executed never is. */
void sessions_end(void);

#endif
