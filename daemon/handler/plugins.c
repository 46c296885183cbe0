/*
 * plugins.c - the plugins of a configuration; see plugins.h
 */
#include "daemon/handler/plugins.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/handler/command.h"
#include "daemon/handler/plugin_load.h"
#include "lib/base/cleanup.h"

enum {
	TEXT_BYTES = 1024, /* of what a check says */
	CHECK_S = 10,
	FAULTY = 78,
};

static void
tell(struct buf *faults, const struct config *config, const struct handler_conf *h,
	const char *text)
{
	buf_fmt(faults, "%s:%d:%d: handlers.%s.plugin: cannot be loaded: %s\n",
		config->path ? config->path : "built-in configuration", h->plugin_line,
		h->plugin_column, h->name, text);
}

static int
answer(const struct buf *faults, size_t had_bytes)
{
	if (faults->failed)
		return -ENOMEM;
	return faults->len > had_bytes ? -EINVAL : 0;
}

/* ---- in a process of its own ---- */

/* The arrays that execve(2) wants, pointing into a block of command.h; to be freed. */
static char **
split(struct buf *block, const struct keeper_msg *msg, char ***ret_env)
{
	char **argv = calloc(msg->argc + 1 + msg->envc + 1, sizeof *argv);
	char *s = block->data;

	if (!argv)
		return NULL;
	for (uint32_t i = 0; i < msg->argc; i++)
		argv[i] = s += strlen(s) + 1;
	*ret_env = argv + msg->argc + 1;
	for (uint32_t i = 0; i < msg->envc; i++)
		(*ret_env)[i] = s += strlen(s) + 1;
	return argv;
}

/* As a process for its jobs would be started. */
static void
exec_host(const struct handler_conf *h)
{
	static char check[] = "--check";
	struct buf block = {0};
	struct keeper_msg msg;
	struct stint_err err = {0};
	char **env, **argv;

	if (command_build_worker(&block, &msg, h, &err) < 0)
		return;
	argv = split(&block, &msg, &env);
	if (argv && (!h->directory || chdir(h->directory) == 0))
		execve(h->argv[0], (char *[]){h->argv[0], check, h->plugin, NULL}, env);
	fprintf(stderr, "%s: %s\n", h->argv[0], strerror(errno));
}

static void
check_here(const struct handler_conf *h)
{
	struct stint_err err = {0};
	stint_plugin_fn run;

	alarm(CHECK_S);
	if (plugin_load(h->plugin, &run, &err) == 0)
		_exit(0);
	fprintf(stderr, "%s\n", err.msg);
}

static void
child(const struct handler_conf *h, int err_fd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(err_fd, STDERR_FILENO);
	dup2(err_fd, STDOUT_FILENO);
	if (h->isolation == ISOLATION_THREAD)
		check_here(h);
	else
		exec_host(h);
	_exit(FAULTY);
}

/* Is there more to read, or the end of file? False: its process has ended, and whoever
 * holds the pipe still has come out of the plugin, and may stay. */
static bool
wait_for_more(int fd, int pidfd)
{
	struct pollfd p[] = {
		{.fd = fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

	while (poll(p, ARRAY_LEN(p), -1) < 0 && errno == EINTR)
		;
	return p[0].revents;
}

/* The end of what it says. */
static void
read_all(int fd, int pidfd, char text[TEXT_BYTES])
{
	size_t len = 0;
	ssize_t n;

	while (wait_for_more(fd, pidfd) &&
		(n = read(fd, text + len, TEXT_BYTES - 1 - len)) > 0) {
		len += (size_t)n;
		if (len == TEXT_BYTES - 1) {
			memmove(text, text + TEXT_BYTES / 2, len - TEXT_BYTES / 2);
			len -= TEXT_BYTES / 2;
		}
	}
	while (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
}

/* Return: 0: it can be loaded; -ENOEXEC: @text says why not; -errno. */
static int
check_one(const struct handler_conf *h, char text[TEXT_BYTES])
{
	cleanup(fdp) int from = -1, to = -1, pidfd = -1;
	int p[2], status = 0;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	from = p[0];
	to = p[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(h, to);
	close_fd(&to);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	read_all(from, pidfd, text); /* without pidfd, until the end of file */
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(text, TEXT_BYTES, "that takes more than %d s", CHECK_S);
	else if (WIFSIGNALED(status))
		snprintf(text, TEXT_BYTES, "that ends with SIG%s",
			sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != FAULTY)
		snprintf(text, TEXT_BYTES, "that ends with exit code %d",
			WEXITSTATUS(status));
	return -ENOEXEC;
}

static const char *
last_line(const char *text)
{
	const char *at = strrchr(text, '\n');

	return at ? at + 1 : text;
}

int
plugins_check(const struct config *config, bool with_threads, struct buf *faults)
{
	const size_t had_bytes = faults->len;
	char text[TEXT_BYTES];

	for (struct handler_conf *h = config->handlers; h; h = h->hh.next) {
		if (!h->plugin || (!with_threads && h->isolation == ISOLATION_THREAD))
			continue;
		int r = check_one(h, text);

		if (r == -ENOEXEC)
			tell(faults, config, h, last_line(text));
		else if (r < 0)
			tell(faults, config, h, strerror(-r));
	}
	return answer(faults, had_bytes);
}

/* ---- in this one ---- */

int
plugins_load(struct config *config, struct buf *faults)
{
	const size_t had_bytes = faults->len;
	struct stint_err err;

	for (struct handler_conf *h = config->handlers; h; h = h->hh.next)
		if (h->plugin && h->isolation == ISOLATION_THREAD &&
			plugin_load(h->plugin, &h->run, &err) < 0)
			tell(faults, config, h, err.msg);
	return answer(faults, had_bytes);
}
