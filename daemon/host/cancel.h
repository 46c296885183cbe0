/*
 * cancel.h - hears a CANCEL while the plugin runs
 *
 * The main thread reads a job and runs it, so nobody reads meanwhile. A task does, for
 * jobs that take long enough: it looks WATCH_AFTER_MS after one has begun, and a job that
 * is over by then costs no switch of threads and no system call.
 */
#ifndef HOST_CANCEL_H
#define HOST_CANCEL_H

#include <stdbool.h>
#include <stint/ctx.h>
#include "lib/base/buf.h"
#include "lib/wire/job.h"

enum { WATCH_AFTER_MS = 10 };

struct cancel;

/* @fd: what is read from. 0 or -errno. */
int cancel_new(int fd, struct cancel **ret);
void cancel_free(struct cancel *c); /* takes NULL; waits for the task; not in a job */

/* A job begins: @ctx ends when a CANCEL for @id comes. @rest: what was read behind its
 * frame; copied. Both live until cancel_leave(). */
void cancel_enter(struct cancel *c, struct stint_ctx *ctx, const struct bytes *id,
	struct bytes rest);

/* It is over. @ret: gets what was read meanwhile, in place of what it held. */
void cancel_leave(struct cancel *c, struct buf *ret);

#endif
