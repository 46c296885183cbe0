/*
 * reconnect.h - how long a connection that was lost waits before it is tried again
 *
 *	up for long ──lost──▶ up to 50 ms ──failed──▶ up to 100 ms ──▶ 200 ms ... @max_ms
 *
 * Full jitter: a fleet that lost its server together comes back spread out. A connection
 * that is lost soon after it came up goes on where it was; one that was up for 5 s starts
 * anew. No I/O: conn.c has the timer. Thread: its connection's.
 */
#ifndef REDIS_RECONNECT_H
#define REDIS_RECONNECT_H

#include <stdint.h>
#include "lib/base/backoff.h"

struct reconnect {
	struct backoff backoff;
	uint64_t random;
	int64_t up_at_ms; /* since when it is up; STINT_NEVER: it is not */
};

/* @max_ms: the longest wait, over 0; @seed: of the jitter */
void reconnect_init(struct reconnect *r, int64_t max_ms, uint64_t seed);

/* It has been made. */
void reconnect_up(struct reconnect *r);

/* It was lost, or could not be made. Return: how long to wait now, in ms, over 0. */
int64_t reconnect_wait_ms(struct reconnect *r);

#endif
