/*
 * notify.c - what the service manager is told
 *
 * The protocol is lines of NAME=value in one datagram, so a new line inside a value
 * would be an assignment of its own: status texts are made one line here.
 */
#include "daemon/obs/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"

enum {
	STATUS_BYTES = 512, /* far more than `systemctl status` shows in a line */
	MESSAGE_BYTES = STATUS_BYTES + 64, /* a status and the assignments beside it */
};

/* A watchdog repeats itself every few seconds, its failure need not. */
static void
log_change(int r)
{
	static bool is_failing;

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
	log_change(sd_notify(false, message));
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
