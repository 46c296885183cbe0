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

#endif
