/*
 * keeping.c - talks to a keeper; see keeping.h
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "daemon/handler/fdpass.h"
#include "daemon/handler/keeping.h"
#include "lib/base/cleanup.h"

static int
send_start(int keeper_fd, const struct keeper_msg *msg, const struct buf *block,
	const int *fds, size_t fd_count)
{
	size_t n = block->len < KEEPER_CHUNK_BYTES ? block->len : KEEPER_CHUNK_BYTES;
	int r = fdpass_send(keeper_fd, msg, sizeof *msg, block->data, n, fds, fd_count);

	for (size_t at = n; r == 0 && at < block->len; at += n) {
		n = block->len - at;
		if (n > KEEPER_CHUNK_BYTES)
			n = KEEPER_CHUNK_BYTES;
		r = fdpass_send(keeper_fd, block->data + at, n, NULL, 0, NULL, 0);
	}
	return r;
}

int
keeping_start(struct zygote *zygote, int *keeper_fd, const struct keeper_msg *msg,
	const struct buf *block, const int *fds, size_t fd_count, struct stint_err *err)
{
	int r;

	if (*keeper_fd >= 0) {
		if (send_start(*keeper_fd, msg, block, fds, fd_count) == 0)
			return 0;
		close_fd(keeper_fd); /* it was lost since the last job */
	}
	r = zygote_fork_keeper(zygote, keeper_fd, err);
	if (r < 0)
		return r;
	r = send_start(*keeper_fd, msg, block, fds, fd_count);
	if (r < 0) {
		close_fd(keeper_fd);
		stint_err_set(err, r, "its supervisor was lost: %s", strerror(-r));
	}
	return r;
}

void
keeping_tell(int keeper_fd, enum keeper_verb verb, int64_t grace_ms)
{
	struct keeper_msg msg = {.verb = verb, .grace_ms = grace_ms};

	fdpass_send(keeper_fd, &msg, sizeof msg, NULL, 0, NULL, 0);
}

int
keeping_reply(int *keeper_fd, struct keeper_reply *ret)
{
	if (recv(*keeper_fd, ret, sizeof *ret, 0) == (ssize_t)sizeof *ret)
		return 0;
	close_fd(keeper_fd); /* the next job gets a new one */
	return -EPIPE;
}
