/*
 * stint/wg.h - wait group: wait until a number of things are done
 *
 *	stint_wg_add(wg, 1);		before the thread is started
 *	... in the thread ...
 *	stint_wg_done(wg);
 *	... in the owner ...
 *	r = stint_wg_wait(ctx, wg);	0: all done
 *
 * All functions but stint_wg_free(): any thread, at any time. What was written before a
 * done is visible to who has waited. Source: Go, sync.WaitGroup.
 */
#ifndef STINT_WG_H
#define STINT_WG_H

#include <stint/api.h>
#include <stint/ctx.h>

STINT_BEGIN_DECLS

struct stint_wg;

/**
 * stint_wg_new() - make a wait group that expects nothing yet
 * @ret_wg: the caller's, to be freed with stint_wg_free()
 *
 * Return: 0, -ENOMEM.
 */
#define stint_wg_new(ret_wg) stint_wg_new_at(ret_wg, STINT_WHERE)
STINT_API STINT_MUST_CHECK int stint_wg_new_at(
	struct stint_wg **ret_wg, const char *where);

/**
 * stint_wg_add() - expect @n more (or, negative, fewer)
 *
 * Return: 0; -EINVAL when the count would turn negative, or when it is raised
 * from 0 while someone waits; -EOVERFLOW. Nothing is changed then, and because the
 * result is easily dropped, it is told on standard error, too, with the place where
 * the group was made.
 * Source: Go, sync.WaitGroup.Add; differs: misuse is an error, not a panic.
 */
STINT_API int stint_wg_add(struct stint_wg *wg, int n);

/* stint_wg_done() - one is done: stint_wg_add(wg, -1) */
STINT_API int stint_wg_done(struct stint_wg *wg);

/**
 * stint_wg_wait() - wait until the count is 0
 * @ctx: bounds the wait
 *
 * Return: 0, also with an ended context if all are done; -ECANCELED, -ETIMEDOUT by
 * @ctx (the count goes on).
 * A wait group may be used again once every waiter has returned.
 * Source: Go, sync.WaitGroup.Wait; differs: bounded by a context.
 */
STINT_API STINT_MUST_CHECK int stint_wg_wait(struct stint_ctx *ctx, struct stint_wg *wg);

/* stint_wg_free() - no one may wait any more; takes NULL */
STINT_API void stint_wg_free(struct stint_wg *wg);

STINT_END_DECLS

#endif
