/*
 * zygote.c - forks keepers, and cleans up after those that were killed
 *
 *	daemon ──── requests ────▶ zygote
 *	   │                         │ fork
 *	   └──── one pair each ────▶ keeper ──▶ command
 *
 * A request is one message that carries the keeper's end of a socket pair. The
 * zygote keeps that end open, too, until it has reaped the keeper and killed what the
 * keeper left behind (it is the next subreaper, so that becomes its children). So the
 * daemon sees the end of a keeper only when nothing of its job is left.
 *
 * A keeper that was stopped could neither run nor end its job; it is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/handler/children.h"
#include "daemon/handler/fdpass.h"
#include "daemon/handler/keeper.h"
#include "daemon/handler/leaf.h"
#include "daemon/handler/zygote.h"
#include "lib/base/cleanup.h"

enum {
	BIRTH_MS = 10000, /* for a keeper to say that it is there, on a busy host */
	SWEEP_MS = 20,    /* between two looks at what a dead keeper has left behind */
};

struct zygote {
	pid_t pid;
	int sock;
};

/* ---- in the zygote ---- */

struct ward {
	pid_t pid; /* a keeper; 0: it was killed, its leftovers are being killed */
	int sock;  /* its end */
};

struct nursery {
	int sock; /* to the daemon; -1: it is gone */
	int signal_fd;
	struct rlimit files; /* as the daemon had it: for the commands */
	const struct cgroup *cgroup;
	struct ward *wards;
	size_t count;
	size_t cap;
	bool is_sweeping; /* some ward was killed */
};

static void
forget(struct nursery *n, size_t i)
{
	close(n->wards[i].sock);
	n->wards[i] = n->wards[--n->count];
}

static struct ward *
find(const struct nursery *n, pid_t pid)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->wards[i].pid == pid)
			return &n->wards[i];
	return NULL;
}

static bool
is_keeper(const void *arg, pid_t pid, pid_t pgid)
{
	(void)pgid;
	return find(arg, pid) != NULL;
}

static int
make_room(struct nursery *n)
{
	size_t cap = n->cap ? 2 * n->cap : 16;
	struct ward *wards;

	if (n->count < n->cap)
		return 0;
	wards = realloc(n->wards, cap * sizeof *wards);
	if (!wards)
		return -ENOMEM;
	n->wards = wards;
	n->cap = cap;
	return 0;
}

/* A keeper for the other end of @sock, which is ours from here on. When there can be
 * none, that end is told why. */
static void
raise_keeper(struct nursery *n, int sock)
{
	int error = -make_room(n);
	pid_t pid = error ? -1 : fork();

	if (pid == 0)
		keeper_main(sock, &n->files, n->cgroup);
	if (pid > 0) {
		n->wards[n->count++] = (struct ward){pid, sock};
		return;
	}
	if (!error)
		error = errno;
	send(sock, &error, sizeof error, MSG_NOSIGNAL);
	close(sock);
}

static void
serve(struct nursery *n)
{
	int fds[FDPASS_MAX];
	size_t fd_count;
	char request;
	ssize_t r =
		fdpass_recv(n->sock, &request, sizeof request, NULL, 0, fds, &fd_count);

	if (r > 0) {
		if (fd_count >
			0) /* 0: no room for it here; it was closed, that end sees it */
			raise_keeper(n, fds[0]);
		return;
	}
	close_fd(&n->sock);
	/* Most know already; not the keeper of a slot that someone forgot to free. */
	for (size_t i = 0; i < n->count; i++)
		shutdown(n->wards[i].sock, SHUT_RDWR);
}

/* Who was not a keeper is what a killed keeper left behind: nothing to note. */
static void
note(struct nursery *n, pid_t pid, int status)
{
	struct ward *w = find(n, pid);
	char leaves[CGROUP_NAME_BYTES];

	if (!w)
		return;
	if (WIFSTOPPED(status)) {
		kill(pid, SIGKILL);
	} else if (WIFEXITED(status)) {
		forget(n, (size_t)(w - n->wards)); /* it has cleaned up itself */
	} else {
		leaf_prefix(pid, leaves);
		cgroup_sweep(n->cgroup, leaves);
		w->pid = 0;
		n->is_sweeping = true;
	}
}

