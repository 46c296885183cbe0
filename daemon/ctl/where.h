/*
 * where.h - where Redis is
 *
 * The first of: --redis, STINT_REDIS, the configuration file, localhost. The prefix
 * of the keys: --prefix, the configuration file, "stint".
 */
#ifndef CTL_WHERE_H
#define CTL_WHERE_H

#include "daemon/ctl/ctl.h"
#include "lib/client/client.h"

/* The configuration file in use, NULL when none is: --config, STINT_CONFIG, or the
 * daemon's own. With both Redis and the prefix told otherwise, only --config counts. */
const char *where_config(const struct ctl_opts *o);

/* Connect. 0, or an exit code after a message. Free with client_free(). */
int where_connect(const struct ctl_opts *o, struct client **ret);

#endif
