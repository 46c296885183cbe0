/*
 * notify.h - what the service manager is told, see sd_notify(3)
 *
 *	notify_ready("16 workers");
 *	notify_status("3 running, 120 done");
 *	notify_stopping("waiting for 3 jobs");
 *
 * Without NOTIFY_SOCKET (not under systemd) all of it does nothing. A message that
 * cannot be sent is logged, once until one gets through again, and otherwise
 * forgotten: no job fails because of it. Thread: the loop's.
 */
#ifndef OBS_NOTIFY_H
#define OBS_NOTIFY_H

#include <stdint.h>
#include <stint/api.h>

/* Assignments as sd_notify(3) has them, with a new line between two; "WATCHDOG=1".
 * Not for text from outside, which may hold new lines: that is notify_status()'s. */
void notify_send(const char *fmt, ...) STINT_PRINTF(1, 2);

/* Start-up or a reload is done: READY=1, and STATUS= unless @status is NULL. */
void notify_ready(const char *status);

/* A reload begins; it ends with notify_ready(), also when the old configuration
 * stays. RELOADING=1 with MONOTONIC_USEC=, which Type=notify-reload insists on. */
void notify_reloading(void);

/* The daemon drains: STOPPING=1, and STATUS= unless @status is NULL. */
void notify_stopping(const char *status);

/* One line for `systemctl status`; control characters become blanks. */
void notify_status(const char *status);

/* Starting, reloading or stopping goes on: do not give up before @ms from now. To be
 * repeated before that time has passed. */
void notify_extend_ms(int64_t ms);

#endif
