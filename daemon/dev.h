/*
 * dev.h - `stintd --dev`: a private Redis to try things out with
 *
 * A redis-server on a unix socket in a temporary folder, which ends and vanishes
 * with the daemon.
 */
#ifndef DAEMON_DEV_H
#define DAEMON_DEV_H

#include <stint/err.h>

struct dev;

/* What is run when no configuration is given. */
extern const char dev_config[];

/* Start it, and say on standard output how to submit a job. Before any thread exists. */
int dev_start(struct dev **ret, struct stint_err *err);

/* "unix:///tmp/stint-dev-.../redis.sock" */
const char *dev_redis_url(const struct dev *dev);

/* End it and remove its folder. Takes NULL. */
void dev_stop(struct dev *dev);

#endif
