/*
 * children.h - a process and those directly below it
 */
#ifndef HANDLER_CHILDREN_H
#define HANDLER_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

/* Is this child to be left alone? */
typedef bool (*children_spared_fn)(const void *arg, pid_t pid, pid_t pgid);

/**
 * children_signal() - send a signal to every child of this process, and to its group
 * @is_spared: NULL: none is
 *
 * Children that have ended but are not reaped count, too: 0 says that there was no
 * child but the spared ones. A child in our own group gets the signal alone. Callers
 * are single-threaded and reap themselves, so no number can be reused meanwhile.
 * Blocks: while it reads /proc. Return: how many; -errno when /proc cannot be read.
 */
int children_signal(int sig, children_spared_fn is_spared, const void *arg);

/**
 * children_guard() - make this process one that looks after its descendants
 * @name: what ps(1) shows
 * @fd:   the one descriptor that stays open beside 0, 1 and 2
 *
 * It becomes a subreaper: orphans below it become its children. SIGCHLD is blocked
 * already. Return: a signalfd (non-blocking) for SIGCHLD, or -errno.
 */
int children_guard(const char *name, int fd);

/* Wait until a child has changed its state, at most @timeout_ms. */
void children_wait(int signal_fd, int timeout_ms);

/* Empty the signalfd: what is reaped afterwards needs no further notice. */
void children_noticed(int signal_fd);

#endif
