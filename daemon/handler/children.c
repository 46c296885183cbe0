/*
 * children.c - finds and signals the children of this process
 *
 * A process cannot ask the kernel for its children: /proc/<pid>/task/<tid>/children
 * is not in every kernel. So all of /proc is read, which takes some 10 us per process
 * on the host. It is only needed for what has left the job's process group.
 *
 * Signals are sent while reading, not after: a process that forks and ends all the
 * time is caught soon after it was seen. Groups are signalled as a whole because the
 * kernel does that in one step that no fork(2) can slip through, which ends fork
 * bombs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include "daemon/handler/children.h"
#include "lib/base/cleanup.h"

static void
closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Parent and group of a process; false: it is gone. */
static bool
read_stat(int proc_fd, const char *pid, pid_t *ret_ppid, pid_t *ret_pgid)
{
	char path[32], text[512];
	const char *after_name;
	cleanup(fdp) int fd = -1;
	ssize_t n;

	snprintf(path, sizeof path, "%.16s/stat", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* "123 (name) S 1 123 ...", and the name may hold anything, also ')' */
	after_name = strrchr(text, ')');
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	return after_name && sscanf(after_name, ") %*c %d %d", ret_ppid, ret_pgid) == 2;
}

int
children_signal(int sig, children_spared_fn is_spared, const void *arg)
{
	cleanup(closedirp) DIR *proc = opendir("/proc");
	pid_t self = getpid(), own_pgid = getpgrp(), ppid, pgid;
	const struct dirent *e;
	int count = 0;

	if (!proc)
		return -errno;
	while ((e = readdir(proc))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid <= 0 || !read_stat(dirfd(proc), e->d_name, &ppid, &pgid) ||
			ppid != self || (is_spared && is_spared(arg, pid, pgid)))
			continue;
		count++;
		/* 0 and 1 would mean something else to kill(2) */
		if (pgid <= 1 || pgid == own_pgid || kill(-pgid, sig) < 0)
			kill(pid, sig);
	}
	return count;
}

int
children_guard(const char *name, int fd)
{
	sigset_t child;
	int signal_fd;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1L) < 0 || prctl(PR_SET_NAME, name) < 0)
		return -errno;
	if (fd > 3 && close_range(3, (unsigned)fd - 1, 0) < 0)
		return -errno;
	if (close_range((unsigned)fd + 1, ~0U, 0) < 0)
		return -errno;
	signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	return signal_fd < 0 ? -errno : signal_fd;
}

void
children_wait(int signal_fd, int timeout_ms)
{
	struct pollfd p = {.fd = signal_fd, .events = POLLIN};

	poll(&p, 1, timeout_ms);
	children_noticed(signal_fd);
}

void
children_noticed(int signal_fd)
{
	struct signalfd_siginfo si;

	/* One read is all: SIGCHLD does not queue up. */
	(void)!read(signal_fd, &si, sizeof si);
}
