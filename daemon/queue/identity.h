/*
 * identity.h - the consumer name of a run of the daemon, and whether its process is gone
 *
 *	HOST-PID-BOOT-START        web3-4711-5f0c9a31-2c8e41
 *
 * BOOT stands for this boot of this host and the process and time namespaces, in which
 * PID and START count; START is when the process was started, in clock ticks since boot.
 * All but HOST is decimal (PID) or lower-case hex. Pids are used again, but no two
 * processes have the same PID and START. So another daemon of the same host can tell for
 * sure that the process behind a name does not run any more, and take over its jobs
 * without waiting for their leases to end. Thread: any.
 */
#ifndef QUEUE_IDENTITY_H
#define QUEUE_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

enum {
	IDENTITY_HOST_MAX = 64, /* what is longer is cut: as gethostname() gives it */
	IDENTITY_BYTES = IDENTITY_HOST_MAX + 48,
};

/**
 * identity_make() - the name of a process of this host
 * @host: any text; it may have dashes
 * @pid:  getpid()
 *
 * Where /proc cannot be read, BOOT is "0" and START random: nobody will prove that such
 * a process is gone.
 */
void identity_make(char out[IDENTITY_BYTES], const char *host, pid_t pid);

/**
 * identity_is_gone() - is the process behind another name provably not running
 * @mine:  of the calling process
 * @other: any consumer name
 *
 * Return: true only when @other is of the same host, boot and namespaces as @mine, and
 * there is no such process, or it was started at another time, or only its exit status
 * is left (a zombie without threads). Whatever is not certain is false.
 */
bool identity_is_gone(const char *mine, const char *other);

#endif
