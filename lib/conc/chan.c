/*
 * chan.c - channels: a ring of items, a queue of waiting senders, one of receivers
 *
 * All state is under one lock, held for a few instructions and a copy of the item,
 * never across a system call: wake-ups are gathered in struct chan_after and made
 * by chan_unlock().
 *
 * Who waits for whom:
 * - A full ring has waiting senders. The receiver that makes room moves the oldest
 *   sender's item into it and wakes it: its send is done. So an item never
 *   overtakes another one, and a sender finds room only if nobody waits for it.
 * - An empty ring has waiting receivers. They are *called*: woken to come and take
 *   what is there then, with nothing handed over. An item thus never sits with a
 *   thread that has no processor yet while others could have it.
 * - With capacity 0 there is no ring: the items change hands directly, both ways.
 *
 * At most one called receiver is on its way (`is_called`). When it arrives and
 * leaves items behind, it calls the next one before it goes to work. So a batch of
 * quick items is done by the few threads that are awake anyway, and a batch of slow
 * ones soon has a thread for each: calling everybody at once costs the sender a
 * system call per item, and most who come find nothing left. This holds, always:
 *
 *	items in the ring and receivers in the queue  =>  one is called
 *
 * Lock order: none; no other lock is taken under a channel's, and it is not taken
 * under another one.
 */
#include "lib/conc/chan.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "lib/base/cleanup.h"

TAILQ_HEAD(chan_queue, chan_wait);

struct stint_chan {
	pthread_mutex_t lock;
	size_t item_bytes;
	size_t cap;
	size_t len;
	size_t head; /* where the oldest item is */
	bool is_closed;
	bool is_called;    /* a called receiver has not arrived yet */
	bool is_signalled; /* recv_fd is readable, or about to be written or checked */
	int recv_fd;       /* -1 until asked for */
	struct chan_queue senders;
	struct chan_queue receivers;
	_Alignas(max_align_t) unsigned char ring[];
};

/* What is left to do once the lock is released. */
struct chan_after {
	struct waiter *wake;
	int signal_fd;
};

#define CHAN_AFTER_INIT                                                                  \
	{                                                                                \
		.wake = NULL, .signal_fd = -1                                            \
	}

int
stint_chan_new(size_t item_bytes, size_t capacity, struct stint_chan **ret_ch)
{
	struct stint_chan *ch;
	size_t size;

	if (item_bytes > STINT_CHAN_ITEM_MAX)
		return -EINVAL;
	if (__builtin_mul_overflow(item_bytes, capacity, &size) ||
		__builtin_add_overflow(size, sizeof(*ch), &size))
		return -ENOMEM;
	ch = malloc(size);
	if (!ch)
		return -ENOMEM;
	*ch = (struct stint_chan){
		.item_bytes = item_bytes,
		.cap = capacity,
		.recv_fd = -1,
	};
	pthread_mutex_init(&ch->lock, NULL);
	TAILQ_INIT(&ch->senders);
	TAILQ_INIT(&ch->receivers);
	*ret_ch = ch;
	return 0;
}

static void
chan_unlock(struct stint_chan *ch, struct chan_after *after)
{
	static const uint64_t one = 1;

	pthread_mutex_unlock(&ch->lock);
	/* Cannot fail: the counter is far from its end. */
	if (after->signal_fd >= 0)
		(void)!write(after->signal_fd, &one, sizeof(one));
	waiter_wake(after->wake);
}

/* ---- waiting threads, under the lock ---- */

/* Take the first one out of a queue whom nothing else has woken meanwhile. */
static struct chan_wait *
queue_claim(struct chan_queue *queue)
{
	struct chan_wait *wait;

	while ((wait = TAILQ_FIRST(queue))) {
		TAILQ_REMOVE(queue, wait, in_queue);
		wait->is_queued = false;
		if (waiter_claim(wait->waiter))
			return wait;
	}
	return NULL;
}

static bool
queue_has_other(struct chan_queue *queue, const struct waiter *self)
{
	struct chan_wait *wait;

	TAILQ_FOREACH (wait, queue, in_queue)
		if (wait->waiter != self && waiter_is_open(wait->waiter))
			return true;
	return false;
}

static void
wait_finish(struct chan_wait *wait, int result, struct chan_after *after)
{
	wait->waiter->won = wait;
	wait->waiter->result = result;
	waiter_push(&after->wake, wait->waiter);
}

static void
chan_call_receiver(struct stint_chan *ch, struct chan_after *after)
{
	struct chan_wait *receiver;

	if (ch->is_called || ch->len == 0)
		return;
	receiver = queue_claim(&ch->receivers);
	if (!receiver)
		return;
	ch->is_called = true;
	wait_finish(receiver, -EAGAIN, after);
}

/* ---- items, under the lock ---- */

