/*
 * fdpass.c - messages that carry descriptors; see fdpass.h and unix(7), SCM_RIGHTS
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include "daemon/handler/fdpass.h"

/* Control data wants the alignment of its header. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
};

int
fdpass_send(int sock, const void *head, size_t head_bytes, const void *body,
	size_t body_bytes, const int *fds, size_t fd_count)
{
	struct iovec iov[2] = {
		{(void *)(uintptr_t)head, head_bytes},
		{(void *)(uintptr_t)body, body_bytes},
	};
	union control control = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (fd_count > 0) {
		struct cmsghdr *c = &control.align;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof *fds);
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof *fds);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof *fds);
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

ssize_t
fdpass_recv(int sock, void *head, size_t head_bytes, void *body, size_t body_bytes,
	int fds[static FDPASS_MAX], size_t *ret_fd_count)
{
	struct iovec iov[2] = {{head, head_bytes}, {body, body_bytes}};
	union control control = {0};
	struct msghdr msg = {.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	const struct cmsghdr *c;
	ssize_t n;

	*ret_fd_count = 0;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS) {
		*ret_fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
		memcpy(fds, CMSG_DATA(c), *ret_fd_count * sizeof *fds);
	}
	return n;
}
