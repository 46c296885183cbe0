/*
 * ctl.h - what the commands of stintctl share
 *
 * main.c reads all options into one struct, then runs one command, which prints
 * its own errors and returns the exit code of the process.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stint/err.h>
#include <sysexits.h>
#include "lib/wire/job.h"

/* Beside these: EX_USAGE 64, EX_UNAVAILABLE 69 (Redis), EX_OSERR 71 (no memory),
 * EX_IOERR 74 (standard input or output), EX_TEMPFAIL 75 (time-out), EX_CONFIG 78. */
enum { EXIT_OK = 0, EXIT_JOB_FAILED = 1, EXIT_NONE = 3 };

enum { CTL_QUEUES_MAX = 64 };

/* NULL: not given. Texts are arguments of the process; redis is a copy, as the argument
 * is masked. */
struct ctl_opts {
	char *redis;
	const char *config;
	const char *prefix;
	bool is_json;
	const char *queue;                  /* the last that was given, never NULL */
	const char *queues[CTL_QUEUES_MAX]; /* all of them */
	size_t queue_count;                 /* 0: none was given */
	bool is_all;
	const char *limit;
	const char *id;
	const char *delay;
	const char *at;
	const char *timeout;
	const char *deadline;
	const char *retries;
	const char *reply_to;
	const char *traceparent;
	struct job_x_field x[JOB_X_FIELDS_MAX];
	size_t x_count;
	bool is_waiting; /* --wait */
	const char *wait_timeout;
};

struct ctl_command {
	const char *name;  /* one word, or two */
	const char *takes; /* codes of the options it has beside the common ones */
	int min_args, max_args;
	const char *help;
	int (*run)(const struct ctl_opts *o, char **args, int count);
};

extern const struct ctl_command cmd_submit, cmd_result, cmd_wait, cmd_cancel, cmd_queues,
	cmd_pause, cmd_resume, cmd_dead, cmd_dead_list, cmd_dead_show, cmd_dead_retry,
	cmd_dead_drop;

/* Print "stintctl: ..." as one line and return @code. */
int ctl_say(int code, const char *fmt, ...) STINT_PRINTF(2, 3);

/* Print what the client said and what can be done about it; its exit code. */
int ctl_fail(const struct stint_err *err);

/* A time span that was given with @option; STINT_NEVER for NULL. 0 or EX_USAGE. */
int ctl_span(const char *option, const char *span, int64_t *ret_ms);

/* An id given by people. 0 or EX_USAGE. */
int ctl_check_id(const char *id);

#endif
