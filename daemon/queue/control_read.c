/*
 * control_read.c - reads the control streams
 *
 *	up ──▶ check ──▶ block ──▶ block ──▶ ... ──▶ check ──▶ ...
 *	       ▲   │ more                  a block time over
 *	       └───┘
 *
 * A check asks each queue alone, without blocking: what is behind the last id, and
 * whether the stream still reaches that far (else it has begun anew, and is read from
 * the beginning). It is how a stream is read to its end at first, and how one that
 * cannot be read is kept from spoiling the read that blocks on all the others.
 *
 * Of many messages the result counts: pause and resume come into force when a stream was
 * read to its end.
 */
#include "daemon/queue/control_priv.h"

#include <string.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "lib/base/backoff.h"

enum {
	READ_COUNT = 100, /* messages of one stream in one read */
	WAIT_MAX_MS = 5000,
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 5000,
};

/* How long a read blocks, and how much longer its answer may take: together they let a
 * connection that is dead without a sign be noticed within half a lease. */
static int64_t
wait_ms(const struct control *c)
{
	return c->o.lease_ms / 4 < WAIT_MAX_MS ? c->o.lease_ms / 4 : WAIT_MAX_MS;
}

/* ---- what was said ---- */

static void
become_ready(struct control *c, struct control_queue *cq)
{
	if (cq->is_ready)
		return;
	cq->is_ready = true;
	c->o.ops->on_ready(c->o.arg, cq->queue);
}

/* All was read: what was said last is in force. */
static void
settle(struct control *c, struct control_queue *cq)
{
	struct queue *q = cq->queue;

	if (q->is_paused != cq->wants_pause) {
		q->is_paused = cq->wants_pause;
		c->o.ops->on_pause(c->o.arg, q, q->is_paused);
	}
	become_ready(c, cq);
}

/* [[key, entries]] of one stream, or of several, to take what is new for @cq; true: that
 * was all, as far as this read goes. */
static bool
take_stream(struct control *c, struct control_queue *cq, const struct control_read *read,
	const struct redis_reply *reply)
{
	const struct buf *key = &cq->queue->control_key;

	/* begun anew since: between its end and the read's beginning there is a gap */
	if (!read->is_asked || stream_id_is_before(cq->last, read->from))
		return false;
	for (size_t i = 0; reply->type == REDIS_ARRAY && i < reply->count; i++) {
		const struct redis_reply *s = &reply->items[i];

		if (s->type != REDIS_ARRAY || s->count != 2 || !s->items[0].str ||
			s->items[0].len != key->len ||
			memcmp(s->items[0].str, key->data, key->len) != 0)
			continue;
		control_take_entries(c, cq, &s->items[1]);
		return s->items[1].count < READ_COUNT;
	}
	return true;
}

static void
write_streams(struct redis_batch *b, struct control_queue *const *queues, size_t count)
{
	char last[STREAM_ID_BYTES];

	redis_str(b, "STREAMS");
	for (size_t i = 0; i < count; i++)
		redis_bulk(b, queues[i]->queue->control_key.data,
			queues[i]->queue->control_key.len);
	for (size_t i = 0; i < count; i++) {
		stream_id_print(queues[i]->last, last);
		redis_str(b, last);
	}
}

/* ---- checking each queue ---- */

static void
begin_anew(struct control_queue *cq)
{
	cq->last = cq->state = (struct stream_id){0};
	cq->wants_pause = false;
	cancels_clear(&cq->cancels);
}

/* The queue works without its control stream; asked for again with each check. */
static void
on_queue_fault(struct control *c, struct control_queue *cq, const struct redis_reply *why)
{
	if (!cq->is_faulty)
		log_error("control messages cannot be read, trying again",
			F_STR("queue", cq->queue->name),
			F_STR("key", buf_cstr(&cq->queue->control_key)),
			F_STR("why", why->type == REDIS_ERROR ? why->str
							      : "unexpected answer"));
	cq->is_faulty = true;
	become_ready(c, cq);
}

/* @newest: the stream's last entry; @read: what is behind the last id. Returns whether
 * the end was reached. */
static bool
take_check(struct control *c, struct control_queue *cq, const struct redis_reply *newest,
	const struct redis_reply *read)
{
	struct stream_id end = {0};

	if (newest->type != REDIS_ARRAY ||
		(newest->count > 0 && !stream_id_of(&newest->items[0], &end))) {
		on_queue_fault(c, cq, newest);
		return true;
	}
	if (read->type == REDIS_ERROR) {
		on_queue_fault(c, cq, read);
		return true;
	}
	if (cq->is_faulty)
		log_info("control messages can be read again",
			F_STR("queue", cq->queue->name));
	cq->is_faulty = false;
	if (stream_id_is_before(end, cq->last)) {
		begin_anew(cq);
		return false;
	}
	if (!take_stream(c, cq, &cq->own, read))
		return false;
	settle(c, cq);
	return true;
}

static void
wait_longer(struct control *c)
{
	struct backoff b = {.min_ms = BACKOFF_MIN_MS,
		.max_ms = BACKOFF_MAX_MS,
		.now_ms = c->backoff_ms};

	c->backoff_ms = backoff_next(&b);
	c->not_before_ms = stint_at_ms(c->backoff_ms);
	c->check_at_ms = 0; /* to see whose fault it is */
}

/* Not one queue's trouble, but the server's. */
static bool
is_server_fault(struct control *c, const struct redis_reply *r)
{
	const enum fault fault = fault_of(r);

	if (fault != FAULT_WAIT && fault != FAULT_WRONG_SERVER)
		return false;
	if (fault == FAULT_WRONG_SERVER)
		redis_conn_reset(c->o.conn, r->str);
	else if (!c->is_refused)
		log_warn("control messages cannot be read for now", F_STR("why", r->str));
	c->is_refused = true;
	wait_longer(c);
	return true;
}

