/*
 * keeper.c - runs one command after the other, and leaves nothing of it behind
 *
 * A keeper is a subreaper: whatever a command starts, also after setsid(2) or a
 * double fork, becomes a child of the keeper as soon as its own parent has ended.
 * So the job is over, with all that it started, when waitpid(2) says ECHILD; and to
 * kill it all, one kills the children until it says so. In the common case the main
 * process was the last one, and that takes one system call.
 *
 * It has a session of its own, so that nothing below it can have joined a process
 * group that is not the job's, and no terminal is in reach.
 *
 * vfork(2) because it is several times as fast as fork(2). The child shares our
 * memory until it executes: it changes nothing but k->failure, and calls only
 * async-signal-safe functions. That is shared memory for a second reason: under
 * ThreadSanitizer vfork() is fork().
 *
 * Who shall run as somebody else never shares memory with a process that has other
 * rights than itself: that is forked. So is a process that is born in a control group.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <stint/clock.h>
#include "daemon/handler/children.h"
#include "daemon/handler/ending.h"
#include "daemon/handler/fdpass.h"
#include "daemon/handler/keeper.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

/* What execvp(3) takes, too, when there is no PATH, but without the current folder. */
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

enum {
	WORKER_IN_FD = 3, /* where a worker process reads frames */
	WORKER_OUT_FD = 4,
	PIPES = WORKER_OUT_FD + 1, /* 0 to 4, of a command, too */
	COMMAND_FDS = 3, /* in fds, without standard input, which is behind them */
	PULSE_FD = 4,    /* in fds */
	LEFTOVER_MS = 2, /* for those who were killed with the job's group */
	RESCAN_MS = 20,  /* for those who were killed one by one */
	RESCAN_MAX_MS =
		1000, /* who is still there sits in the kernel, or is not ours to kill */
};

struct keeper {
	int sock;
	int signal_fd;
	pid_t self;
	struct keeper_reply *failure; /* shared with the child until it executes */

	struct buf block; /* of the command */
	char **argv;      /* into block; envp is behind it in the same array */
	char **envp;
	gid_t *groups;         /* likewise, behind that */
	struct keeper_msg msg; /* the START */
	int fds[FDPASS_MAX];   /* that came with it, as keeper.h says */
	size_t fd_count;
	struct keeper_pulse *pulse; /* NULL: none */
	const struct cgroup *cgroup;
	struct leaf leaf; /* of the job; LEAF_NONE: none */

	pid_t main;         /* the main process, and the job's process group */
	bool is_running;    /* the main process is there, or not reaped yet */
	int64_t kill_at_ms; /* STINT_NEVER: it was not told to end in time */
	int status;
	struct usage usage;
};

/* ---- the child, between vfork and execve: async-signal-safe calls only ---- */

static noreturn void
child_fail(struct keeper *k, enum keeper_stage stage, int error)
{
	k->failure->error = error;
	k->failure->failed_at = stage;
	_exit(127);
}

/* What it is held to. The parent-death signal comes after: another account clears it. */
static void
child_confine(struct keeper *k)
{
	const struct confine *c = &k->msg.confine;
	const bool is_counted = k->leaf.fd >= 0 && k->cgroup->has_pids;
	int r = 0;

	if (k->leaf.fd >= 0 && !k->cgroup->has_clone_into)
		r = leaf_enter(&k->leaf);
	if (r < 0)
		child_fail(k, KEEPER_GROUP, -r);
	r = confine_self(c, k->groups, PIPES, is_counted, &k->failure->step);
	if (r < 0)
		child_fail(k, KEEPER_CONFINE, -r);
}

static const char *
child_path(char **envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return DEFAULT_PATH;
}

/* execvpe(3), but with the PATH of the command's environment, and a file that is
 * neither a binary nor has #! is not given to a shell. Returns the errno. */
