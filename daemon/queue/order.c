/*
 * order.c - in which order weighted queues are asked
 */
#include "daemon/queue/order.h"

static uint64_t
next_random(uint64_t *state)
{
	/* xorshift64 (Marsaglia 2003) */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void
order_shuffle(struct queue **queues, size_t count, uint64_t *random)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += queues[i]->weight;
	for (size_t i = 0; i + 1 < count; i++) {
		uint64_t draw = next_random(random) % sum;
		struct queue *chosen;
		size_t k = i;

		while (draw >= queues[k]->weight)
			draw -= queues[k++]->weight;
		chosen = queues[k];
		queues[k] = queues[i];
		queues[i] = chosen;
		sum -= chosen->weight;
	}
}