/* Whether the server let us in, and so all streams were looked at. */
static bool
take_checks(struct control *c, const struct redis_reply *replies)
{
	for (size_t i = 0; i < c->asked_count; i++) {
		struct control_queue *cq = control_find(c, c->asked[i]);

		if (is_server_fault(c, &replies[2 * i]) ||
			is_server_fault(c, &replies[2 * i + 1]))
			return false;
		/* one that was added since is not asked; it may be the same name again */
		if (!cq || !cq->own.is_asked ||
			!take_check(c, cq, &replies[2 * i], &replies[2 * i + 1]))
			c->check_at_ms = 0;
	}
	return true;
}

static void
on_check(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct control *c = arg;

	if (status < 0 || count != 2 * c->asked_count) {
		c->step = STEP_IDLE;
		wait_longer(c);
		return control_poke(c);
	}
	c->check_at_ms = stint_at_ms(wait_ms(c));
	/* the step lasts until all is taken: who is told of a queue may poke */
	if (take_checks(c, replies)) {
		if (c->is_refused)
			log_info("control messages can be read again");
		c->is_refused = false;
	}
	c->step = STEP_IDLE;
	control_poke(c);
}

static void
send_check(struct control *c)
{
	struct redis_batch b;

	redis_batch_begin(c->o.conn, &b);
	for (size_t i = 0; i < c->count; i++) {
		struct control_queue *cq = c->queues[i];

		redis_cmd(&b, 6);
		redis_str(&b, "XREVRANGE");
		redis_bulk(&b, cq->queue->control_key.data, cq->queue->control_key.len);
		redis_str(&b, "+");
		redis_str(&b, "-");
		redis_str(&b, "COUNT");
		redis_int(&b, 1);
		redis_cmd(&b, 6);
		redis_str(&b, "XREAD");
		redis_str(&b, "COUNT");
		redis_int(&b, READ_COUNT);
		write_streams(&b, &cq, 1);
		cq->own = (struct control_read){.is_asked = true, .from = cq->last};
		c->asked[i] = cq->queue;
	}
	c->asked_count = c->count;
	c->step = STEP_CHECK;
	redis_batch_send(&b, wait_ms(c), on_check, c);
}

/* ---- blocking on all that can be read ---- */

static size_t
readable(struct control *c, struct control_queue *ret[FETCH_QUEUES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < c->count; i++)
		if (c->queues[i]->is_ready && !c->queues[i]->is_faulty)
			ret[n++] = c->queues[i];
	return n;
}

static void
on_messages(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	struct control *c = arg;

	if (status < 0 || count != 1 || replies->type == REDIS_ERROR) {
		c->step = STEP_IDLE;
		wait_longer(c);
		return control_poke(c);
	}
	c->backoff_ms = 0;
	for (size_t i = 0; replies->type == REDIS_ARRAY && i < c->count; i++) {
		struct control_queue *cq = c->queues[i];

		if (take_stream(c, cq, &cq->own, replies))
			settle(c, cq);
	}
	c->step = STEP_IDLE;
	control_poke(c);
}

static void
send_block(struct control *c, struct control_queue *const *queues, size_t count)
{
	struct redis_batch b;

	for (size_t i = 0; i < c->count; i++)
		c->queues[i]->own.is_asked = false;
	for (size_t i = 0; i < count; i++)
		queues[i]->own =
			(struct control_read){.is_asked = true, .from = queues[i]->last};
	redis_batch_begin(c->o.conn, &b);
	redis_cmd(&b, 6 + 2 * count);
	redis_str(&b, "XREAD");
	redis_str(&b, "COUNT");
	redis_int(&b, READ_COUNT);
	redis_str(&b, "BLOCK");
	redis_int(&b, wait_ms(c));
	write_streams(&b, queues, count);
	c->step = STEP_BLOCK;
	redis_batch_send(&b, 2 * wait_ms(c), on_messages, c);
}

void
control_poke(struct control *c)
{
	struct control_queue *queues[FETCH_QUEUES_MAX];
	const int64_t now = stint_now_ms();
	size_t count;

	recall_poke(c);
	if (c->step != STEP_IDLE || c->count == 0 || !redis_conn_is_up(c->o.conn))
		return;
	if (now < c->not_before_ms)
		return c->o.ops->wake_at(c->o.arg, c->not_before_ms);
	if (now >= c->check_at_ms)
		return send_check(c);
	count = readable(c, queues);
	if (count > 0)
		send_block(c, queues, count);
	else
		c->o.ops->wake_at(c->o.arg, c->check_at_ms);
}

/* ---- somebody else's batch ---- */

size_t
control_write_read(struct control *c, struct redis_batch *b)
{
	struct control_queue *queues[FETCH_QUEUES_MAX];
	const size_t count = readable(c, queues);

	for (size_t i = 0; i < c->count; i++)
		c->queues[i]->guest.is_asked = false;
	if (count == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		queues[i]->guest =
			(struct control_read){.is_asked = true, .from = queues[i]->last};
	redis_cmd(b, 4 + 2 * count);
	redis_str(b, "XREAD");
	redis_str(b, "COUNT");
	redis_int(b, READ_COUNT);
	write_streams(b, queues, count);
	return 1;
}

void
control_take_read(struct control *c, const struct redis_reply *reply)
{
	if (reply->type != REDIS_ARRAY)
		return;
	for (size_t i = 0; i < c->count; i++) {
		struct control_queue *cq = c->queues[i];

		if (take_stream(c, cq, &cq->guest, reply))
			settle(c, cq);
	}
	recall_poke(c);
}