static int
child_exec(char **argv, char **envp)
{
	size_t name_len = strlen(argv[0]);
	const char *dir, *end;
	char file[PATH_MAX];
	int error = ENOENT;

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, envp);
		return errno;
	}
	for (dir = child_path(envp);; dir = end + 1) {
		size_t dir_len;

		end = strchrnul(dir, ':');
		dir_len = (size_t)(end - dir);
		if (dir_len > 0 && dir_len + 1 + name_len < sizeof file) {
			memcpy(file, dir, dir_len);
			file[dir_len] = '/';
			memcpy(file + dir_len + 1, argv[0], name_len + 1);
			execve(file, argv, envp);
			if (errno == EACCES)
				error = EACCES; /* unless a later one can be executed */
			else if (errno != ENOENT && errno != ENOTDIR)
				return errno;
		}
		if (!*end)
			return error;
	}
}

/* The last one to be put in its place: another one may have lain there. */
static int
child_progress_fd(int fd)
{
	if (fd == KEEPER_PROGRESS_FD)
		return fcntl(fd, F_SETFD, 0);
	return dup2(fd, KEEPER_PROGRESS_FD);
}

/* Put the descriptors in their places. Those for 3 and 4 may lie there in the wrong
 * order, so they are moved out of the way first. */
static int
child_fds(const struct keeper *k)
{
	const int *fds = k->fds;

	if (dup2(fds[0], STDOUT_FILENO) < 0 || dup2(fds[1], STDERR_FILENO) < 0)
		return -1;
	if (k->msg.is_worker) {
		int in = fcntl(fds[2], F_DUPFD_CLOEXEC, WORKER_OUT_FD + 1);
		int out = fcntl(fds[3], F_DUPFD_CLOEXEC, WORKER_OUT_FD + 1);

		if (in < 0 || out < 0 || dup2(in, WORKER_IN_FD) < 0)
			return -1;
		return dup2(out, WORKER_OUT_FD);
	}
	if (k->fd_count > COMMAND_FDS && dup2(fds[COMMAND_FDS], STDIN_FILENO) < 0)
		return -1;
	return child_progress_fd(fds[2]);
}

static noreturn void
child_main(struct keeper *k)
{
	const char *directory = k->block.data;
	sigset_t none;

	setpgid(0, 0);
	if (child_fds(k) < 0)
		child_fail(k, KEEPER_FORK, errno);
	child_confine(k);
	prctl(PR_SET_PDEATHSIG, (long)SIGKILL);
	if (getppid() != k->self)
		_exit(127); /* the keeper was killed before it could be noticed */
	if (*directory && chdir(directory) < 0)
		child_fail(k, KEEPER_DIRECTORY, errno);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	child_fail(k, KEEPER_EXEC, child_exec(k->argv, k->envp));
}

/* ---- starting ---- */

/* The arrays that execve(2) wants, pointing into the block. */
static bool
split_block(struct keeper *k, const struct keeper_msg *m)
{
	const size_t count = (size_t)m->argc + 1 + m->envc + 1,
		     groups_bytes = m->confine.group_count * sizeof *k->groups;
	char *s = k->block.data; /* the directory */

	free(k->argv);
	k->argv = malloc(count * sizeof *k->argv + groups_bytes);
	if (!k->argv)
		return false;
	k->envp = k->argv + m->argc + 1;
	for (uint32_t i = 0; i < m->argc; i++)
		k->argv[i] = s += strlen(s) + 1;
	k->argv[m->argc] = NULL;
	for (uint32_t i = 0; i < m->envc; i++)
		k->envp[i] = s += strlen(s) + 1;
	k->envp[m->envc] = NULL;
	k->groups = (gid_t *)(void *)(k->argv + count);
	memcpy(k->groups, k->block.data + k->block.len - groups_bytes, groups_bytes);
	return true;
}

/* Wait for a START and take it in. What else comes is late: for a job that has just
 * ended. False: end of file, or no memory to go on with. */
