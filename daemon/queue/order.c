/*
 * order.c - in which order weighted queues are asked
 */
#include "daemon/queue/order.h"

#include <assert.h>
#include <stdbool.h>

/* What one job costs a queue of weight 1; far above any weight, so that the division
 * loses nothing that counts, and good for 10^12 jobs. */
enum { STRIDE = 1 << 20 };

static bool
is_before(const struct queue *a, const struct queue *b)
{
	if (a->virtual_time != b->virtual_time)
		return a->virtual_time < b->virtual_time;
	return a->weight > b->weight;
}

void
order_sort(struct queue **queues, size_t count)
{
	/* by insertion: few queues, and mostly in order already */
	for (size_t i = 1; i < count; i++) {
		struct queue *q = queues[i];
		size_t k = i;

		for (; k > 0 && is_before(q, queues[k - 1]); k--)
			queues[k] = queues[k - 1];
		queues[k] = q;
	}
}

void
order_charge(struct queue *q, size_t jobs)
{
	assert(q->weight > 0);
	q->virtual_time += (int64_t)jobs * STRIDE / q->weight;
}

void
order_catch_up(struct queue *q, int64_t virtual_time)
{
	if (q->virtual_time < virtual_time)
		q->virtual_time = virtual_time;
}
