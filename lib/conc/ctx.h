/*
 * ctx.h - what the rest of the library may do with a context
 */
#ifndef CONC_CTX_H
#define CONC_CTX_H

#include <stint/ctx.h>
#include "lib/conc/deadlock.h"
#include "lib/conc/waiter.h"

/**
 * ctx_park() - sleep until somebody wakes @w, or until @ctx ends
 * @w:  initialised, and in the queues of those who may wake it
 * @on: what @w waits for, for the deadlock report; NULL: not by a task, so never told
 *
 * Whatever comes first claims @w, so exactly one of both is reported.
 * Return: 0 when somebody else claimed and woke @w; -ECANCELED, -ETIMEDOUT when
 * the context ended first, then nobody else has claimed it or ever can.
 */
int ctx_park(struct stint_ctx *ctx, struct waiter *w, const struct sleep_on *on);

/* The same in steps, for who is to be seen by others only once the context can claim @w:
 * what they do after a cancel is then never for @w. */

/* 0: from now on the context's end claims @w. Else how it has ended, and it does not. */
int ctx_watch(struct stint_ctx *ctx, struct waiter *w);

/* Instead of parking. */
void ctx_unwatch(struct stint_ctx *ctx, struct waiter *w);

int ctx_park_watched(struct stint_ctx *ctx, struct waiter *w, const struct sleep_on *on);

/* Somebody has seen or made it end. Unlike stint_ctx_err() it does not look at the clock,
 * and nothing happens. */
bool ctx_has_ended(const struct stint_ctx *ctx);

#endif
