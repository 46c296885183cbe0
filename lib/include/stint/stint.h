/*
 * stint/stint.h - structured concurrency for C, all of it
 *
 * err.h    errors with a sentence for people; nothing is allocated
 * clock.h  monotonic deadlines and wall time, and a clock that tests can set
 * ctx.h    contexts: cancel, deadline, parent, cause, values, after-funcs
 * chan.h   bounded channels with close, and select over several
 * chan_view.h  a channel of which one may only send, or only receive
 * wg.h     wait group: wait until a number of things are done
 * task.h   tasks: a function in a thread, with an owner who waits for its result
 * group.h  error group: tasks that belong together and fail together
 * once.h   do something once, whoever comes first, and share the result
 * deadlock.h  report of tasks that all wait for each other (debug switch)
 * pool.h   worker pool: named threads that drain one channel
 * results.h  the results of a fan-out: one slot for each part
 * run.h    one function over many inputs, and all its results
 * pipeline.h  stages in a row, channels between
 * leak.h   leak check: what is still alive, and where it was made
 * plugin.h  handlers that stintd loads: shared objects in C
 */
#ifndef STINT_STINT_H
#define STINT_STINT_H

#include <stint/api.h>
#include <stint/chan.h>
#include <stint/chan_view.h>
#include <stint/clock.h>
#include <stint/ctx.h>
#include <stint/deadlock.h>
#include <stint/err.h>
#include <stint/group.h>
#include <stint/leak.h>
#include <stint/once.h>
#include <stint/pipeline.h>
#include <stint/plugin.h>
#include <stint/pool.h>
#include <stint/results.h>
#include <stint/run.h>
#include <stint/task.h>
#include <stint/wg.h>

#endif
