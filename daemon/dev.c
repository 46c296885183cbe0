/*
 * dev.c - a private Redis to try things out with
 */
#include "daemon/dev.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/cleanup.h"

enum { EXIT_EXEC_FAILED = 127 };

struct dev {
	pid_t redis;
	char folder[64];
	char socket[96];
	char url[128];
};

const char dev_config[] =
	"concurrency: 4\n"
	"queues: [default]\n"
	"handlers:\n"
	"  echo: { command: [cat] }\n"
	"  sha256: { command: [sha256sum] }\n"
	"  fail: { command: [sh, -c, 'echo \"no luck\" >&2; exit 3'] }\n"
	"  sleep: { command: [sh, -c, 'exec sleep \"$(cat)\"'], timeout: 10s }\n";

static const char *const redis_servers[] = {"redis-server", "valkey-server"};

static void
exec_redis(const struct dev *dev, pid_t parent)
{
	sigset_t none;

	/* its own session: a Ctrl-C is for the daemon, which needs Redis until its end */
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_EXEC_FAILED);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; i < ARRAY_LEN(redis_servers); i++)
		execlp(redis_servers[i], redis_servers[i], "--port", "0", "--unixsocket",
			dev->socket, "--dir", dev->folder, "--save", "", "--appendonly",
			"no", "--logfile", "redis.log", (char *)NULL);
	_exit(EXIT_EXEC_FAILED);
}

static void
dev_freep(struct dev **dev)
{
	dev_stop(*dev);
}

/* Until it listens, or has ended. */
static int
wait_for_socket(const struct dev *dev, struct stint_err *err)
{
	const struct timespec nap = {.tv_nsec = 5000000};
	siginfo_t info = {0};
	struct stat st;

	while (stat(dev->socket, &st) < 0) {
		waitid(P_PID, (id_t)dev->redis, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid == dev->redis)
			return stint_err_set(err, -ENOENT,
				"redis-server did not start; install it "
				"(apt-get install redis-server)");
		nanosleep(&nap, NULL);
	}
	return 0;
}

/* The command line of the server that was there. */
static const char *
tool_of(const struct dev *dev)
{
	char path[32], name[16] = "";
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)dev->redis);
	f = fopen(path, "re");
	if (f) {
		if (!fgets(name, sizeof name, f))
			name[0] = '\0';
		fclose(f);
	}
	return strncmp(name, "valkey", strlen("valkey")) ? "redis-cli" : "valkey-cli";
}

int
dev_start(struct dev **ret, struct stint_err *err)
{
	cleanup(dev_freep) struct dev *dev = calloc(1, sizeof *dev);
	const char *tmp = getenv("TMPDIR");
	const pid_t self = getpid();
	int r;

	if (!dev)
		return stint_err_set(err, -ENOMEM, "no memory");
	if (!tmp || strlen(tmp) > 32)
		tmp = "/tmp"; /* a socket's path is short */
	snprintf(dev->folder, sizeof dev->folder, "%s/stint-dev-XXXXXX", tmp);
	if (!mkdtemp(dev->folder)) {
		dev->folder[0] = '\0';
		return stint_err_set(err, -errno, "cannot make a folder in %s: %s", tmp,
			strerror(errno));
	}
	snprintf(dev->socket, sizeof dev->socket, "%s/redis.sock", dev->folder);
	snprintf(dev->url, sizeof dev->url, "unix://%s", dev->socket);
	dev->redis = fork();
	if (dev->redis < 0)
		return stint_err_set(err, -errno, "cannot fork: %s", strerror(errno));
	if (dev->redis == 0)
		exec_redis(dev, self);
	r = wait_for_socket(dev, err);
	if (r < 0)
		return r;
	printf("A private Redis listens on %s until I stop (Ctrl-C). In another "
	       "terminal:\n"
	       "  %s -s %s XADD 'stint:{default}:jobs' '*' handler echo payload "
	       "hello\n"
	       "  stintctl --redis %s submit --wait sha256 'hello'\n",
		dev->socket, tool_of(dev), dev->socket, dev->url);
	fflush(stdout);
	*ret = take_ptr(dev);
	return 0;
}

const char *
dev_redis_url(const struct dev *dev)
{
	return dev->url;
}

static void
remove_file(const struct dev *dev, const char *name)
{
	char path[sizeof dev->folder + 32];

	snprintf(path, sizeof path, "%s/%s", dev->folder, name);
	unlink(path);
}

void
dev_stop(struct dev *dev)
{
	if (!dev)
		return;
	if (dev->redis > 0) {
		kill(dev->redis, SIGTERM);
		while (waitpid(dev->redis, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (dev->folder[0] != '\0') {
		remove_file(dev, "redis.sock");
		remove_file(dev, "redis.log");
		rmdir(dev->folder);
	}
	free(dev);
}
