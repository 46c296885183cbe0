/*
 * leaf.h - the control group of one job, or of the process of a `worker` handler
 *
 * Made by the keeper before the process, removed when nothing is left of it. Everything
 * that the process starts is in it, however it detaches itself.
 */
#ifndef HANDLER_LEAF_H
#define HANDLER_LEAF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "daemon/config/config.h"
#include "daemon/handler/cgroup.h"

/* Of the names of all leaves; then the keeper's process and a number. */
#define LEAF_PREFIX "job-"

struct leaf {
	char path[CGROUP_PATH_BYTES + 2 * CGROUP_NAME_BYTES];
	int fd; /* of its directory; -1: there is none */
	unsigned number;
};
#define LEAF_NONE ((struct leaf){.fd = -1})

struct leaf_usage {
	int64_t memory_peak_bytes; /* 0: not known */
	bool was_killed;           /* somebody of it, because memory ran out */
	bool hit_memory;           /* and that was by limits.memory */
	bool hit_processes;        /* it could not start one, by limits.processes */
};

/**
 * leaf_make() - a new group with @limits, as far as there are controllers for them
 * @leaf: LEAF_NONE, or one that was removed
 *
 * Swapping is not allowed with limits.memory, and when memory runs out all of the group
 * is killed. Return: 0 or -errno.
 */
int leaf_make(
	struct leaf *leaf, const struct cgroup *cg, const struct handler_limits *limits);

/* fork(2) into it, by clone3(2). Needs a process with one thread. */
pid_t leaf_fork(const struct leaf *leaf);

/* Move this process into it; async-signal-safe. For where leaf_fork() cannot be used, and
 * before another account is taken on. Return: 0 or -errno. */
int leaf_enter(const struct leaf *leaf);

/* SIGKILL to all of it, in one step that no fork(2) slips through. Takes LEAF_NONE. */
void leaf_kill(const struct leaf *leaf);

/* What it has used; then remove it. Both take LEAF_NONE. */
struct leaf_usage leaf_read(const struct leaf *leaf);
void leaf_remove(struct leaf *leaf);

/* Set limits in the directory of a leaf; part of leaf_make(). */
int leaf_limit(int fd, const struct cgroup *cg, const struct handler_limits *limits);

/* What the names of the leaves of one keeper begin with. */
void leaf_prefix(pid_t keeper, char out[CGROUP_NAME_BYTES]);

#endif
