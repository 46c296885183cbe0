/*
 * handler.c - a slot's life, and which kind of handler runs a job
 */
#include <errno.h>
#include <stdlib.h>
#include "daemon/handler/ending.h"
#include "daemon/handler/slot.h"
#include "lib/base/cleanup.h"

int
handler_slot_new(struct zygote *zygote, struct handler_slot **ret_slot)
{
	struct handler_slot *slot = calloc(1, sizeof *slot);

	if (!slot)
		return -ENOMEM;
	slot->zygote = zygote;
	slot->keeper_fd = -1;
	*ret_slot = slot;
	return 0;
}

void
handler_slot_free(struct handler_slot *slot)
{
	if (!slot)
		return;
	warm_free_all(slot);
	close_fd(&slot->keeper_fd);
	config_unref(slot->config);
	buf_fini(&slot->block);
	free(slot);
}

void
handler_run(struct stint_ctx *ctx, struct handler_slot *slot,
	const struct handler_call *call, struct outcome *out)
{
	if (slot->config)
		warm_heed_config(slot, call->config);
	if (stint_ctx_err(ctx) < 0)
		ending_conclude(ctx, call, false, out);
	else if (call->conf->run)
		thread_run(ctx, call, out);
	else if (call->conf->is_worker)
		warm_run(ctx, slot, call, out);
	else
		exec_run(ctx, slot, call, out);
}
