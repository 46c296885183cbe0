/*
 * chan.c - channels: a ring of items, a queue of waiting senders, one of receivers
 *
 * The ring has a lock at either end (ring.h). While nobody waits, a send takes one of
 * them and a receive the other, and they do not meet: chan_do_fast(). Everything else
 * is under both locks, and `is_slow` of an end tells that there is something else to
 * do. Locks are held for a few instructions and a copy of the item, never across a
 * system call: wake-ups are gathered in struct chan_after and made by chan_unlock().
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
 * Lock order: `in` before `out`; no other lock is taken under a channel's, and they
 * are not taken under another one.
 */
#include "lib/conc/chan.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "lib/conc/ring.h"
#include "lib/conc/track.h"

TAILQ_HEAD(chan_queue, chan_wait);

struct stint_chan {
	struct ring ring;

	/* under both locks */
	_Atomic bool is_closed; /* chan_is_ready() reads it without */
	bool is_called;         /* a called receiver has not arrived yet */
	bool is_signalled; /* recv_fd is readable, or about to be written or checked */
	int recv_fd;       /* -1 until asked for */
	struct chan_queue senders;
	struct chan_queue receivers;

	struct track track;
	_Alignas(RING_APART_BYTES) unsigned char items[];
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
stint_chan_new_at(
	size_t item_bytes, size_t capacity, struct stint_chan **ret_ch, const char *where)
{
	struct stint_chan *ch;
	size_t size;

	if (item_bytes > STINT_CHAN_ITEM_MAX)
		return -EINVAL;
	if (__builtin_mul_overflow(item_bytes, capacity, &size) ||
		__builtin_add_overflow(size, sizeof(*ch), &size))
		return -ENOMEM;
	/* Whole units of the alignment: so aligned_alloc() wants it. */
	if (__builtin_add_overflow(size, RING_APART_BYTES - 1, &size))
		return -ENOMEM;
	ch = aligned_alloc(RING_APART_BYTES, size - size % RING_APART_BYTES);
	if (!ch)
		return -ENOMEM;
	*ch = (struct stint_chan){.recv_fd = -1};
	ring_init(&ch->ring, item_bytes, capacity, ch->items);
	RACE_ATOMIC(&ch->is_closed);
	TAILQ_INIT(&ch->senders);
	TAILQ_INIT(&ch->receivers);
	track_add(&ch->track, "channel", NULL, where);
	*ret_ch = ch;
	return 0;
}

/* Relaxed, here and below: it only changes under the locks, or it is old news. */
static bool
chan_is_closed(const struct stint_chan *ch)
{
	return atomic_load_explicit(&ch->is_closed, memory_order_relaxed);
}

static void
chan_lock(struct stint_chan *ch)
{
	ring_lock(&ch->ring);
}

static void
chan_unlock(struct stint_chan *ch, struct chan_after *after)
{
	static const uint64_t one = 1;

	/* A send has to call a receiver, to signal, or to fail; a receive has to move the
	 * item of a sender who waits. */
	ch->ring.in.is_slow = chan_is_closed(ch) ||
			      (!TAILQ_EMPTY(&ch->receivers) && !ch->is_called) ||
			      (ch->recv_fd >= 0 && !ch->is_signalled);
	ch->ring.out.is_slow = !TAILQ_EMPTY(&ch->senders);
	ring_unlock(&ch->ring);
	/* Cannot fail: the counter is far from its end. */
	if (after->signal_fd >= 0)
		(void)!write(after->signal_fd, &one, sizeof(one));
	waiter_wake(after->wake);
}

/* ---- waiting threads, under the locks ---- */

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

	if (ch->is_called || ring_len(&ch->ring) == 0)
		return;
	receiver = queue_claim(&ch->receivers);
	if (!receiver)
		return;
	ch->is_called = true;
	wait_finish(receiver, -EAGAIN, after);
}

/* ---- items, under the locks ---- */

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

	if (ring_put(&ch->ring, item)) {
		chan_call_receiver(ch, after);
		chan_signal(ch, after);
		return true;
	}
	receiver = ch->ring.cap == 0 ? queue_claim(&ch->receivers) : NULL;
	if (!receiver)
		return false;
	ring_copy(&ch->ring, receiver->item, item);
	wait_finish(receiver, 0, after);
	return true;
}

static bool
chan_take(struct stint_chan *ch, void *ret_item, struct chan_after *after)
{
	bool was_full = ring_len(&ch->ring) == ch->ring.cap;
	struct chan_wait *sender;

	if (!ring_take(&ch->ring, ret_item) && ch->ring.cap > 0)
		return false;
	sender = was_full ? queue_claim(&ch->senders) : NULL;
	if (sender) {
		if (ch->ring.cap == 0)
			ring_copy(&ch->ring, ret_item, sender->item);
		else
			ring_put(&ch->ring, sender->item); /* there is room now */
		wait_finish(sender, 0, after);
	}
	chan_call_receiver(ch, after);
	return sender || ch->ring.cap > 0;
}

static int
chan_do(struct stint_chan *ch, enum stint_case_op op, void *item,
	struct chan_after *after)
{
	if (op == STINT_SEND && !chan_is_closed(ch) && chan_put(ch, item, after))
		return 0;
	if (op == STINT_RECV && chan_take(ch, item, after))
		return 0;
	return chan_is_closed(ch) ? -EPIPE : -EAGAIN;
}

