/*
 * notify.c - what the service manager is told
 *
 * The protocol is lines of NAME=value in one datagram, so a new line inside a value
 * would be an assignment of its own: status texts are made one line here.
 *
 * Not by sd_notify(3): it waits for room in the manager's socket for as long as that
 * takes, and here waits the loop. A busy manager is waited for, but only so long; one
 * that did not listen is not waited for again until it does.
 */
#include "daemon/obs/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "lib/base/cleanup.h"

enum {
	STATUS_BYTES = 512, /* far more than `systemctl status` shows in a line */
	MESSAGE_BYTES = STATUS_BYTES + 64, /* a status and the assignments beside it */
	WAIT_S = 1, /* for a manager that is busy, as while it reloads itself */
};

static bool is_failing; /* the last message could not be sent */

static int
send_message(const char *message)
{
	const struct timeval wait = {.tv_sec = WAIT_S};
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const size_t len = path ? strlen(path) : 0;
	cleanup(fdp) int fd = -1;

	if (len == 0)
		return 0;
	if ((*path != '/' && *path != '@') || len >= sizeof to.sun_path)
		return -EAFNOSUPPORT;
	memcpy(to.sun_path, path, len);
	if (*path == '@')
		to.sun_path[0] = '\0'; /* an abstract one */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) < 0)
		return -errno;
	if (sendto(fd, message, strlen(message),
		    MSG_NOSIGNAL | (is_failing ? MSG_DONTWAIT : 0),
		    (struct sockaddr *)&to,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	return 0;
}

/* A watchdog repeats itself every few seconds, its failure need not. */
static void
log_change(int r)
{
	if (r < 0 && !is_failing)
		log_warn("service manager cannot be told, going on",
			F_STR("why", strerror(-r)));
	is_failing = r < 0;
}

void
notify_send(const char *fmt, ...)
{
	char message[MESSAGE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	log_change(send_message(message));
}

/* @assignment, then the status as one line; one that is too long loses its end. */
static void
send_with_status(const char *assignment, const char *status)
{
	char line[STATUS_BYTES];

	if (!status) {
		notify_send("%s", assignment);
		return;
	}
	snprintf(line, sizeof line, "%s", status);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	notify_send("%s%sSTATUS=%s", assignment, *assignment ? "\n" : "", line);
}

void
notify_ready(const char *status)
{
	send_with_status("READY=1", status);
}

void
notify_reloading(void)
{
	notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRId64, stint_now_us());
}

void
notify_stopping(const char *status)
{
	send_with_status("STOPPING=1", status);
}

void
notify_status(const char *status)
{
	send_with_status("", status);
}

void
notify_extend_ms(int64_t ms)
{
	notify_send("EXTEND_TIMEOUT_USEC=%" PRId64, ms * 1000);
}
