/*
 * random.h - random numbers that spread load: jitter, fair choices; never secrets
 *
 *	uint64_t state = (uint64_t)stint_now_us();
 *	size_t pick = random_next(&state) % count;
 *
 * Thread: any; each has a state of its own. Source: xorshift64*, Vigna 2016.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

/* The next number; @state is moved on. Any seed will do, also 0. */
static inline uint32_t
random_next(uint64_t *state)
{
	uint64_t x = *state ? *state : UINT64_C(0x9E3779B97F4A7C15); /* 0 would stay 0 */

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	/* the low bits are the weaker ones */
	return (uint32_t)((x * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

#endif
