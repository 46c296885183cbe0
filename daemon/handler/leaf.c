/*
 * leaf.c - the control group of one job; see leaf.h
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "daemon/handler/leaf.h"
#include "lib/base/cleanup.h"

enum {
	EVENTS_BYTES = 1024,
	NUMBER_BYTES = 32,
	/* Its processes are gone: the kernel has only to let go of them. One that is
	 * still there after that is removed by the next daemon. */
	REMOVE_MS = 100,
};

void
leaf_prefix(pid_t keeper, char out[CGROUP_NAME_BYTES])
{
	snprintf(out, CGROUP_NAME_BYTES, LEAF_PREFIX "%d-", (int)keeper);
}

static int
write_number(int fd, const char *file, int64_t number)
{
	char text[NUMBER_BYTES];

	snprintf(text, sizeof text, "%" PRId64, number);
	return cgroup_write(fd, file, text);
}

/* The kernel may have no account of swap, and then no such file. */
static int
limit_memory(int fd, int64_t bytes)
{
	int r = write_number(fd, "memory.max", bytes);

	if (r == 0)
		r = cgroup_write(fd, "memory.swap.max", "0");
	return r == -ENOENT ? 0 : r;
}

int
leaf_limit(int fd, const struct cgroup *cg, const struct handler_limits *limits)
{
	int r = 0;

	if (cg->has_memory && limits->memory_bytes)
		r = limit_memory(fd, limits->memory_bytes);
	if (r == 0 && cg->has_memory)
		r = cgroup_write(fd, "memory.oom.group", "1");
	if (r == 0 && cg->has_pids && limits->processes)
		r = write_number(fd, "pids.max", limits->processes);
	return r;
}

int
leaf_make(struct leaf *leaf, const struct cgroup *cg, const struct handler_limits *limits)
{
	char prefix[CGROUP_NAME_BYTES];
	int r;

	leaf_prefix(getpid(), prefix);
	snprintf(leaf->path, sizeof leaf->path, "%s/%s%u", cg->root, prefix,
		leaf->number++);
	if (mkdir(leaf->path, 0755) < 0)
		return -errno;
	leaf->fd = open(leaf->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = leaf->fd < 0 ? -errno : leaf_limit(leaf->fd, cg, limits);
	if (r < 0)
		leaf_remove(leaf);
	return r;
}

/* Without CLONE_VM this is fork(2): memory is copied, also the stack that it returns to.
 * Source: clone(2), CLONE_INTO_CGROUP (Linux 5.7). */
pid_t
leaf_fork(const struct leaf *leaf)
{
	const struct clone_args args = {.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (unsigned)leaf->fd};

	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

int
leaf_enter(const struct leaf *leaf)
{
	return cgroup_write(leaf->fd, "cgroup.procs", "0");
}

void
leaf_kill(const struct leaf *leaf)
{
	if (leaf->fd >= 0)
		cgroup_write(leaf->fd, "cgroup.kill", "1");
}

/* The number behind @name in lines "name 123"; 0: it is not there. */
static int64_t
count_of(const char *events, const char *name)
{
	const size_t n = strlen(name);
	int64_t count = 0;

	for (const char *line = events; *line;) {
		const char *end = strchrnul(line, '\n');

		if (strncmp(line, name, n) == 0 && line[n] == ' ') {
			/* NOLINTNEXTLINE(cert-err34-c): the kernel writes it */
			sscanf(line + n, " %" SCNd64, &count);
			return count;
		}
		line = *end ? end + 1 : end;
	}
	return 0;
}

struct leaf_usage
leaf_read(const struct leaf *leaf)
{
	struct leaf_usage usage = {0};
	char text[EVENTS_BYTES];

	if (leaf->fd < 0)
		return usage;
	if (cgroup_read(leaf->fd, "memory.peak", text, sizeof text) > 0)
		/* NOLINTNEXTLINE(cert-err34-c): the kernel writes it */
		sscanf(text, "%" SCNd64, &usage.memory_peak_bytes);
	if (cgroup_read(leaf->fd, "memory.events", text, sizeof text) > 0) {
		usage.was_killed = count_of(text, "oom_kill") > 0;
		/* `oom` counts the times that this group's own limit was in the way */
		usage.hit_memory = usage.was_killed && count_of(text, "oom") > 0;
	}
	if (cgroup_read(leaf->fd, "pids.events", text, sizeof text) > 0)
		usage.hit_processes = count_of(text, "max") > 0;
	return usage;
}

void
leaf_remove(struct leaf *leaf)
{
	close_fd(&leaf->fd);
	if (*leaf->path)
		cgroup_remove(leaf->path, REMOVE_MS);
	*leaf->path = '\0';
}