static void
item_copy(const struct stint_chan *ch, void *to, const void *from)
{
	if (to && ch->item_bytes > 0)
		memcpy(to, from, ch->item_bytes);
}

static void
ring_push(struct stint_chan *ch, const void *item)
{
	size_t at = ch->head + ch->len;

	if (at >= ch->cap)
		at -= ch->cap;
	item_copy(ch, ch->ring + at * ch->item_bytes, item);
	ch->len++;
}

static void
ring_pop(struct stint_chan *ch, void *ret_item)
{
	item_copy(ch, ret_item, ch->ring + ch->head * ch->item_bytes);
	if (++ch->head == ch->cap)
		ch->head = 0;
	ch->len--;
}

static void
chan_signal(struct stint_chan *ch, struct chan_after *after)
{
	if (ch->recv_fd < 0 || ch->is_signalled)
		return;
	ch->is_signalled = true;
	after->signal_fd = ch->recv_fd;
}

static bool
chan_put(struct stint_chan *ch, const void *item, struct chan_after *after)
{
	struct chan_wait *receiver;

	if (ch->len < ch->cap) {
		ring_push(ch, item);
		chan_call_receiver(ch, after);
		chan_signal(ch, after);
		return true;
	}
	receiver = ch->cap == 0 ? queue_claim(&ch->receivers) : NULL;
	if (!receiver)
		return false;
	item_copy(ch, receiver->item, item);
	wait_finish(receiver, 0, after);
	return true;
}

static bool
chan_take(struct stint_chan *ch, void *ret_item, struct chan_after *after)
{
	bool was_full = ch->len == ch->cap;
	struct chan_wait *sender;

	if (ch->len > 0)
		ring_pop(ch, ret_item);
	else if (ch->cap > 0)
		return false;
	sender = was_full ? queue_claim(&ch->senders) : NULL;
	if (sender) {
		if (ch->cap > 0)
			ring_push(ch, sender->item);
		else
			item_copy(ch, ret_item, sender->item);
		wait_finish(sender, 0, after);
	}
	chan_call_receiver(ch, after);
	return sender || ch->cap > 0;
}

static int
chan_do(struct stint_chan *ch, enum stint_case_op op, void *item,
	struct chan_after *after)
{
	if (op == STINT_SEND && !ch->is_closed && chan_put(ch, item, after))
		return 0;
	if (op == STINT_RECV && chan_take(ch, item, after))
		return 0;
	return ch->is_closed ? -EPIPE : -EAGAIN;
}

static bool
chan_would_do(struct stint_chan *ch, enum stint_case_op op, const struct waiter *self)
{
	if (ch->is_closed)
		return true;
	if (op == STINT_SEND)
		return ch->len < ch->cap ||
		       (ch->cap == 0 && queue_has_other(&ch->receivers, self));
	return ch->len > 0 || (ch->cap == 0 && queue_has_other(&ch->senders, self));
}

/* ---- the descriptor ---- */

/*
 * A receive has found the channel empty: reset the descriptor, without the lock,
 * for the write wakes a thread that wants it at once. What keeps this from losing
 * a wake-up: `is_signalled` stays set until the look after the read, so either the
 * look sees an item that came in between, or its sender sees the flag cleared and
 * writes. A late write of a sender whose item is gone only makes the descriptor
 * readable once for nothing, and the receive that finds so comes by here again.
 */
static void
chan_reset_fd(struct stint_chan *ch)
{
	struct chan_after after = CHAN_AFTER_INIT;
	uint64_t count;

	(void)!read(ch->recv_fd, &count, sizeof(count)); /* -EAGAIN is fine */
	pthread_mutex_lock(&ch->lock);
	ch->is_signalled = false;
	if (chan_would_do(ch, STINT_RECV, NULL))
		chan_signal(ch, &after);
	chan_unlock(ch, &after);
}

