/*
 * cgroup.c - the part of the cgroup v2 tree that was delegated; see cgroup.h
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "daemon/handler/cgroup.h"
#include "daemon/handler/leaf.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

#define DAEMON_LEAF "stintd"

enum {
	SMALL_BYTES = 4096,
	SWEEP_MS = 1000, /* for leftovers to end */
	FIRST_MS = 1,    /* between two tries to remove a group */
	NEXT_MAX_MS = 50,
	NFTW_FDS = 16,
};

/* ---- files ---- */

int
cgroup_write(int dir_fd, const char *file, const char *text)
{
	cleanup(fdp) int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

int
cgroup_read(int dir_fd, const char *file, char *out, int room)
{
	cleanup(fdp) int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	*out = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, out, (size_t)room - 1);
	if (n < 0)
		return -errno;
	out[n] = '\0';
	return (int)n;
}

bool
cgroup_has_word(const char *text, const char *word)
{
	const size_t n = strlen(word);

	while (*text) {
		const size_t len = strcspn(text, " \n");

		if (len == n && memcmp(text, word, n) == 0)
			return true;
		text += len + (text[len] != '\0');
	}
	return false;
}

/* ---- removing ---- */

static int
remove_folder(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	if (type == FTW_DP)
		rmdir(path);
	return 0;
}

int
cgroup_remove(const char *path, int patience_ms)
{
	for (int wait_ms = FIRST_MS;; wait_ms *= wait_ms < NEXT_MAX_MS ? 2 : 1) {
		if (rmdir(path) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY && errno != ENOTEMPTY)
			return -errno;
		/* a job may have made groups of its own there */
		nftw(path, remove_folder, NFTW_FDS, FTW_DEPTH | FTW_PHYS);
		if (rmdir(path) == 0 || errno == ENOENT)
			return 0;
		if (patience_ms <= 0)
			return -errno;
		poll(NULL, 0, wait_ms);
		patience_ms -= wait_ms;
	}
}

static void
closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

void
cgroup_sweep(const struct cgroup *cg, const char *prefix)
{
	cleanup(closedirp) DIR *root = *cg->root ? opendir(cg->root) : NULL;
	char file[CGROUP_PATH_BYTES], path[2 * CGROUP_PATH_BYTES];
	const struct dirent *e;

	while (root && (e = readdir(root))) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(file, sizeof file, "%s/cgroup.kill", e->d_name);
		cgroup_write(dirfd(root), file, "1");
		snprintf(path, sizeof path, "%s/%s", cg->root, e->d_name);
		cgroup_remove(path, SWEEP_MS);
	}
}

/* ---- finding ---- */

/* The mount point of the one tree that is cgroup2, and what of the tree is there. A path
 * with a blank in it is written in another way, and not taken. */
static bool
find_mount(const char *mounts, char root[CGROUP_PATH_BYTES], char at[CGROUP_PATH_BYTES])
{
	for (const char *line = mounts; line && *line;) {
		const char *end = strchrnul(line, '\n');
		const char *type = strstr(line, " - cgroup2 ");

		/* "36 35 98:0 ROOT AT rw,... - TYPE ..." */
		if (type && type < end &&
			sscanf(line, "%*d %*d %*s %1023s %1023s", root, at) == 2)
			return !strchr(root, '\\') && !strchr(at, '\\');
		line = *end ? end + 1 : NULL;
	}
	return false;
}

int
cgroup_locate(const char *mounts, const char *membership, char out[CGROUP_PATH_BYTES])
{
	char root[CGROUP_PATH_BYTES], at[CGROUP_PATH_BYTES];
	const char *own = strncmp(membership, "0::", 3) == 0 ? membership + 3 : NULL;
	size_t root_len;
	int n;

	if (!own) {
		own = strstr(membership, "\n0::");
		own = own ? own + 4 : NULL;
	}
	if (!own || strncmp(own, "/..", 3) == 0 || !find_mount(mounts, root, at))
		return -ENOENT;
	root_len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(own, root, root_len) != 0 || !strchr("/\n", own[root_len]))
		return -ENOENT; /* above what is mounted, or beside it */
	own += root_len;
	n = snprintf(out, CGROUP_PATH_BYTES, "%s%.*s", at, (int)strcspn(own, "\n"), own);
	return n < CGROUP_PATH_BYTES ? 0 : -ENOENT;
}

static bool
has_mark(const char *path, const char *name)
{
	char value[2];

	return getxattr(path, name, value, sizeof value) == 1 && *value == '1';
}

static bool
is_marked(const char *path)
{
	return has_mark(path, "user.delegate") || has_mark(path, "trusted.delegate");
}

/* systemd before 251 marks it for root only; but it is the user's then. */
static bool
is_own(const char *path)
{
	struct stat st;

	return geteuid() != 0 && stat(path, &st) == 0 && st.st_uid == geteuid();
}

static bool
is_alone(int own_fd)
{
	char pids[SMALL_BYTES], self[BUF_INT_BYTES + 2];

	snprintf(self, sizeof self, "%d\n", (int)getpid());
	return cgroup_read(own_fd, "cgroup.procs", pids, sizeof pids) > 0 &&
	       strcmp(pids, self) == 0;
}

