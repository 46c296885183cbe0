/*
 * dispatch.h - jobs to the workers and back
 *
 * Here it is decided how much is fetched (the credit), and when a job that waits in
 * vain for a worker goes back to its queue. Thread: the loop's.
 */
#ifndef CORE_DISPATCH_H
#define CORE_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include "daemon/core/flight.h"
#include "daemon/core/loop.h"
#include "daemon/core/workers.h"

struct dispatch_opts {
	struct loop *loop;
	struct workers *workers;
	struct flight *flight;
	void (*on_change)(void *arg); /* jobs came back: credit, drain, status */
	void *arg;
};

struct dispatch;

int dispatch_new(const struct dispatch_opts *opts, struct dispatch **ret);
void dispatch_free(struct dispatch *d);

/* From intake: to be run. Workers get it with the next flush. */
void dispatch_add(struct dispatch *d, struct attempt *a);
void dispatch_flush(struct dispatch *d);

/* How many more jobs the workers will begin soon. */
size_t dispatch_credit(const struct dispatch *d);

/* Take back what no worker has begun, and hand it back to the queue. */
void dispatch_take_back(struct dispatch *d);

/* End the contexts of all that run, with this cause (stint_ctx_cancel_cause()). */
void dispatch_cancel_all(struct dispatch *d, int code, const char *why);

size_t dispatch_running_count(const struct dispatch *d); /* with workers, begun or not */

/* Moving average of how long a job runs, µs; 0: nothing has run yet. */
int64_t dispatch_run_us(const struct dispatch *d);

#endif
