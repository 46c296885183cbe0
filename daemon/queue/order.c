/*
 * order.c - in which order weighted queues are asked
 */
#include "daemon/queue/order.h"

#include <assert.h>
#include "lib/base/random.h"

void
order_shuffle(struct queue **queues, size_t count, uint64_t *random)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += queues[i]->weight;
	for (size_t i = 0; i + 1 < count; i++) {
		struct queue *chosen;
		uint64_t draw;
		size_t k = i;

		assert(sum > 0);
		draw = random_next(random) % sum;
		while (draw >= queues[k]->weight)
			draw -= queues[k++]->weight;
		chosen = queues[k];
		queues[k] = queues[i];
		queues[i] = chosen;
		sum -= chosen->weight;
	}
}
