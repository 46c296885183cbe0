/*
 * ending.h - what the end of a job or of its process means, for all kinds of handlers
 */
#ifndef HANDLER_ENDING_H
#define HANDLER_ENDING_H

#include <stdbool.h>
#include "daemon/handler/handler.h"
#include "daemon/handler/keeper.h"

/* The outcome of a job whose context has ended. @is_ok: it was done all the same, which
 * counts where the end was not the job's fault. */
void ending_conclude(struct stint_ctx *ctx, const struct handler_call *call, bool is_ok,
	struct outcome *out);

/* When a job that was asked to stop at @asked_at_ms is killed: @kill_at_ms, by its
 * kill_grace, or when its lease is about to end, if that is sooner. STINT_NEVER: it was
 * not asked. */
int64_t ending_kill_at_ms(
	const struct handler_call *call, int64_t asked_at_ms, int64_t kill_at_ms);

/* What poll(2) may wait until @at_ms; -1 when that is STINT_NEVER. */
int ending_poll_ms(int64_t at_ms);

/* There was no process: why. */
void ending_failed_start(const struct keeper_reply *reply,
	const struct handler_conf *conf, struct outcome *out);

/* Fill exit_code or signal, when there was a process. */
void ending_status(const struct keeper_reply *reply, struct outcome *out);

/* "exit code 3" or "killed by SIGSEGV", of a filled outcome. Returns @text. */
enum { ENDING_TEXT_BYTES = 64 };
const char *ending_text(const struct outcome *out, char text[ENDING_TEXT_BYTES]);

/* Add to the tail of stderr; what is too much goes away in front. */
void ending_add_stderr(struct outcome *out, const char *p, size_t n);

#endif
