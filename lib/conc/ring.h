/*
 * ring.h - a bounded queue of items with a lock at either end
 *
 * Who puts needs the lock of `in`, who takes that of `out`, so a sender and a receiver
 * do not meet, but for the two counts, by which each knows what the other has done. What
 * is beyond putting and taking needs both locks: ring_lock(). Then nothing moves.
 *
 * Each end has cache lines of its own, and looks at the other's count only when, by what
 * it saw last, the ring is full or empty: one look for many items, as long as both get
 * on. A capacity of 0 is a ring that is always full and always empty.
 *
 * Inline, for speed: this is what a send or a receive is made of.
 */
#ifndef CONC_RING_H
#define CONC_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "lib/conc/lock.h"

/* Two cache lines: processors fetch the neighbour of a line along with it. */
enum { RING_APART_BYTES = 128 };

/* Everything under its lock; the count is read by the other end without. */
struct ring_end {
	_Alignas(RING_APART_BYTES) struct lock lock;
	bool is_slow;         /* the owner's: more is to do than to put or take */
	size_t at;            /* the place of its next item */
	_Atomic size_t count; /* items that went by, ever; it wraps */
	size_t seen;          /* the other end's count, when last looked at */
};

struct ring {
	size_t item_bytes, cap; /* never change */
	unsigned char *items;   /* the owner's: item_bytes * cap */
	struct ring_end in, out;
};

static inline void
ring_init(struct ring *ring, size_t item_bytes, size_t cap, unsigned char *items)
{
	*ring = (struct ring){.item_bytes = item_bytes, .cap = cap, .items = items};
	lock_init(&ring->in.lock);
	lock_init(&ring->out.lock);
	RACE_ATOMIC(&ring->in.count);
	RACE_ATOMIC(&ring->out.count);
}

static inline void
ring_fini(struct ring *ring)
{
	RACE_LOCK_GONE(&ring->in.lock);
	RACE_LOCK_GONE(&ring->out.lock);
}

static inline void
ring_lock(struct ring *ring)
{
	lock_take(&ring->in.lock);
	/* Without room there is nothing at the other end. */
	if (ring->cap > 0)
		lock_take(&ring->out.lock);
}

static inline void
ring_unlock(struct ring *ring)
{
	if (ring->cap > 0)
		lock_release(&ring->out.lock);
	lock_release(&ring->in.lock);
}

/* How many there are. Exact under both locks; else old news, yet never more than what
 * was once true for someone who looked at the ends one after the other. */
static inline size_t
ring_len(const struct ring *ring)
{
	/* Acquire: `in` is then at least as new as `out`, so this is not negative. */
	size_t out = atomic_load_explicit(&ring->out.count, memory_order_acquire);
	size_t len = atomic_load_explicit(&ring->in.count, memory_order_acquire) - out;

	return len < ring->cap ? len : ring->cap;
}

/* NULL: a receiver who discards, or a sender of events without content. */
static inline void
ring_copy(const struct ring *ring, void *to, const void *from)
{
	if (!to || !from)
		return;
	/* Most items are a pointer: one move in place of a call. */
	if (ring->item_bytes == sizeof(void *))
		memcpy(to, from, sizeof(void *));
	else if (ring->item_bytes > 0)
		memcpy(to, from, ring->item_bytes);
}

static inline unsigned char *
ring_next(const struct ring *ring, struct ring_end *end)
{
	unsigned char *item = ring->items + end->at * ring->item_bytes;

	if (++end->at == ring->cap)
		end->at = 0;
	return item;
}

/* Under the lock of `in`; false: it is full. */
static inline bool
ring_put(struct ring *ring, const void *item)
{
	struct ring_end *in = &ring->in;
	size_t count = atomic_load_explicit(&in->count, memory_order_relaxed);

	if (count - in->seen == ring->cap) {
		/* Acquire: who took has read the place before it is written anew. */
		in->seen = atomic_load_explicit(&ring->out.count, memory_order_acquire);
		RACE_AFTER(&ring->out.count);
		if (count - in->seen == ring->cap)
			return false;
	}
	ring_copy(ring, ring_next(ring, in), item);
	RACE_BEFORE(&in->count);
	/* Release: with it goes the item. */
	atomic_store_explicit(&in->count, count + 1, memory_order_release);
	return true;
}

/* Under the lock of `out`; false: it is empty. @ret_item may be NULL. */
static inline bool
ring_take(struct ring *ring, void *ret_item)
{
	struct ring_end *out = &ring->out;
	size_t count = atomic_load_explicit(&out->count, memory_order_relaxed);

	if (count == out->seen) {
		/* Acquire and, below, release: the other halves of ring_put()'s. */
		out->seen = atomic_load_explicit(&ring->in.count, memory_order_acquire);
		RACE_AFTER(&ring->in.count);
		if (count == out->seen)
			return false;
	}
	ring_copy(ring, ret_item, ring_next(ring, out));
	RACE_BEFORE(&out->count);
	atomic_store_explicit(&out->count, count + 1, memory_order_release);
	return true;
}

#endif
