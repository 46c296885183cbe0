/*
 * meet.h - where two threads meet that are both awake, at a channel without a ring
 *
 * What changes hands without a ring costs what the cache lines cost that move between
 * the two processors, a hundred nanoseconds and more each. Here all is in one: a thread
 * that finds nobody leaves its wish in the line, with its item if it sends, and looks at
 * it for a moment (spin.h); the one that comes next does what is wished. There is one
 * place only. Who finds it taken or shut, or is tired of looking, goes to the channel's
 * queues, and whoever is in these shuts the place, so that nobody is overtaken for long.
 *
 *	FREE ──▶ BUSY ──▶ RECV or SEND ──▶ BUSY ──▶ DONE or ENDED ──▶ FREE
 *	  ▲   the first enters  │   the other answers    the first has seen it
 *	  └─────────────────────┘ or leaves
 *
 * The first may leave as long as the other has not come. To one whose context has ended
 * the other says just that: what was sent after a cancel is not for who was cancelled.
 */
#ifndef CONC_MEET_H
#define CONC_MEET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stint/chan.h>
#include "lib/conc/spin.h"

enum { MEET_APART_BYTES = 128, MEET_ITEM_MAX = 48 };

struct meet {
	_Alignas(MEET_APART_BYTES) _Atomic uint32_t state; /* in meet.c */
	uint32_t item_bytes;                               /* never changes */
	/* Whoever has made it BUSY owns these, and then the first, who finds it
	 * DONE or ENDED. */
	const struct stint_ctx *ctx;
	unsigned char item[MEET_ITEM_MAX];
};

/* With more than MEET_ITEM_MAX bytes it must stay shut. */
void meet_init(struct meet *meet, size_t item_bytes);

/* Wait until nobody has to do with it any more. */
void meet_fini(struct meet *meet);

/* Nobody enters from now on, and who is there leaves; or that is over. Callers take
 * turns: it is done under the channel's locks. */
void meet_shut(struct meet *meet, bool is_shut);

/* Somebody is there for whom @op would be the other half. */
bool meet_is_ready(struct meet *meet, enum stint_case_op op);

/* Do the other half for somebody who is there, shut or not; false: there is nobody.
 * @item may be NULL: nothing is copied then. */
bool meet_do(struct meet *meet, enum stint_case_op op, void *item);

/* The same, unless it is shut. */
bool meet_try(struct meet *meet, enum stint_case_op op, void *item);

/* Without its being shut, or made so, nobody is in the channel's queues. */
bool meet_is_shut(struct meet *meet);

/* Do it with somebody who is there or comes while @spin lasts: 0; -EAGAIN: nobody has, or
 * it is shut; or how the context has ended. */
int meet_wait(struct meet *meet, struct stint_ctx *ctx, enum stint_case_op op, void *item,
	struct spin *spin);

#endif