/* Kill what killed keepers left behind; tell the daemon once nothing is left. */
static void
sweep(struct nursery *n)
{
	if (children_signal(SIGKILL, is_keeper, n) != 0)
		return;
	n->is_sweeping = false;
	for (size_t i = n->count; i-- > 0;)
		if (n->wards[i].pid == 0)
			forget(n, i);
}

static void
reap(struct nursery *n)
{
	pid_t pid;
	int status;

	children_noticed(n->signal_fd);
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0)
		note(n, pid, status);
}

/* Descriptors 0 and 1 are /dev/null; 2 stays the daemon's, for fatal errors (those of
 * the C library and of sanitizers). Each keeper takes one more of them. */
static int
settle(struct nursery *n)
{
	cleanup(fdp) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct rlimit most;

	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
		dup2(null_fd, STDOUT_FILENO) < 0)
		return -errno;
	if (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(null_fd, STDERR_FILENO) < 0)
		return -errno;
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL); /* commands inherit it; fails for KILL, STOP */
	if (getrlimit(RLIMIT_NOFILE, &n->files) < 0)
		return -errno;
	most = (struct rlimit){n->files.rlim_max, n->files.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &most) < 0)
		return -errno;
	n->signal_fd = children_guard("stint-zygote", n->sock);
	return n->signal_fd < 0 ? n->signal_fd : 0;
}

static noreturn void
zygote_main(int sock, const struct cgroup *cgroup)
{
	struct nursery n = {.sock = fcntl(sock, F_DUPFD_CLOEXEC, STDERR_FILENO + 1),
		.cgroup = cgroup};

	if (n.sock < 0 || settle(&n) < 0)
		_exit(1);
	while (n.sock >= 0 || n.count > 0) {
		struct pollfd p[] = {
			{.fd = n.sock, .events = POLLIN},
			{.fd = n.signal_fd, .events = POLLIN},
		};

		poll(p, ARRAY_LEN(p), n.is_sweeping ? SWEEP_MS : -1);
		if (p[1].revents)
			reap(&n);
		if (p[0].revents)
			serve(&n);
		if (n.is_sweeping)
			sweep(&n);
	}
	_exit(0);
}

/* ---- in the daemon ---- */

int
zygote_start(const struct cgroup *cgroup, struct zygote **ret, struct stint_err *err)
{
	cleanup(freep) struct zygote *z = calloc(1, sizeof *z);
	cleanup(fdp) int theirs = -1;
	sigset_t all, old;
	int pair[2], r;

	if (!z)
		return stint_err_set(err, -ENOMEM, "zygote: no memory");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return stint_err_set(
			err, -errno, "zygote: no sockets: %s", strerror(errno));
	theirs = pair[0];
	z->sock = pair[1];
	/* In the zygote and in keepers all signals stay blocked: what a terminal or a
	 * service manager sends to the whole group is the daemon's to act upon. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	z->pid = fork();
	if (z->pid == 0)
		zygote_main(theirs, cgroup);
	r = z->pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		close(z->sock);
		return stint_err_set(err, r, "zygote: cannot fork: %s", strerror(-r));
	}
	*ret = take_ptr(z);
	return 0;
}

pid_t
zygote_pid(const struct zygote *z)
{
	return z->pid;
}

/* Wait for the first word on a new keeper's socket. */
static int
await_birth(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r, error;

	do
		r = poll(&p, 1, BIRTH_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	if (recv(fd, &error, sizeof error, 0) != (ssize_t)sizeof error)
		return -EPIPE;
	return -error;
}

int
zygote_fork_keeper(struct zygote *z, int *ret_fd, struct stint_err *err)
{
	cleanup(fdp) int ours = -1, theirs = -1;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return stint_err_set(err, -errno, "no sockets: %s", strerror(errno));
	ours = pair[0];
	theirs = pair[1];
	r = fdpass_send(z->sock, "K", 1, NULL, 0, &theirs, 1);
	close_fd(&theirs); /* else the end of the other side could not be seen */
	if (r == 0)
		r = await_birth(ours);
	if (r < 0)
		return stint_err_set(err, r, "cannot fork a supervisor: %s",
			r == -EPIPE ? "the zygote process is gone" : strerror(-r));
	*ret_fd = take_fd(&ours);
	return 0;
}

void
zygote_stop(struct zygote *z)
{
	if (!z)
		return;
	close(z->sock);
	while (waitpid(z->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(z);
}
