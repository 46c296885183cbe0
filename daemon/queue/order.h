/*
 * order.h - in which order weighted queues are asked
 */
#ifndef QUEUE_ORDER_H
#define QUEUE_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/queue.h"

/**
 * order_shuffle() - draw an order: each next queue with a chance in proportion to its
 * weight
 * @queues: put into the new order; every weight is at least 1
 * @random: state of random_next(), moved on
 */
void order_shuffle(struct queue **queues, size_t count, uint64_t *random);

#endif
