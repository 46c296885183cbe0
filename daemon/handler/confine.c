/*
 * confine.c - what the process of a job is held to; see confine.h
 */
#include <errno.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "daemon/handler/confine.h"
#include "lib/base/cleanup.h"

enum {
	MS = 1000,        /* in a second */
	CPU_GRACE_S = 1,  /* from SIGXCPU to SIGKILL */
	CPU_ROUNDING = 1, /* s: what had been used of the second that is not over */
};

struct confine
confine_of(const struct handler_conf *conf, struct buf *block)
{
	const struct handler_account *a = &conf->account;
	struct confine c = {.limits = conf->limits, .is_worker = conf->is_worker};

	if (!a->is_other)
		return c;
	c.is_other = true;
	c.uid = a->uid;
	c.gid = a->gid;
	c.group_count = (uint32_t)a->group_count;
	buf_add(block, a->groups, a->group_count * sizeof *a->groups);
	return c;
}

static rlim_t
cpu_seconds(const struct confine *c)
{
	return (rlim_t)((c->limits.cpu_ms + MS - 1) / MS);
}

/* The soft limit, and the hard one; RLIM_INFINITY leaves that. */
static int
bound(__rlimit_resource_t resource, rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	if (hard == RLIM_INFINITY && getrlimit(resource, &limit) == 0)
		hard = limit.rlim_max;
	limit = (struct rlimit){soft, hard};
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static int
bound_cpu(const struct confine *c)
{
	const rlim_t seconds = cpu_seconds(c);

	if (c->is_worker)
		return bound(RLIMIT_CPU, seconds, RLIM_INFINITY);
	return bound(RLIMIT_CPU, seconds, seconds + CPU_GRACE_S);
}

/* Never /dev/null: that is everybody's. */
static void
give_pipes(const struct confine *c, int pipes)
{
	struct stat st;

	for (int fd = 0; fd < pipes; fd++)
		if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
			(void)!fchown(fd, c->uid, c->gid);
}

/* The order: first what needs the rights of the daemon. */
static int
become(const struct confine *c, const gid_t *groups, int pipes)
{
	give_pipes(c, pipes);
	if (setgroups(c->group_count, groups) < 0 ||
		setresgid(c->gid, c->gid, c->gid) < 0 ||
		setresuid(c->uid, c->uid, c->uid) < 0)
		return -errno;
	return 0;
}

int
confine_self(const struct confine *c, const gid_t *groups, int pipes, bool is_counted,
	enum confine_step *ret_step)
{
	const struct handler_limits *l = &c->limits;
	const rlim_t memory = (rlim_t)l->memory_bytes, files = (rlim_t)l->files,
		     processes = (rlim_t)l->processes;
	int r = 0;

	*ret_step = CONFINE_MEMORY;
	if (memory)
		r = bound(RLIMIT_DATA, memory, memory);
	if (r == 0 && l->cpu_ms) {
		*ret_step = CONFINE_CPU;
		r = bound_cpu(c);
	}
	if (r == 0 && files) {
		*ret_step = CONFINE_FILES;
		r = bound(RLIMIT_NOFILE, files, files);
	}
	if (r == 0 && processes && !is_counted) {
		*ret_step = CONFINE_PROCESSES;
		r = bound(RLIMIT_NPROC, processes, processes);
	}
	if (r == 0 && c->is_other) {
		*ret_step = CONFINE_ACCOUNT;
		r = become(c, groups, pipes);
	}
	return r;
}

void
confine_renew_cpu(const struct confine *c, pid_t pid)
{
	struct timespec used;
	struct rlimit limit;
	clockid_t clock;

	if (!c->limits.cpu_ms || clock_getcpuclockid(pid, &clock) != 0 ||
		clock_gettime(clock, &used) < 0 ||
		prlimit(pid, RLIMIT_CPU, NULL, &limit) < 0)
		return; /* it has just ended */
	limit.rlim_cur = (rlim_t)used.tv_sec + CPU_ROUNDING + cpu_seconds(c);
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	prlimit(pid, RLIMIT_CPU, &limit, NULL);
}

const char *
confine_step_name(enum confine_step step)
{
	static const char *const names[] = {
		[CONFINE_MEMORY] = "limits.memory",
		[CONFINE_CPU] = "limits.cpu",
		[CONFINE_FILES] = "limits.files",
		[CONFINE_PROCESSES] = "limits.processes",
		[CONFINE_ACCOUNT] = "user and group",
	};

	return names[step];
}
