/*
 * chan_fd.c - the descriptor that is readable while there is something to receive
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "lib/conc/chan_priv.h"

enum { LOOK_AGAIN_NS = 20000 };

void
chan_signal(struct stint_chan *ch, struct chan_after *after)
{
	if (ch->recv_fd < 0 || ch->is_signalled)
		return;
	ch->is_signalled = true;
	after->must_signal = true;
	/* Relaxed: chan_close_fd() reads it after it had the locks, too. */
	atomic_fetch_add_explicit(&ch->signalling_count, 1, memory_order_relaxed);
}

void
chan_write_fd(struct stint_chan *ch)
{
	static const uint64_t one = 1;

	/* Cannot fail: the counter is far from its end. */
	(void)!write(ch->recv_fd, &one, sizeof(one));
	RACE_BEFORE(&ch->signalling_count);
	/* Release: pairs with chan_close_fd(). */
	atomic_fetch_sub_explicit(&ch->signalling_count, 1, memory_order_release);
}

/* A sender has the item that it tells of received and the channel freed while it is in
 * the write: then the number of the descriptor must not be somebody else's yet. */
void
chan_close_fd(struct stint_chan *ch)
{
	const struct timespec nap = {.tv_nsec = LOOK_AGAIN_NS};

	while (atomic_load_explicit(&ch->signalling_count, memory_order_acquire) > 0)
		nanosleep(&nap, NULL);
	RACE_AFTER(&ch->signalling_count);
	close_fd(&ch->recv_fd);
}

/*
 * A receive has found the channel empty: reset the descriptor, without the lock,
 * for the write wakes a thread that wants it at once. What keeps this from losing
 * a wake-up: `is_signalled` stays set until the look after the read, so either the
 * look sees an item that came in between, or its sender sees the flag cleared and
 * writes. A late write of a sender whose item is gone only makes the descriptor
 * readable once for nothing, and the receive that finds so comes by here again.
 */
void
chan_reset_fd(struct stint_chan *ch)
{
	struct chan_after after = {0};
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
	struct chan_after after = {0};
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