static bool
chan_would_do(struct stint_chan *ch, enum stint_case_op op, const struct waiter *self)
{
	size_t len = ring_len(&ch->ring), cap = ch->ring.cap;

	if (chan_is_closed(ch))
		return true;
	if (cap > 0)
		return op == STINT_SEND ? len < cap : len > 0;
	return queue_has_other(op == STINT_SEND ? &ch->receivers : &ch->senders, self);
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
	chan_lock(ch);
	ch->is_signalled = false;
	if (chan_would_do(ch, STINT_RECV, NULL))
		chan_signal(ch, &after);
	chan_unlock(ch, &after);
}

int
stint_chan_recv_fd(struct stint_chan *ch)
{
	struct chan_after after = CHAN_AFTER_INIT;
	int r;

	if (!ch)
		return -EINVAL;
	chan_lock(ch);
	if (ch->recv_fd < 0) {
		ch->is_signalled = chan_would_do(ch, STINT_RECV, NULL);
		ch->recv_fd = eventfd(ch->is_signalled, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	r = ch->recv_fd < 0 ? -errno : ch->recv_fd;
	chan_unlock(ch, &after);
	return r;
}

/* ---- without waiting ---- */

/* How many of @count went through with the lock of one end, which needs nobody who waits.
 */
static size_t
chan_do_fast(
	struct stint_chan *ch, enum stint_case_op op, unsigned char *items, size_t count)
{
	struct ring_end *end = op == STINT_SEND ? &ch->ring.in : &ch->ring.out;
	size_t done = 0;

	lock_take(&end->lock);
	while (!end->is_slow && done < count &&
		(op == STINT_SEND ? ring_put(&ch->ring, items)
				  : ring_take(&ch->ring, items))) {
		done++;
		if (items)
			items += ch->ring.item_bytes;
	}
	lock_release(&end->lock);
	return done;
}

/* The same with both locks; why the one after them did not is in @ret. */
static size_t
chan_do_slow(struct stint_chan *ch, enum stint_case_op op, unsigned char *items,
	size_t count, int *ret)
{
	struct chan_after after = CHAN_AFTER_INIT;
	bool must_reset;
	size_t done = 0;

	chan_lock(ch);
	while (done < count && (*ret = chan_do(ch, op, items, &after)) == 0) {
		done++;
		if (items)
			items += ch->ring.item_bytes;
	}
	must_reset = op == STINT_RECV && *ret == -EAGAIN && ch->recv_fd >= 0;
	chan_unlock(ch, &after);
	if (must_reset)
		chan_reset_fd(ch);
	return done;
}

int
chan_try_many(struct stint_chan *ch, enum stint_case_op op, void *items, size_t count)
{
	size_t done = 0;
	int r = 0;

	if (!ch || count == 0)
		return -EAGAIN;
	if (count > INT_MAX)
		count = INT_MAX;
	if (ch->ring.cap > 0)
		done = chan_do_fast(ch, op, items, count);
	if (done < count)
		done += chan_do_slow(ch, op,
			items ? (unsigned char *)items + done * ch->ring.item_bytes
			      : NULL,
			count - done, &r);
	return done > 0 ? (int)done : r;
}

bool
chan_is_ready(struct stint_chan *ch, enum stint_case_op op)
{
	struct chan_after after = CHAN_AFTER_INIT;
	bool is_ready;

	if (!ch)
		return false;
	/* What a ring holds can be seen from outside, who waits cannot. */
	if (ch->ring.cap > 0)
		return chan_would_do(ch, op, NULL);
	chan_lock(ch);
	is_ready = chan_would_do(ch, op, NULL);
	chan_unlock(ch, &after);
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
	chan_lock(ch);
	is_ready = chan_would_do(ch, wait->op, wait->waiter);
	if (!is_ready) {
		TAILQ_INSERT_TAIL(wait->op == STINT_SEND ? &ch->senders : &ch->receivers,
			wait, in_queue);
		wait->is_queued = true;
		/* The receiver is to come: without a ring, that is what it waits for. */
		if (wait->op == STINT_SEND && ch->ring.cap == 0)
			chan_signal(ch, &after);
	}
	chan_unlock(ch, &after);
	return is_ready;
}

void
chan_leave(struct chan_wait *wait)
{
	struct chan_after after = CHAN_AFTER_INIT;
	struct stint_chan *ch = wait->ch;

	if (!ch)
		return;
	chan_lock(ch);
	if (wait->is_queued)
		TAILQ_REMOVE(wait->op == STINT_SEND ? &ch->senders : &ch->receivers, wait,
			in_queue);
	wait->is_queued = false;
	chan_unlock(ch, &after);
}

int
chan_answer_call(struct chan_wait *wait, bool wants_item)
{
	struct chan_after after = CHAN_AFTER_INIT;
	struct stint_chan *ch = wait->ch;
	int r = -EAGAIN;

	chan_lock(ch);
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
	chan_lock(ch);
	if (!chan_is_closed(ch)) {
		atomic_store_explicit(&ch->is_closed, true, memory_order_relaxed);
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
	return ch ? ring_len(&ch->ring) : 0;
}

size_t
stint_chan_cap(struct stint_chan *ch)
{
	return ch ? ch->ring.cap : 0;
}

size_t
chan_item_bytes(const struct stint_chan *ch)
{
	return ch->ring.item_bytes;
}

const struct track *
chan_track(const struct stint_chan *ch)
{
	return &ch->track;
}

void
stint_chan_free(struct stint_chan *ch)
{
	if (!ch)
		return;
	track_remove(&ch->track);
	/* Whoever sent what the caller has just received may still have to let go. */
	ring_lock(&ch->ring);
	ring_unlock(&ch->ring);
	ring_fini(&ch->ring);
	close_fd(&ch->recv_fd);
	free(ch);
}
