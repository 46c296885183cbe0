/*
 * file.c - a small file, whole
 *
 * Read until there is one byte too much, whatever fstat(2) says: a pipe has no
 * size, and a file may grow while it is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/config/file.h"
#include "lib/base/cleanup.h"

int
file_read(const char *path, size_t max_bytes, struct buf *out, int64_t *ret_bytes)
{
	cleanup(fdp) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!buf_room(out, max_bytes + 1))
		return -ENOMEM;
	do {
		n = read(fd, out->data + out->len, max_bytes + 1 - out->len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			out->len += (size_t)n;
	} while (n != 0 && out->len <= max_bytes);
	if (out->len <= max_bytes)
		return 0;
	*ret_bytes = S_ISREG(st.st_mode) ? st.st_size : 0;
	return -EFBIG;
}