/* ---- taking ---- */

static void
refuse(struct cgroup *cg, const char *why)
{
	cgroup_close(cg);
	*cg->root = '\0';
	snprintf(cg->why, sizeof cg->why, "%s", why);
}

static void
refuse_for(struct cgroup *cg, const char *what, int r)
{
	char why[CGROUP_WHY_BYTES];

	snprintf(why, sizeof why, "%s: %s", what, strerror(-r));
	refuse(cg, why);
}

/* Make and enter the leaf for the daemon itself. */
static int
move_down(int root_fd)
{
	if (mkdirat(root_fd, DAEMON_LEAF, 0755) < 0 && errno != EEXIST)
		return -errno;
	return cgroup_write(root_fd, DAEMON_LEAF "/cgroup.procs", "0");
}

static bool
enable(int root_fd, const char *available, const char *controller)
{
	char text[CGROUP_NAME_BYTES];

	snprintf(text, sizeof text, "+%s", controller);
	return cgroup_has_word(available, controller) &&
	       cgroup_write(root_fd, "cgroup.subtree_control", text) == 0;
}

/* Run nothing in a leaf, to see that it works. */
static int
try_leaf(struct cgroup *cg)
{
	const struct handler_limits none = {0};
	struct leaf leaf = LEAF_NONE;
	int r = leaf_make(&leaf, cg, &none);
	pid_t pid;

	if (r < 0)
		return r;
	pid = leaf_fork(&leaf);
	cg->has_clone_into = pid >= 0;
	if (pid < 0)
		pid = fork();
	if (pid == 0)
		_exit(cg->has_clone_into ? 0 : -leaf_enter(&leaf));
	r = pid < 0 ? -errno : 0;
	if (pid > 0 && waitpid(pid, &r, 0) == pid)
		r = WIFEXITED(r) ? -WEXITSTATUS(r) : -ECHILD;
	leaf_remove(&leaf);
	return r;
}

/* Whose group is the root, @own or the one above? A group that systemd has made for the
 * daemon below the one that it marked is the user's, too, so the marks come first. */
static int
choose_root(struct cgroup *cg, const char *own, bool *ret_is_below)
{
	const char *slash = strrchr(own, '/');
	const bool is_own_marked = is_marked(own);

	snprintf(cg->root, sizeof cg->root, "%.*s", slash ? (int)(slash - own) : 0, own);
	*ret_is_below = !is_own_marked && *cg->root && is_marked(cg->root);
	if (*ret_is_below)
		return 0;
	snprintf(cg->root, sizeof cg->root, "%s", own);
	return is_own_marked || is_own(own) ? 0 : -EPERM;
}

static void
take_root(struct cgroup *cg, bool is_below)
{
	char available[SMALL_BYTES];
	int r;

	cg->lock_fd = open(cg->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cg->lock_fd < 0)
		return refuse_for(cg, "its control group cannot be opened", -errno);
	if (faccessat(cg->lock_fd, "cgroup.kill", F_OK, 0) < 0)
		return refuse(cg, "it needs cgroup.kill of Linux 5.14");
	if (flock(cg->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return refuse(cg, "another daemon uses its control group");
	if (!is_below && !is_alone(cg->lock_fd))
		return refuse(cg, "other processes are in its control group");
	r = is_below ? 0 : move_down(cg->lock_fd);
	if (r < 0)
		return refuse_for(cg, "cannot make a control group below its own", r);
	cgroup_sweep(cg, LEAF_PREFIX);
	cgroup_read(cg->lock_fd, "cgroup.controllers", available, sizeof available);
	cg->has_memory = enable(cg->lock_fd, available, "memory");
	cg->has_pids = enable(cg->lock_fd, available, "pids");
	r = try_leaf(cg);
	if (r < 0)
		refuse_for(cg, "cannot run a process in a control group", r);
}

void
cgroup_take_at(struct cgroup *ret, const char *own)
{
	bool is_below;

	*ret = (struct cgroup){.lock_fd = -1};
	if (choose_root(ret, own, &is_below) < 0)
		refuse(ret, "its control group is not delegated (Delegate= of systemd)");
	else
		take_root(ret, is_below);
}

/* The whole of a file of /proc. */
static bool
slurp(const char *path, struct buf *b)
{
	cleanup(fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	char *room;

	while (fd >= 0 && (room = buf_room(b, SMALL_BYTES)) &&
		(n = read(fd, room, SMALL_BYTES)) > 0)
		b->len += (size_t)n;
	buf_char(b, '\0');
	return n == 0 && !b->failed;
}

void
cgroup_take(struct cgroup *ret)
{
	cleanup(buf_fini) struct buf mounts = {0}, membership = {0};
	char own[CGROUP_PATH_BYTES];

	*ret = (struct cgroup){.lock_fd = -1};
	if (!slurp("/proc/self/mountinfo", &mounts) ||
		!slurp("/proc/self/cgroup", &membership) ||
		cgroup_locate(mounts.data, membership.data, own) < 0)
		return refuse(ret, "there is no cgroup v2 that it can see");
	cgroup_take_at(ret, own);
}

void
cgroup_close(struct cgroup *cg)
{
	close_fd(&cg->lock_fd);
}
