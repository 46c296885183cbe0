/*
 * dead.h - what the commands about dead letters share
 */
#ifndef CTL_DEAD_H
#define CTL_DEAD_H

#include "daemon/ctl/ctl.h"

enum { DEAD_TIME_BYTES = 32 };

/* When a letter was written, as "2026-01-31T12:00:00Z". Returns @out. */
const char *dead_time(const char *letter_id, char out[DEAD_TIME_BYTES]);

/* ctl_fail(), but here -ENOENT means that there is no such letter. */
int dead_fail(const struct stint_err *err);

/* Submit the letters again that are named, by their ids or their jobs', or all of them
 * with --all; or, without @is_retry, drop them. The exit code of the process. */
int dead_act(const struct ctl_opts *o, char **ids, int count, bool is_retry);

#endif
