/*
 * dispatch.h - jobs to the workers and back
 *
 * Here it is decided how much is fetched (the credit), when a job that waits in vain for
 * a worker goes back to its queue, and what of a handler with a limit runs, waits
 * (lanes.h) or is put aside (aside.h). Thread: the loop's.
 */
#ifndef CORE_DISPATCH_H
#define CORE_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include "daemon/core/flight.h"
#include "daemon/core/loop.h"
#include "daemon/core/workers.h"
#include "daemon/queue/aside.h"

struct dispatch_opts {
	struct loop *loop;
	struct workers *workers;
	struct flight *flight;
	void (*on_change)(void *arg); /* jobs came back: credit, drain, status */
	void (*on_news)(void *arg);   /* see workers_collect() */
	/* a plugin keeps a worker's thread: so many are kept (stuck.h) */
	void (*on_stuck)(void *arg, size_t count);
	void *arg;
};

struct dispatch;

int dispatch_new(const struct dispatch_opts *opts, struct dispatch **ret);
void dispatch_free(struct dispatch *d);

/* From intake: to be run. Workers get it with the next flush. */
void dispatch_add(struct dispatch *d, struct attempt *a);
void dispatch_flush(struct dispatch *d);

/* The limits of handlers from now on. 0; -ENOMEM: some have none. */
int dispatch_set_config(struct dispatch *d, const struct config *config);

/* How many more jobs the workers will begin soon. */
size_t dispatch_credit(const struct dispatch *d);

/* How many jobs of @q and @handler may be taken of those that were put aside. */
struct aside_room dispatch_room(
	const struct dispatch *d, const struct queue *q, const char *handler);

/* Put aside what waits because its handler is at its limit, of @q, or NULL: of all. */
void dispatch_put_aside(struct dispatch *d, const struct queue *q);

/* Nobody is to wait here: who does is put aside, and who comes later, from a read that
 * was on its way, as well. */
void dispatch_set_quiet(struct dispatch *d, bool is_quiet);

/* Give up one that waits so; it is the caller's. False: it does not. */
bool dispatch_remove(struct dispatch *d, struct attempt *a);

/* Take back what no worker has begun, and hand it back to the queue. */
void dispatch_take_back(struct dispatch *d);

/* End the contexts of all that run, with this cause (stint_ctx_cancel_cause()). */
void dispatch_cancel_all(struct dispatch *d, int code, const char *why);

size_t dispatch_running_count(const struct dispatch *d); /* with workers, begun or not */

bool dispatch_is_limited(const struct dispatch *d);      /* is any handler */
size_t dispatch_waiting_count(const struct dispatch *d); /* for their handler */
void dispatch_log(const struct dispatch *d); /* one line for each limit (SIGUSR1) */
size_t dispatch_stuck_count(const struct dispatch *d); /* threads that plugins keep */

/* Moving average of how long a job runs, µs; 0: nothing has run yet. */
int64_t dispatch_run_us(const struct dispatch *d);

#endif
