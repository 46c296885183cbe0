/*
 * zygote.h - a small process that forks keepers, made before the first thread
 *
 * The daemon has threads, much memory and many descriptors; forking it is slow
 * and unsafe. So main() forks a zygote first of all, and the zygote forks one
 * keeper per worker slot on demand. A keeper is the subreaper of the one job that
 * its worker runs: whatever the job starts, however it detaches itself (setsid,
 * double fork), stays below its keeper and is killed with the job. When the daemon
 * dies, even by SIGKILL, keepers see the end of their socket and clean up. All of
 * them need /proc.
 */
#ifndef HANDLER_ZYGOTE_H
#define HANDLER_ZYGOTE_H

#include <sys/types.h>
#include <stint/err.h>
#include "daemon/handler/cgroup.h"

struct zygote;

/* Fork it. Call before any thread or event base exists, with signals blocked. @cgroup:
 * where jobs have control groups; copied. */
int zygote_start(const struct cgroup *cgroup, struct zygote **ret, struct stint_err *err);

/* Its process, for messages and for noticing its death (a pidfd of the caller's). */
pid_t zygote_pid(const struct zygote *z);

/**
 * zygote_fork_keeper() - a new keeper process
 * @ret_fd: our end of a SOCK_SEQPACKET pair to it, close-on-exec
 *
 * Thread: any; never blocks for long. Return: 0; -errno (-EPIPE: the zygote is gone).
 */
int zygote_fork_keeper(struct zygote *z, int *ret_fd, struct stint_err *err);

/* Close and wait for it; all keepers are gone after, also those of slots that were not
 * freed yet. Takes NULL. */
void zygote_stop(struct zygote *z);

#endif
