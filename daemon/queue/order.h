/*
 * order.h - in which order weighted queues are asked: stride scheduling
 *
 * Each queue has a virtual time, which moves on with every job that is read from it,
 * the slower the larger its weight. Whoever is behind is asked first, so the shares
 * come out exactly, whatever a single read brings. A queue that is found empty does
 * not save up its share for later: it catches up with those that are served.
 * Source: Waldspurger and Weihl, Stride Scheduling, 1995.
 */
#ifndef QUEUE_ORDER_H
#define QUEUE_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include "daemon/queue/queue.h"

/* Sort by virtual time; at the same time, heavier ones first. */
void order_sort(struct queue **queues, size_t count);

/* @jobs were read from @q; its weight is at least 1. */
void order_charge(struct queue *q, size_t jobs);

/* @q was empty, or is new, while others were served at @virtual_time. */
void order_catch_up(struct queue *q, int64_t virtual_time);

#endif
