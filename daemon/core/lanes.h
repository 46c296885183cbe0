/*
 * lanes.h - handlers with a limit of their own: who may run, who waits, in which order
 *
 * A handler with `concurrency` has a lane: it counts the jobs that are with the workers,
 * begun or not, so never more of them run than the limit says. In a lane there is a line
 * for each queue, in which jobs wait in the order in which they came; when there is room,
 * the lines are served in the order of their queues, by priority or by weight. Lines are
 * short: what does not fit in is put aside (aside.h), and so is what comes while
 * something older of its queue is put aside.
 *
 *	add ─┬─ no limit, or room ─────────────▶ run, counted ─▶ lanes_end()
 *	     ├─ at its limit ─▶ line ─▶ next ──▶
 *	     └─ the line is full, or older ones are put aside ─▶ put aside
 *
 * Pure bookkeeping: no clock, no Redis, no threads. Thread: the loop's.
 */
#ifndef CORE_LANES_H
#define CORE_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include "daemon/queue/attempt.h"

enum lanes_verdict { LANES_RUN, LANES_WAIT, LANES_ASIDE };

struct lanes;

int lanes_new(struct lanes **ret); /* 0 or -ENOMEM */
/* What still waits remains its owner's. Takes NULL. */
void lanes_free(struct lanes *ls);

/**
 * lanes_set_config() - the limits from now on
 * @in_flight: all attempts: those with the workers that were not counted are from now on
 *
 * A limit that is not less than the number of workers is none. Return: 0; -ENOMEM: some
 * handlers have no limit.
 */
int lanes_set_config(struct lanes *ls, const struct config *config,
	const struct attempt_list *in_flight);

/* A job comes in. @is_behind: older ones of its queue are put aside. LANES_RUN: it is
 * counted; LANES_WAIT: it is here until lanes_next(), lanes_pop() or lanes_remove(). */
enum lanes_verdict lanes_add(struct lanes *ls, struct attempt *a, bool is_behind);

/* The next one that may run, counted; NULL: none may. */
struct attempt *lanes_next(struct lanes *ls);

/* It is not with the workers any more. */
void lanes_end(struct lanes *ls, struct attempt *a);

/* Neither is it, after all: it waits again, before all others of its line, unless there
 * is no memory for one. It was counted. */
void lanes_put_back(struct lanes *ls, struct attempt *a);

/* Take one out that waits; false: it does not. */
bool lanes_remove(struct lanes *ls, struct attempt *a);

/* Take any one out that waits, of @q, or NULL: of all; NULL: there is none. */
struct attempt *lanes_pop(struct lanes *ls, const struct queue *q);

/* Has the handler a limit? Then @ret_room: how many more of this queue may come to wait:
 * 0 until half of the line is free. */
bool lanes_has_limit(const struct lanes *ls, const struct queue *q, const char *handler,
	size_t *ret_room);

bool lanes_is_limited(const struct lanes *ls); /* any handler */
size_t lanes_waiting_count(const struct lanes *ls);

/* One line for each lane (SIGUSR1). */
void lanes_log(const struct lanes *ls);

#endif
