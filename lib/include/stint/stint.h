/*
 * stint/stint.h - structured concurrency for C, all of it
 *
 * err.h    errors with a sentence for people; nothing is allocated
 * clock.h  monotonic deadlines and wall time, and a clock that tests can set
 * ctx.h    contexts: cancel, deadline, parent, cause
 * chan.h   bounded channels with close, and select over several
 * wg.h     wait group: wait until a number of things are done
 * pool.h   worker pool: named threads that drain one channel
 */
#ifndef STINT_STINT_H
#define STINT_STINT_H

#include <stint/api.h>
#include <stint/chan.h>
#include <stint/clock.h>
#include <stint/ctx.h>
#include <stint/err.h>
#include <stint/pool.h>
#include <stint/wg.h>

#endif
