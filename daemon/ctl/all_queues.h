/*
 * all_queues.h - the queues that a command is about when it is about all of them
 */
#ifndef CTL_ALL_QUEUES_H
#define CTL_ALL_QUEUES_H

#include "daemon/ctl/ctl.h"
#include "lib/client/admin.h"

/* The queues of the configuration, if one is used, and those that have had jobs. 0, or
 * an exit code after a message. */
int all_queues(const struct ctl_opts *o, struct client *c, struct client_names *ret);

#endif
