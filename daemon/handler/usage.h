/*
 * usage.h - what the processes of a job have used
 */
#ifndef HANDLER_USAGE_H
#define HANDLER_USAGE_H

#include <stdint.h>
#include <sys/resource.h>
#include "daemon/handler/leaf.h"

/* Zeroed: nothing is known. */
struct usage {
	int64_t cpu_us;        /* of all that was waited for, by whomever */
	int64_t max_rss_bytes; /* of the largest process among them */
	struct leaf_usage leaf;
};

/* Add what wait4(2) told of one process: it contains those that this has waited for
 * itself. */
void usage_add(struct usage *u, const struct rusage *used);

#endif
