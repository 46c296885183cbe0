/*
 * fdpass.h - messages that carry descriptors, over SOCK_SEQPACKET
 */
#ifndef HANDLER_FDPASS_H
#define HANDLER_FDPASS_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { FDPASS_MAX = 5 }; /* descriptors in one message */

/* Send one message; the descriptors stay the caller's. Never raises SIGPIPE.
 * Blocks while the socket is full. Return: 0 or -errno. */
int fdpass_send(int sock, const void *head, size_t head_bytes, const void *body,
	size_t body_bytes, const int *fds, size_t fd_count);

/**
 * fdpass_recv() - receive one message
 * @fds, @ret_fd_count: the descriptors, close-on-exec, the caller's from here on
 *
 * Blocks until there is one. Return: its bytes, head and body together; 0 at the end
 * of file (also when it was a reset: the peer went without reading all); -errno.
 */
ssize_t fdpass_recv(int sock, void *head, size_t head_bytes, void *body,
	size_t body_bytes, int fds[static FDPASS_MAX], size_t *ret_fd_count);

#endif
