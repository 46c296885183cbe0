/*
 * reconnect.c - how long a connection that was lost waits before it is tried again
 */
#include "daemon/redis/reconnect.h"

#include <stint/clock.h>
#include "lib/base/random.h"

enum {
	FIRST_MS = 50,    /* a restart of the server is hardly noticed */
	STABLE_MS = 5000, /* up for that long: the next loss is a new story */
};

void
reconnect_init(struct reconnect *r, int64_t max_ms, uint64_t seed)
{
	*r = (struct reconnect){.backoff = {FIRST_MS, max_ms, 0},
		.random = seed,
		.up_at_ms = STINT_NEVER};
}

void
reconnect_up(struct reconnect *r)
{
	r->up_at_ms = stint_now_ms();
}

int64_t
reconnect_wait_ms(struct reconnect *r)
{
	if (r->up_at_ms != STINT_NEVER && stint_now_ms() - r->up_at_ms >= STABLE_MS)
		backoff_reset(&r->backoff);
	r->up_at_ms = STINT_NEVER;
	return 1 + random_next(&r->random) % backoff_next(&r->backoff);
}
