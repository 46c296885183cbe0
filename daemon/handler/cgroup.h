/*
 * cgroup.h - the part of the cgroup v2 tree that was delegated to the daemon
 *
 *	/sys/fs/cgroup/system.slice/stintd.service    the root, no process in it
 *	    stintd                                    daemon, zygote, keepers
 *	    job-KEEPER-N                              a job, or the process of a worker
 *
 * It is delegated where the service manager says so (Delegate= of systemd, which marks
 * the directory with the attribute user.delegate or trusted.delegate), or where it is the
 * user's own, and nobody else is in it. Processes are in leaves only: a group that limits
 * its children cannot hold processes itself. With DelegateSubgroup= the daemon is in a
 * leaf already. Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst of Linux,
 * https://systemd.io/CGROUP_DELEGATION.
 */
#ifndef HANDLER_CGROUP_H
#define HANDLER_CGROUP_H

#include <stdbool.h>

enum { CGROUP_PATH_BYTES = 1024, CGROUP_NAME_BYTES = 64, CGROUP_WHY_BYTES = 256 };

struct cgroup {
	char root[CGROUP_PATH_BYTES]; /* "": there is none, and @why says why */
	char why[CGROUP_WHY_BYTES];
	bool has_memory; /* the controllers that jobs are under */
	bool has_pids;
	bool has_clone_into; /* clone3(2) can make a process in a group */
	int lock_fd;         /* of the root, for as long as the daemon lives; or -1 */
};

/**
 * cgroup_take() - find the root, move this process into a leaf of it, make it ready
 *
 * What daemons before have left there is killed and removed. Never fails: without a root,
 * jobs are limited by rlimits alone. Call while this process is the only one of the
 * daemon. Blocks: for a second at most, while what is left over ends.
 */
void cgroup_take(struct cgroup *ret);

/* Close the lock. The groups stay: their service manager removes them. */
void cgroup_close(struct cgroup *cg);

/* Kill and remove all leaves whose name begins with @prefix. Takes a @cg without a root.
 * Blocks: as above. */
void cgroup_sweep(const struct cgroup *cg, const char *prefix);

/* ---- what the above is made of, for tests ---- */

/* The directory of this process' group, from the text of /proc/self/mountinfo and
 * /proc/self/cgroup. Return: 0; -ENOENT: there is none that can be seen from here. */
int cgroup_locate(
	const char *mounts, const char *membership, char out[CGROUP_PATH_BYTES]);

/* cgroup_take() for a process whose group is @own. */
void cgroup_take_at(struct cgroup *ret, const char *own);

/* Write to a file below the directory @dir_fd, which must be there. 0 or -errno. */
int cgroup_write(int dir_fd, const char *file, const char *text);

/* Read a small file; it is terminated. Return: its length, or -errno. */
int cgroup_read(int dir_fd, const char *file, char *out, int room);

/* Is @word one of the blank-separated words of @text? */
bool cgroup_has_word(const char *text, const char *word);

/* Remove a group whose processes are gone, with groups that they made in it. 0 or
 * -errno. Blocks: for @patience_ms at most, until the kernel has let go of them. */
int cgroup_remove(const char *path, int patience_ms);

#endif
