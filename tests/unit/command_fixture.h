/*
 * command_fixture.h - what the tests of daemon/handler share: a zygote, and attempts at
 * jobs whose handler is a shell script
 */
#ifndef TEST_COMMAND_FIXTURE_H
#define TEST_COMMAND_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/handler/handler.h"
#include "daemon/handler/zygote.h"

enum { PATIENCE_MS = 20000 }; /* for a condition that must come true, on a busy host */

struct attempt {
	struct handler_conf conf;
	char *argv[4];
	char *environment[3];
	char dir_entry[64]; /* "D=" and a folder for the script's files */
	struct job *job;
	struct handler_call call;
	struct stint_ctx *ctx;
	struct outcome out;
};

static const struct cgroup no_groups = {.lock_fd = -1};
static struct zygote *zygote;
static struct handler_slot *slot;
static char dir[] = "/tmp/stint-handler-XXXXXX";

/* An attempt at running @script; fields are those of the job beside its handler. */
static inline void
attempt_init(
	struct attempt *a, const char *script, const struct bytes *fields, size_t count)
{
	struct bytes all[32] = {{"handler", 7}, {"h", 1}};

	memset(a, 0, sizeof *a);
	assert_true(count <= 30);
	if (count > 0)
		memcpy(all + 2, fields, count * sizeof *fields);
	snprintf(a->dir_entry, sizeof a->dir_entry, "D=%s", dir);
	a->environment[0] = a->dir_entry;
	a->argv[0] = (char *)(uintptr_t) "/bin/sh";
	a->argv[1] = (char *)(uintptr_t) "-c";
	a->argv[2] = (char *)(uintptr_t)script;
	a->conf = (struct handler_conf){.name = (char *)(uintptr_t) "h",
		.argv = a->argv,
		.environment = a->environment,
		.timeout_ms = PATIENCE_MS,
		.kill_grace_ms = PATIENCE_MS,
		.output_limit_bytes = 1 << 20};
	a->job = job_new("1-0", all, count + 2);
	assert_non_null(a->job);
	assert_string_equal(a->job->fault, "");
	a->call = (struct handler_call){.conf = &a->conf, .job = a->job, .queue = "q"};
	outcome_init(&a->out);
}

static inline void
attempt_fini(struct attempt *a)
{
	outcome_fini(&a->out);
	stint_ctx_free(a->ctx);
	free(a->job);
}

/* Run it in @in, with the time-out that its conf says. */
static inline void
attempt_run_in(struct attempt *a, struct handler_slot *in)
{
	if (!a->ctx)
		assert_int_equal(stint_ctx_with_timeout(stint_ctx_background(),
					 a->conf.timeout_ms, &a->ctx),
			0);
	if (a->call.budget_ms == 0)
		a->call.budget_ms = a->conf.timeout_ms;
	handler_run(a->ctx, in, &a->call, &a->out);
}

static inline void
attempt_run(struct attempt *a)
{
	attempt_run_in(a, slot);
}

static inline void
run_script(struct attempt *a, const char *script)
{
	attempt_init(a, script, NULL, 0);
	attempt_run(a);
}

static inline void
assert_outcome(struct attempt *a, enum job_status status, const char *error)
{
	if (a->out.status != status)
		print_error("status %s, error \"%s\"\n", job_status_name(a->out.status),
			a->out.error);
	assert_int_equal(a->out.status, status);
	assert_string_equal(a->out.error, error);
}

static inline void
assert_output(struct attempt *a, const char *expected)
{
	assert_string_equal(buf_cstr(&a->out.output), expected);
}

static inline bool
is_gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

/* Every process whose number stands on a line of the output is gone, now. */
static inline void
assert_all_gone(struct attempt *a, int expected_count)
{
	char *at = NULL;
	int count = 0;

	buf_cstr(&a->out.output);
	for (char *s = strtok_r(a->out.output.data, "\n", &at); s;
		s = strtok_r(NULL, "\n", &at), count++)
		assert_true(is_gone((pid_t)atoi(s)));
	assert_int_equal(count, expected_count);
}

static inline const char *
file_in_dir(char out[static 64], const char *name)
{
	snprintf(out, 64, "%s/%s", dir, name);
	return out;
}

/* Wait until the script has made a file. */
static inline void
wait_for_file(const char *name)
{
	int64_t give_up_at_ms = stint_at_ms(PATIENCE_MS);
	char path[64];

	file_in_dir(path, name);
	while (access(path, F_OK) < 0 && stint_now_ms() < give_up_at_ms)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	assert_int_equal(access(path, F_OK), 0);
}

static inline int
remove_dir(void)
{
	char cmd[96];

	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	return system(cmd); /* NOLINT(cert-env33-c): a name that we made */
}

static inline int
setup_zygote(void **state)
{
	struct stint_err err;

	(void)state;
	if (!mkdtemp(dir) || zygote_start(&no_groups, &zygote, &err) < 0)
		return -1;
	return handler_slot_new(zygote, &slot);
}

static inline int
teardown_zygote(void **state)
{
	(void)state;
	handler_slot_free(slot);
	zygote_stop(zygote);
	return remove_dir();
}

#endif
