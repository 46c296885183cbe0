/*
 * backoff.h - how long to wait before trying again: twice as long each time
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t min_ms;
	int64_t max_ms;
	int64_t now_ms; /* what the last failure asked for; 0: all is well */
};

/* One more failure: how long to wait. */
static inline int64_t
backoff_next(struct backoff *b)
{
	b->now_ms = b->now_ms == 0 ? b->min_ms : 2 * b->now_ms;
	if (b->now_ms > b->max_ms)
		b->now_ms = b->max_ms;
	return b->now_ms;
}

static inline void
backoff_reset(struct backoff *b)
{
	b->now_ms = 0;
}

#endif