static bool
receive_start(struct keeper *k)
{
	struct keeper_msg *m = &k->msg;
	char *room;
	ssize_t n;

	buf_reset(&k->block, KEEPER_CHUNK_BYTES);
	do {
		room = buf_room(&k->block, KEEPER_CHUNK_BYTES);
		if (!room)
			return false;
		n = fdpass_recv(k->sock, m, sizeof *m, room, KEEPER_CHUNK_BYTES, k->fds,
			&k->fd_count);
		if (n < (ssize_t)sizeof *m)
			return false;
	} while (m->verb != KEEPER_START);
	k->block.len = (size_t)n - sizeof *m;
	while (k->block.len < m->block_bytes) {
		room = buf_room(&k->block, KEEPER_CHUNK_BYTES);
		n = room ? recv(k->sock, room, KEEPER_CHUNK_BYTES, 0) : -1;
		if (n <= 0)
			return false;
		k->block.len += (size_t)n;
	}
	return split_block(k, m);
}

/* The pulse is not for the process: it must not reach what it could write to. */
static void
map_pulse(struct keeper *k)
{
	void *p = mmap(NULL, sizeof *k->pulse, PROT_READ | PROT_WRITE, MAP_SHARED,
		k->fds[PULSE_FD], 0);

	k->pulse = p == MAP_FAILED ? NULL : p;
}

static void
unmap_pulse(struct keeper *k)
{
	if (k->pulse)
		munmap(k->pulse, sizeof *k->pulse);
	k->pulse = NULL;
}

static void
fail(struct keeper *k, enum keeper_stage stage, int error)
{
	*k->failure = (struct keeper_reply){.failed_at = stage, .error = error};
}

static void
start_process(struct keeper *k)
{
	/* NOLINTBEGIN(clang-analyzer-*): vfork(), and what it allows; see top of file */
	if (k->leaf.fd >= 0 && k->cgroup->has_clone_into)
		k->main = leaf_fork(&k->leaf);
	else
		k->main = k->msg.confine.is_other ? fork() : vfork();
	if (k->main == 0)
		child_main(k);
	/* NOLINTEND(clang-analyzer-*) */
	k->is_running = k->main > 0;
	if (!k->is_running)
		fail(k, KEEPER_FORK, errno);
}

static void
start(struct keeper *k)
{
	int r = 0;

	*k->failure = (struct keeper_reply){0};
	if (*k->cgroup->root)
		r = leaf_make(&k->leaf, k->cgroup, &k->msg.confine.limits);
	if (r < 0)
		fail(k, KEEPER_GROUP, -r);
	else
		start_process(k);
}

/* ---- watching ---- */

/* Reap whoever has ended. Return: is any child left? */
static bool
reap(struct keeper *k)
{
	struct rusage used;
	pid_t pid;
	int status;

	while ((pid = wait4(-1, &status, WNOHANG, &used)) > 0) {
		usage_add(&k->usage, &used);
		if (pid == k->main) {
			k->status = status;
			k->is_running = false;
		}
	}
	return pid == 0;
}

/* Kill everything below us and reap it. Most of what a job leaves behind is still in
 * its process group; /proc is read for the rest only. */
static void
kill_all(struct keeper *k)
{
	leaf_kill(&k->leaf);
	kill(-k->main, SIGKILL);
	children_wait(k->signal_fd, LEFTOVER_MS);
	for (int wait_ms = RESCAN_MS; reap(k);
		wait_ms *= wait_ms < RESCAN_MAX_MS ? 2 : 1) {
		children_signal(SIGKILL, NULL, NULL);
		children_wait(k->signal_fd, wait_ms);
	}
}

static bool
is_in_group(const void *arg, pid_t pid, pid_t pgid)
{
	const struct keeper *k = arg;

	(void)pid;
	return pgid == k->main;
}

static void
terminate(const struct keeper *k)
{
	/* Where vfork() is fork(), the child may not have made its group yet. */
	if (kill(-k->main, SIGTERM) < 0)
		kill(k->main, SIGTERM);
	kill(-k->main, SIGCONT); /* a stopped process cannot heed it */
	children_signal(SIGTERM, is_in_group, k);
}

/* The daemon wants the job to end; an end of file wants it, too. */
static void
obey(struct keeper *k)
{
	struct keeper_msg m;

	if (recv(k->sock, &m, sizeof m, 0) != (ssize_t)sizeof m)
		m.verb = KEEPER_KILL;
	if (m.verb == KEEPER_TERM)
		terminate(k);
	else if (m.verb == KEEPER_RETIRE)
		k->kill_at_ms = stint_at_ms(m.grace_ms);
	else if (m.verb == KEEPER_RENEW)
		confine_renew_cpu(&k->msg.confine, k->main);
	else
		kill_all(k);
}

