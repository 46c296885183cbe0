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
 * - With capacity 0 there is no ring: the items change hands directly, both ways. Two
 *   threads that are both awake do that without the lock, at the meeting place
 *   (meet.h), which is open as long as nobody is in a queue.
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
#include "lib/conc/chan_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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
	meet_init(&ch->meet, item_bytes);
	meet_shut(&ch->meet, capacity > 0 || item_bytes > MEET_ITEM_MAX);
	RACE_ATOMIC(&ch->is_closed);
	RACE_ATOMIC(&ch->signalling_count);
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

/* Open the meeting place, or shut it. */
static void
chan_set_meet(struct stint_chan *ch)
{
	meet_shut(&ch->meet, chan_is_closed(ch) || ch->recv_fd >= 0 ||
				     ch->ring.item_bytes > MEET_ITEM_MAX ||
				     !TAILQ_EMPTY(&ch->senders) ||
				     !TAILQ_EMPTY(&ch->receivers));
}

void
chan_unlock(struct stint_chan *ch, struct chan_after *after)
{
	/* A send has to call a receiver, to signal, or to fail; a receive has to move the
	 * item of a sender who waits. */
	ch->ring.in.is_slow = chan_is_closed(ch) ||
			      (!TAILQ_EMPTY(&ch->receivers) && !ch->is_called) ||
			      (ch->recv_fd >= 0 && !ch->is_signalled);
	ch->ring.out.is_slow = !TAILQ_EMPTY(&ch->senders);
	if (ch->ring.cap == 0)
		chan_set_meet(ch);
	ring_unlock(&ch->ring);
	if (after->must_signal)
		chan_write_fd(ch);
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

/* To one who waits, without a ring; who waits awake was there first. */
static bool
chan_hand_over(struct stint_chan *ch, const void *item, struct chan_after *after)
{
	struct chan_wait *receiver;

	if (meet_do(&ch->meet, STINT_SEND, (void *)item)) /* only read from */
		return true;
	receiver = queue_claim(&ch->receivers);
	if (!receiver)
		return false;
	ring_copy(&ch->ring, receiver->item, item);
	wait_finish(receiver, 0, after);
	return true;
}

static bool
chan_take_over(struct stint_chan *ch, void *ret_item, struct chan_after *after)
{
	struct chan_wait *sender;

	if (meet_do(&ch->meet, STINT_RECV, ret_item))
		return true;
	sender = queue_claim(&ch->senders);
	if (!sender)
		return false;
	ring_copy(&ch->ring, ret_item, sender->item);
	wait_finish(sender, 0, after);
	return true;
}

static bool
chan_put(struct stint_chan *ch, const void *item, struct chan_after *after)
{
	if (ch->ring.cap == 0)
		return chan_hand_over(ch, item, after);
	if (!ring_put(&ch->ring, item))
		return false;
	chan_call_receiver(ch, after);
	chan_signal(ch, after);
	return true;
}

static bool
chan_take(struct stint_chan *ch, void *ret_item, struct chan_after *after)
{
	bool was_full = ring_len(&ch->ring) == ch->ring.cap;
	struct chan_wait *sender;

	/* After a close nothing is left to be drained there, though a sender may not have
	 * seen it yet. */
	if (ch->ring.cap == 0)
		return !chan_is_closed(ch) && chan_take_over(ch, ret_item, after);
	if (!ring_take(&ch->ring, ret_item))
		return false;
	sender = was_full ? queue_claim(&ch->senders) : NULL;
	if (sender) {
		ring_put(&ch->ring, sender->item); /* there is room now */
		wait_finish(sender, 0, after);
	}
	chan_call_receiver(ch, after);
	return true;
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

bool
chan_would_do(struct stint_chan *ch, enum stint_case_op op, const struct waiter *self)
{
	size_t len = ring_len(&ch->ring), cap = ch->ring.cap;

	if (chan_is_closed(ch))
		return true;
	if (cap > 0)
		return op == STINT_SEND ? len < cap : len > 0;
	return meet_is_ready(&ch->meet, op) ||
	       queue_has_other(op == STINT_SEND ? &ch->receivers : &ch->senders, self);
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
	struct chan_after after = {0};
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
	else if (meet_try(&ch->meet, op, items))
		return 1;
	else if (!meet_is_shut(&ch->meet))
		return -EAGAIN;
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
	struct chan_after after = {0};
	bool is_ready;

	if (!ch)
		return false;
	/* What a ring holds can be seen from outside, who waits cannot. */
	if (ch->ring.cap > 0)
		return chan_would_do(ch, op, NULL);
	if (!meet_is_shut(&ch->meet))
		return meet_is_ready(&ch->meet, op);
	chan_lock(ch);
	is_ready = chan_would_do(ch, op, NULL);
	chan_unlock(ch, &after);
	return is_ready;
}

/* ---- for those who wait ---- */

int
chan_meet(struct stint_ctx *ctx, struct stint_chan *ch, enum stint_case_op op, void *item,
	struct spin *spin)
{
	return meet_wait(&ch->meet, ctx, op, item, spin);
}

bool
chan_enter(struct chan_wait *wait)
{
	struct chan_after after = {0};
	struct stint_chan *ch = wait->ch;
	bool is_ready;

	if (!ch)
		return false;
	chan_lock(ch);
	/* Nobody is to come to the meeting place after we have looked. */
	meet_shut(&ch->meet, true);
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
	struct chan_after after = {0};
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
	struct chan_after after = {0};
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
	struct chan_after after = {0};
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
	meet_fini(&ch->meet);
	/* Whoever sent what the caller has just received may still have to let go. */
	ring_lock(&ch->ring);
	ring_unlock(&ch->ring);
	ring_fini(&ch->ring);
	chan_close_fd(ch);
	free(ch);
}
