/*
 * identity.c - names of processes that tell whether they still run
 *
 * A pid says nothing on another host, after a reboot or in another container, so all of
 * these are in BOOT. Numbers of namespaces are used again, but only when the old
 * namespace is gone, and every process in it; so a match is never a living stranger.
 */
#include "daemon/queue/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <stint/clock.h>
#include "lib/base/cleanup.h"

#define NO_BOOT "0"

enum {
	STAT_BYTES = 1024, /* /proc/PID/stat: 52 numbers and a name of 15 */
	PATH_BYTES = 32,
	BOOT_ID_BYTES = 37, /* a UUID and a NUL */
};

struct stat_line {
	char state;
	long threads;
	uint64_t start;
};

struct identity {
	size_t host_len;
	pid_t pid;
	const char *boot; /* up to the next dash */
	size_t boot_len;
	uint64_t start;
};

/* ---- /proc ---- */

/* Read a small file as text; how many bytes, or -errno. */
static ssize_t
read_text(const char *path, char *out, size_t size)
{
	cleanup(fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, size - 1);
	if (n < 0)
		return -errno;
	out[n] = '\0';
	return n;
}

/* Source: proc(5), /proc/pid/stat: fields 3, 20 and 22. */
static int
read_stat(pid_t pid, struct stat_line *ret)
{
	char path[PATH_BYTES], text[STAT_BYTES] = "";
	const char *rest;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	n = read_text(path, text, sizeof text);
	if (n < 0)
		return (int)n;
	/* the name, in parentheses, may have any bytes, also these */
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest, /* NOLINT(cert-err34-c): the kernel's numbers fit */
			     ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			     "%*s %*s %*s %ld %*s %" SCNu64,
			     &ret->state, &ret->threads, &ret->start) != 3)
		return -EPROTO;
	return 0;
}

/* Is /proc that of our own pid namespace? A container may see its host's. */
static bool
has_own_proc(void)
{
	char self[PATH_BYTES], pid[PATH_BYTES];
	const ssize_t n = readlink("/proc/self", self, sizeof self - 1);

	if (n < 0)
		return false;
	self[n] = '\0';
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	return !strcmp(self, pid);
}

/* FNV-1a */
static uint32_t
hash_more(uint32_t hash, const void *p, size_t n)
{
	const unsigned char *byte = p;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ byte[i]) * UINT32_C(16777619);
	return hash;
}

static int
hash_boot(uint32_t *ret)
{
	/* START counts from the boot as the time namespace has it (Linux 5.6) */
	static const char *const namespaces[] = {
		"/proc/self/ns/pid", "/proc/self/ns/time"};
	char boot_id[BOOT_ID_BYTES] = "";
	const ssize_t n =
		read_text("/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id);
	uint32_t hash = UINT32_C(2166136261);
	struct stat st;

	if (n <= 0)
		return -ENOENT;
	hash = hash_more(hash, boot_id, (size_t)n);
	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
		const uint64_t number = stat(namespaces[i], &st) == 0 ? st.st_ino : 0;

		hash = hash_more(hash, &number, sizeof number);
	}
	*ret = hash;
	return 0;
}

/* ---- names ---- */

void
identity_make(char out[IDENTITY_BYTES], const char *host, pid_t pid)
{
	/* the clock is unique enough where there are no random bytes */
	uint64_t start = (uint64_t)stint_now_us();
	struct stat_line line;
	char boot[16] = NO_BOOT;
	uint32_t hash;

	if (has_own_proc() && hash_boot(&hash) == 0 && read_stat(pid, &line) == 0) {
		snprintf(boot, sizeof boot, "%08" PRIx32, hash);
		start = line.start;
	} else if (getrandom(&start, sizeof start, GRND_NONBLOCK) < 0) {
		start = (uint64_t)stint_now_us();
	}
	snprintf(out, IDENTITY_BYTES, "%.*s-%d-%s-%" PRIx64, IDENTITY_HOST_MAX, host,
		(int)pid, boot, start);
}

/* The last part of @name[0..*len), which a dash divides from the rest; NULL: none. */
static const char *
cut_part(const char *name, size_t *len)
{
	const char *dash = memrchr(name, '-', *len);

	if (!dash)
		return NULL;
	*len = (size_t)(dash - name);
	return dash + 1;
}

static bool
parse(const char *name, struct identity *ret)
{
	size_t len = strlen(name);
	const char *start = cut_part(name, &len);
	const char *boot = start ? cut_part(name, &len) : NULL;
	const char *pid = boot ? cut_part(name, &len) : NULL;
	char *start_end, *pid_end;
	long pid_number;

	if (!pid || *pid < '1' || *pid > '9')
		return false;
	errno = 0;
	pid_number = strtol(pid, &pid_end, 10);
	*ret = (struct identity){.host_len = len,
		.pid = (pid_t)pid_number,
		.boot = boot,
		.boot_len = (size_t)(start - 1 - boot),
		.start = strtoull(start, &start_end, 16)};
	return errno == 0 && pid_number <= INT32_MAX && *pid_end == '-' && *start &&
	       *start_end == '\0';
}

static bool
is_same_place(const char *mine, const struct identity *a, const char *other,
	const struct identity *b)
{
	return a->host_len == b->host_len && !memcmp(mine, other, a->host_len) &&
	       a->boot_len == b->boot_len && !memcmp(a->boot, b->boot, a->boot_len) &&
	       !(a->boot_len == strlen(NO_BOOT) &&
		       !memcmp(a->boot, NO_BOOT, a->boot_len));
}

bool
identity_is_gone(const char *mine, const char *other)
{
	struct identity a, b;
	struct stat_line line;

	if (!parse(mine, &a) || !parse(other, &b) || !is_same_place(mine, &a, other, &b))
		return false;
	/* asked of the kernel and not of /proc, which may hide strangers' processes */
	if (kill(b.pid, 0) < 0)
		return errno == ESRCH;
	if (!has_own_proc() || read_stat(b.pid, &line) < 0)
		return false;
	/* threads: those besides the first one may go on when that has ended */
	return line.start != b.start || (line.state == 'Z' && line.threads <= 1);
}
