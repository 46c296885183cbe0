/*
 * slot.h - what a worker keeps between jobs, and the two ways to run one
 */
#ifndef HANDLER_SLOT_H
#define HANDLER_SLOT_H

#include <stdbool.h>
#include "daemon/handler/handler.h"
#include "daemon/handler/zygote.h"
#include "lib/base/buf.h"

struct warm;

struct handler_slot {
	struct zygote *zygote;
	int keeper_fd;     /* of commands; -1: none yet, or it was lost */
	struct buf block;  /* of START; the memory is kept from job to job */
	struct warm *warm; /* list: one for each `worker` handler that had a job here */
	bool has_orphans;  /* some of them have lost their handler */
	struct config
		*config; /* whose handlers they serve; a reference, NULL: had none */
};

/* Both as handler_run(), with a context that goes on. */
void exec_run(struct stint_ctx *ctx, struct handler_slot *slot,
	const struct handler_call *call, struct outcome *out);
void warm_run(struct stint_ctx *ctx, struct handler_slot *slot,
	const struct handler_call *call, struct outcome *out);

/* Likewise, and it blocks for as long as the plugin does. */
void thread_run(
	struct stint_ctx *ctx, const struct handler_call *call, struct outcome *out);

/* Before a job of any kind, in a slot that has processes: end those whose handler has
 * changed or is gone since the configuration before. Blocks: no. */
void warm_heed_config(struct handler_slot *slot, struct config *config);

/* End the processes of the slot: each may finish for its kill_grace. Blocks. */
void warm_free_all(struct handler_slot *slot);

#endif