/* Since when the process has been idle; negative: it is not, or nobody asks. */
static int64_t
idle_since_ms(const struct keeper *k)
{
	if (!k->pulse || k->kill_at_ms != STINT_NEVER)
		return KEEPER_BUSY;
	/* Relaxed: the value is all that the two sides tell each other. */
	return atomic_load_explicit(&k->pulse->idle_since_ms, memory_order_relaxed);
}

/* When to look at the time again. One that has a job is looked at again when it can
 * have been idle for long enough at the earliest. */
static int64_t
next_look_ms(const struct keeper *k)
{
	int64_t since_ms;

	if (!k->pulse || k->kill_at_ms != STINT_NEVER)
		return k->kill_at_ms;
	since_ms = idle_since_ms(k);
	return (since_ms < 0 ? stint_now_ms() : since_ms) + k->msg.idle_ms;
}

/* End it when it has been idle for too long, or was told to end too long ago. */
static void
heed_time(struct keeper *k)
{
	int64_t now_ms = stint_now_ms(), since_ms = idle_since_ms(k);

	if (k->kill_at_ms <= now_ms) {
		k->kill_at_ms = STINT_NEVER;
		kill_all(k);
	}
	if (since_ms < 0 || now_ms - since_ms < k->msg.idle_ms ||
		!atomic_compare_exchange_strong_explicit(&k->pulse->idle_since_ms,
			&since_ms, KEEPER_ENDED, memory_order_relaxed,
			memory_order_relaxed))
		return;
	k->kill_at_ms = now_ms + k->msg.grace_ms;
	terminate(k);
}

static void
watch(struct keeper *k)
{
	struct pollfd p[] = {
		{.fd = k->sock, .events = POLLIN},
		{.fd = k->signal_fd, .events = POLLIN},
	};
	bool has_children = k->is_running;

	while (k->is_running) {
		poll(p, ARRAY_LEN(p), ending_poll_ms(next_look_ms(k)));
		if (p[0].revents)
			obey(k);
		if (p[1].revents)
			children_noticed(k->signal_fd);
		if (k->msg.is_worker)
			heed_time(k);
		has_children = reap(k);
	}
	if (has_children)
		kill_all(k);
}

static void
run_job(struct keeper *k)
{
	struct keeper_reply reply;

	if (!receive_start(k))
		_exit(0);
	k->kill_at_ms = STINT_NEVER;
	k->usage = (struct usage){0};
	if (k->fd_count > PULSE_FD)
		map_pulse(k);
	if (k->fd_count >= (k->msg.is_worker ? PULSE_FD : COMMAND_FDS))
		start(k);
	else /* there was no room for the pipes in our table */
		fail(k, KEEPER_FORK, EMFILE);
	while (k->fd_count > 0)
		close(k->fds[--k->fd_count]);
	watch(k);
	unmap_pulse(k);
	reply = *k->failure;
	reply.status = k->status;
	reply.usage = k->usage;
	reply.usage.leaf = leaf_read(&k->leaf);
	leaf_remove(&k->leaf);
	send(k->sock, &reply, sizeof reply, MSG_NOSIGNAL);
}

noreturn void
keeper_main(int sock, const struct rlimit *files, const struct cgroup *cgroup)
{
	struct keeper k = {
		.sock = sock, .self = getpid(), .cgroup = cgroup, .leaf = LEAF_NONE};
	int hello = 0;

	k.failure = mmap(NULL, sizeof *k.failure, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	k.signal_fd = children_guard("stint-keeper", sock);
	if (k.failure == MAP_FAILED || k.signal_fd < 0 || setsid() < 0 ||
		setrlimit(RLIMIT_NOFILE, files) < 0)
		hello = errno;
	send(sock, &hello, sizeof hello, MSG_NOSIGNAL);
	if (hello != 0)
		_exit(0);
	for (;;)
		run_job(&k);
}
