/*
 * limits.h - what a job has used, and whether its limits have ended it, for its result
 */
#ifndef HANDLER_LIMITS_H
#define HANDLER_LIMITS_H

#include "daemon/config/config.h"
#include "daemon/handler/keeper.h"
#include "lib/wire/outcome.h"

/* Fill cpu_ms, max_rss_bytes and memory_peak_bytes of a command's outcome. */
void limits_used(const struct keeper_reply *reply, struct outcome *out);

/**
 * limits_told() - say so when it was a limit that ended the process
 * @out: with exit_code or signal, status and error filled in
 *
 * Killed by a limit: `crashed`, with the limit named. Where a process failed by itself,
 * as one does that gets no more memory, its error says which limit it was near.
 */
void limits_told(const struct keeper_reply *reply, const struct handler_conf *conf,
	struct outcome *out);

#endif
