/*
 * keeping.h - talks to a keeper, from a worker's thread; keeper.h has the words
 */
#ifndef HANDLER_KEEPING_H
#define HANDLER_KEEPING_H

#include <stddef.h>
#include <stint/err.h>
#include "daemon/handler/keeper.h"
#include "daemon/handler/zygote.h"
#include "lib/base/buf.h"

/**
 * keeping_start() - have a keeper start what @msg and @block say
 * @keeper_fd: its socket; -1 or that of a keeper that is lost: there will be a new one
 * @fds:       as START wants them; they stay the caller's
 *
 * Return: 0; -errno with @keeper_fd -1. Blocks: while a keeper is forked.
 */
int keeping_start(struct zygote *zygote, int *keeper_fd, const struct keeper_msg *msg,
	const struct buf *block, const int *fds, size_t fd_count, struct stint_err *err);

/* Any verb but START. When the keeper is gone, the end of file says so. */
void keeping_tell(int keeper_fd, enum keeper_verb verb, int64_t grace_ms);

/* Receive the reply. Blocks: until it comes. Return: 0; -EPIPE: the keeper is lost, and
 * all it ran is gone; @keeper_fd is -1 then. */
int keeping_reply(int *keeper_fd, struct keeper_reply *ret);

#endif
