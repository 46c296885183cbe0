/*
 * confine.h - what the process of a job is held to: limits, and an account
 *
 * Limits are set by setrlimit(2), each process alone:
 *
 *	memory      RLIMIT_DATA: private memory that can be written (heap, stacks of
 *	            threads). Not RLIMIT_AS: that counts addresses which are but reserved,
 *	            too, and runtimes such as Go, Java and Node reserve gigabytes.
 *	cpu         RLIMIT_CPU: SIGXCPU, a second later SIGKILL. A process of a `worker`
 *	            handler has so much for each job, and SIGXCPU only: the keeper lifts
 *	            the limit when a job begins (confine_renew_cpu()).
 *	files       RLIMIT_NOFILE
 *	processes   RLIMIT_NPROC, unless a control group counts them (leaf.h): that counts
 *	            all processes and threads of the user, other jobs and the daemon
 *	            included, and does not hold for root.
 */
#ifndef HANDLER_CONFINE_H
#define HANDLER_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "daemon/config/config.h"
#include "lib/base/buf.h"

struct confine {
	struct handler_limits limits;
	bool is_worker;
	bool is_other; /* with: */
	uid_t uid;
	gid_t gid;
	uint32_t group_count; /* supplementary; they follow the block of START */
};

/* The step that failed. */
enum confine_step {
	CONFINE_MEMORY,
	CONFINE_CPU,
	CONFINE_FILES,
	CONFINE_PROCESSES,
	CONFINE_ACCOUNT
};

/* What @conf says; its supplementary groups go to the end of @block. */
struct confine confine_of(const struct handler_conf *conf, struct buf *block);

/**
 * confine_self() - take limits and account on
 * @groups:       as announced
 * @pipes:        descriptors 0 to so many that are made the account's, so that
 *                /dev/stdout and the like can be opened
 * @is_counted:   a control group limits the number of processes
 *
 * In the child, before it executes: async-signal-safe. Return: 0, or -errno with
 * @ret_step.
 */
int confine_self(const struct confine *c, const gid_t *groups, int pipes, bool is_counted,
	enum confine_step *ret_step);

/* Another job begins: from now on it has all of its processor time. @pid is a child of
 * the caller. */
void confine_renew_cpu(const struct confine *c, pid_t pid);

/* "limits.memory" and so on, for messages. */
const char *confine_step_name(enum confine_step step);

#endif