int
stint_chan_recv_fd(struct stint_chan *ch)
{
	int r;

	if (!ch)
		return -EINVAL;
	pthread_mutex_lock(&ch->lock);
	if (ch->recv_fd < 0) {
		ch->is_signalled = chan_would_do(ch, STINT_RECV, NULL);
		ch->recv_fd = eventfd(ch->is_signalled, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	r = ch->recv_fd < 0 ? -errno : ch->recv_fd;
	pthread_mutex_unlock(&ch->lock);
	return r;
}

/* ---- without waiting ---- */

/* How many of @count went through, or why not one did. */
static int
chan_try_many(
	struct stint_chan *ch, enum stint_case_op op, unsigned char *items, size_t count)
{
	struct chan_after after = CHAN_AFTER_INIT;
	bool must_reset;
	size_t done = 0;
	int r = 0;

	if (!ch || count == 0)
		return -EAGAIN;
	if (count > INT_MAX)
		count = INT_MAX;
	pthread_mutex_lock(&ch->lock);
	while (done < count) {
		void *item = items ? items + done * ch->item_bytes : NULL;

		r = chan_do(ch, op, item, &after);
		if (r < 0)
			break;
		done++;
	}
	must_reset = op == STINT_RECV && r == -EAGAIN && ch->recv_fd >= 0;
	chan_unlock(ch, &after);
	if (must_reset)
		chan_reset_fd(ch);
	return done > 0 ? (int)done : r;
}

int
chan_try(struct stint_chan *ch, enum stint_case_op op, void *item)
{
	int r = chan_try_many(ch, op, item, 1);

	return r > 0 ? 0 : r;
}

int
stint_chan_try_send(struct stint_chan *ch, const void *item)
{
	return chan_try(ch, STINT_SEND, (void *)item);
}

int
stint_chan_try_recv(struct stint_chan *ch, void *ret_item)
{
	return chan_try(ch, STINT_RECV, ret_item);
}

int
stint_chan_try_send_many(struct stint_chan *ch, const void *items, size_t count)
{
	return chan_try_many(ch, STINT_SEND, (void *)items, count);
}

int
stint_chan_try_recv_many(struct stint_chan *ch, void *ret_items, size_t count)
{
	return chan_try_many(ch, STINT_RECV, ret_items, count);
}

bool
chan_is_ready(struct stint_chan *ch, enum stint_case_op op)
{
	bool is_ready;

	if (!ch)
		return false;
	pthread_mutex_lock(&ch->lock);
	is_ready = chan_would_do(ch, op, NULL);
	pthread_mutex_unlock(&ch->lock);
	return is_ready;
}

/* ---- for those who wait ---- */

bool
chan_enter(struct chan_wait *wait)
{
	struct chan_after after = CHAN_AFTER_INIT;
	struct stint_chan *ch = wait->ch;
	bool is_ready;

	if (!ch)
		return false;
	pthread_mutex_lock(&ch->lock);
	is_ready = chan_would_do(ch, wait->op, wait->waiter);
	if (!is_ready) {
		TAILQ_INSERT_TAIL(wait->op == STINT_SEND ? &ch->senders : &ch->receivers,
			wait, in_queue);
		wait->is_queued = true;
		/* The receiver is to come: without a ring, that is what it waits for. */
		if (wait->op == STINT_SEND && ch->cap == 0)
			chan_signal(ch, &after);
	}
	chan_unlock(ch, &after);
	return is_ready;
}

void
chan_leave(struct chan_wait *wait)
{
	struct stint_chan *ch = wait->ch;

	if (!ch)
		return;
	pthread_mutex_lock(&ch->lock);
	if (wait->is_queued)
		TAILQ_REMOVE(wait->op == STINT_SEND ? &ch->senders : &ch->receivers, wait,
			in_queue);
	wait->is_queued = false;
	pthread_mutex_unlock(&ch->lock);
}

int
chan_answer_call(struct chan_wait *wait, bool wants_item)
{
	struct chan_after after = CHAN_AFTER_INIT;
	struct stint_chan *ch = wait->ch;
	int r = -EAGAIN;

	pthread_mutex_lock(&ch->lock);
	ch->is_called = false;
	if (wants_item)
		r = chan_do(ch, STINT_RECV, wait->item, &after);
	else
		chan_call_receiver(ch, &after);
	chan_unlock(ch, &after);
	return r;
}

/* ---- the rest of its life ---- */

int
stint_chan_close(struct stint_chan *ch)
{
	struct chan_after after = CHAN_AFTER_INIT;
	struct chan_wait *wait;
	int r = -EPIPE;

	if (!ch)
		return -EINVAL;
	pthread_mutex_lock(&ch->lock);
	if (!ch->is_closed) {
		ch->is_closed = true;
		while ((wait = queue_claim(&ch->senders)))
			wait_finish(wait, -EPIPE, &after);
		/* Called, not told: a few items may still be on their way to them. */
		while ((wait = queue_claim(&ch->receivers)))
			wait_finish(wait, -EAGAIN, &after);
		chan_signal(ch, &after);
		r = 0;
	}
	chan_unlock(ch, &after);
	return r;
}

size_t
stint_chan_len(struct stint_chan *ch)
{
	size_t len;

	if (!ch)
		return 0;
	pthread_mutex_lock(&ch->lock);
	len = ch->len;
	pthread_mutex_unlock(&ch->lock);
	return len;
}

size_t
stint_chan_cap(struct stint_chan *ch)
{
	return ch ? ch->cap : 0;
}

size_t
chan_item_bytes(const struct stint_chan *ch)
{
	return ch->item_bytes;
}

void
stint_chan_free(struct stint_chan *ch)
{
	if (!ch)
		return;
	close_fd(&ch->recv_fd);
	pthread_mutex_destroy(&ch->lock);
	free(ch);
}
