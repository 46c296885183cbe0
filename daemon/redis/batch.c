/*
 * batch.c - what callers write and send, and the queues of batches
 *
 * Commands are encoded straight into the connection's output, behind what is still
 * on its way out. A batch that cannot be sent is cut off again and joins the
 * refused, which complete from the loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <stint/clock.h>
#include "daemon/redis/conn_priv.h"

enum {
	RING_FIRST = 16, /* callers keep two or three batches on their way */
};

static struct pending *
ring_at(const struct pending_ring *r, size_t i)
{
	return &r->v[(r->head + i) & (r->cap - 1)];
}

static bool
ring_grow(struct pending_ring *r)
{
	size_t cap = r->cap ? r->cap * 2 : RING_FIRST;
	struct pending *v = calloc(cap, sizeof *v);

	if (!v)
		return false;
	for (size_t i = 0; i < r->len; i++)
		v[i] = *ring_at(r, i);
	free(r->v);
	r->v = v;
	r->cap = cap;
	r->head = 0;
	return true;
}

bool
pending_push(struct pending_ring *r, const struct pending *p)
{
	if (r->len == r->cap && !ring_grow(r))
		return false;
	*ring_at(r, r->len) = *p;
	r->len++;
	return true;
}

bool
pending_pop(struct pending_ring *r, struct pending *ret)
{
	if (r->len == 0)
		return false;
	*ret = r->v[r->head];
	r->head = (r->head + 1) & (r->cap - 1);
	r->len--;
	return true;
}

struct pending *
pending_first(const struct pending_ring *r)
{
	return r->len > 0 ? ring_at(r, 0) : NULL;
}

void
pending_fini(struct pending_ring *r)
{
	free(r->v);
	*r = (struct pending_ring){0};
}

void
redis_batch_begin(struct redis_conn *c, struct redis_batch *b)
{
	/* Moves fewer bytes than were sent since the last time: O(1) per byte. */
	if (c->out_sent > c->out.len / 2) {
		buf_shift(&c->out, c->out_sent);
		c->out_sent = 0;
	}
	*b = (struct redis_batch){.conn = c, .out = &c->out, .start = c->out.len};
}

size_t
redis_batch_bytes(const struct redis_batch *b)
{
	return b->out->len - b->start;
}

void
redis_batch_drop(struct redis_batch *b)
{
	b->out->len = b->start;
	b->out->failed = false; /* what was there before is whole */
	b->commands = 0;
}

static void
batch_refuse(struct redis_batch *b, int status, redis_done_fn done, void *arg)
{
	const struct pending p = {.done = done, .arg = arg, .status = status};

	redis_batch_drop(b);
	if (pending_push(&b->conn->refused, &p))
		conn_poke(b->conn);
	else
		done(arg, -ENOMEM, NULL, 0); /* no room even to remember it: see conn.h */
}

/*
 * Replies come in order, so a batch whose deadline is earlier than its
 * predecessors' is theirs, too. The deadlines in the ring never decrease, and the
 * oldest batch's is the one to wait for.
 */
static void
hasten_predecessors(struct pending_ring *r, int64_t at_ms)
{
	for (size_t i = r->len - 1; i-- > 0 && ring_at(r, i)->at_ms > at_ms;)
		ring_at(r, i)->at_ms = at_ms;
}

void
batch_enqueue(struct redis_batch *b, int64_t at_ms, redis_done_fn done, void *arg)
{
	const struct pending p = {
		.done = done, .arg = arg, .commands = b->commands, .at_ms = at_ms};
	struct redis_conn *c = b->conn;

	if (b->out->failed || !pending_push(&c->waiting, &p)) {
		batch_refuse(b, -ENOMEM, done, arg);
		return;
	}
	hasten_predecessors(&c->waiting, at_ms);
	conn_arm_timer(c);
	if (b->commands == 0)
		conn_poke(c); /* there will be no reply to complete it */
	stream_flush(c);
}

void
redis_batch_send(struct redis_batch *b, int64_t timeout_ms, redis_done_fn done, void *arg)
{
	if (b->conn->state == CONN_UP)
		batch_enqueue(b, stint_at_ms(timeout_ms), done, arg);
	else
		batch_refuse(b, b->out->failed ? -ENOMEM : -ENOTCONN, done, arg);
}
