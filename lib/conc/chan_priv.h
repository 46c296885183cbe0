/*
 * chan_priv.h - a channel from inside: for chan.c and chan_fd.c alone
 */
#ifndef CONC_CHAN_PRIV_H
#define CONC_CHAN_PRIV_H

#include <stdatomic.h>
#include "lib/conc/chan.h"
#include "lib/conc/meet.h"
#include "lib/conc/ring.h"
#include "lib/conc/track.h"

TAILQ_HEAD(chan_queue, chan_wait);

struct stint_chan {
	struct ring ring;
	struct meet meet; /* without a ring; else shut */

	/* under both locks */
	_Atomic bool is_closed; /* chan_is_ready() reads it without */
	bool is_called;         /* a called receiver has not arrived yet */
	bool is_signalled; /* recv_fd is readable, or about to be written or checked */
	int recv_fd;       /* -1 until asked for */
	_Atomic int signalling_count; /* writes to it, without the locks, to come */
	struct chan_queue senders;
	struct chan_queue receivers;

	struct track track;
	_Alignas(RING_APART_BYTES) unsigned char items[];
};

/* What is left to do once the lock is released; zeroed: nothing. */
struct chan_after {
	struct waiter *wake;
	bool must_signal;
};

static inline void
chan_lock(struct stint_chan *ch)
{
	ring_lock(&ch->ring);
}

/* And do what is left to do. */
void chan_unlock(struct stint_chan *ch, struct chan_after *after);

/* Would chan_try() do it, without counting the wishes of @self? Exact under the locks. */
bool chan_would_do(
	struct stint_chan *ch, enum stint_case_op op, const struct waiter *self);

/* Make the descriptor readable, if it is not. Under the locks; chan_unlock() does it. */
void chan_signal(struct stint_chan *ch, struct chan_after *after);

/* The write itself, without the locks; the channel may be gone afterwards. */
void chan_write_fd(struct stint_chan *ch);

/* A receive has found the channel empty: the descriptor shall not say otherwise. */
void chan_reset_fd(struct stint_chan *ch);

/* Once nobody is about to write to it. */
void chan_close_fd(struct stint_chan *ch);

#endif
