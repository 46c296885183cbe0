/*
 * command.h - what a process is started with: directory, arguments, environment
 */
#ifndef HANDLER_COMMAND_H
#define HANDLER_COMMAND_H

#include <stint/err.h>
#include "daemon/handler/handler.h"
#include "daemon/handler/keeper.h"

/**
 * command_build() - the START message and its block
 * @block: emptied and filled; reuse it from job to job
 *
 * The environment of a command is, the first one winning: STINT_JOB_ID, STINT_QUEUE,
 * STINT_HANDLER, STINT_ATTEMPT, STINT_PROGRESS_FD, STINT_DEADLINE_MS (when there is a
 * deadline), TRACEPARENT (when the job has one), STINT_X_<NAME> for its x- fields; the
 * handler's `environment`; HOME, USER, LOGNAME and SHELL of its `user`; and of the
 * daemon's own PATH, HOME, LANG, LC_*, TZ, USER, LOGNAME, TMPDIR and SHELL, and nothing
 * else: what a service manager puts into the daemon's environment, passwords above all,
 * is not for the jobs.
 *
 * Return: 0; -EINVAL: a value cannot be put into an environment (a NUL byte), which
 * no further attempt will change; -ENOMEM.
 */
int command_build(struct buf *block, struct keeper_msg *ret_msg,
	const struct handler_call *call, struct stint_err *err);

/**
 * command_build_worker() - the same for a process that serves many jobs
 *
 * Of the job's variables its environment has STINT_HANDLER only. Return: 0; -ENOMEM.
 */
int command_build_worker(struct buf *block, struct keeper_msg *ret_msg,
	const struct handler_conf *conf, struct stint_err *err);

#endif
