/*
 * chan.h - a channel as ops.c, select.c and pool.c see it
 *
 * chan.c never sleeps. Who must wait puts a struct chan_wait into the channels it
 * waits for, parks, and takes it out again; select.c does that, also for a plain
 * send or receive (ops.c), which is a select of one case.
 */
#ifndef CONC_CHAN_H
#define CONC_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stint/chan.h>
#include <sys/queue.h>
#include "lib/conc/spin.h"
#include "lib/conc/track.h"
#include "lib/conc/waiter.h"

/* A wish to send or receive, in the queue of one channel. */
struct chan_wait {
	TAILQ_ENTRY(chan_wait) in_queue;
	bool is_queued; /* under the channel's lock */
	struct waiter *waiter;
	struct stint_chan *ch; /* may be NULL */
	enum stint_case_op op;
	void *item;
};

size_t chan_item_bytes(const struct stint_chan *ch);

/* Its name in reports. */
const struct track *chan_track(const struct stint_chan *ch);

/* Up to @count times, now: how often it was done; or when not once, -EPIPE, or -EAGAIN
 * when one would have to wait. */
int chan_try_many(
	struct stint_chan *ch, enum stint_case_op op, void *items, size_t count);

/* Do it now: 0, -EPIPE, or -EAGAIN when one would have to wait. */
int chan_try(struct stint_chan *ch, enum stint_case_op op, void *item);

/* Would chan_try() do it? Old news at once. */
bool chan_is_ready(struct stint_chan *ch, enum stint_case_op op);

/* Without a ring: do it with somebody who waits awake, too, as long as @spin lasts. 0,
 * -EAGAIN, or how the context has ended. */
int chan_meet(struct stint_ctx *ctx, struct stint_chan *ch, enum stint_case_op op,
	void *item, struct spin *spin);

/* Queue up. True when it is ready by now, without counting the same waiter's other
 * wishes: then the caller shall not park but leave and try again. */
bool chan_enter(struct chan_wait *wait);

/* Out of the queue; nothing happens when it is not in it any more. */
void chan_leave(struct chan_wait *wait);

/* After the waiter was woken with `won` = @wait and `result` = -EAGAIN, a call to
 * come and look: like chan_try(), or, when the item is not wanted any more, -EAGAIN.
 * It is a duty either way, for it calls the next one. */
int chan_answer_call(struct chan_wait *wait, bool wants_item);

/* What a select does that has found nothing ready: wait. @is_eager: the wait begins
 * awake; a caller that has done so already says false. Returns what stint_select() does.
 */
int select_wait(
	struct stint_ctx *ctx, struct stint_case *cases, size_t count, bool is_eager);

#endif
