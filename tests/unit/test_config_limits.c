/*
 * test_config_limits.c - limits, user and group of handlers
 *
 * Who else a handler can be is in tests/integration/test_limits.py, which may have the
 * rights for that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/config/config.h"
#include "lib/base/cleanup.h"
#include "tests/unit/config_fixture.h"

/* The account of a handler with these keys. */
static struct config *
config_with(const char *keys)
{
	char text[256];

	snprintf(text, sizeof text, "handlers: { h: { command: [\"true\"]%s } }", keys);
	return config_of(text);
}

static const struct handler_account *
account_of(const struct config *c)
{
	const struct handler_conf *h = config_handler(c, "h", 1);

	assert_non_null(h);
	return &h->account;
}

static void
assert_limits(const struct config *c, const char *name, struct handler_limits expected)
{
	const struct handler_conf *h = config_handler(c, name, strlen(name));

	assert_non_null(h);
	assert_int_equal(h->limits.memory_bytes, expected.memory_bytes);
	assert_int_equal(h->limits.cpu_ms, expected.cpu_ms);
	assert_int_equal(h->limits.files, expected.files);
	assert_int_equal(h->limits.processes, expected.processes);
}

static void
there_are_no_limits_by_default(void **state)
{
	cleanup(configp) struct config *c = config_with("");

	(void)state;
	assert_limits(c, "h", (struct handler_limits){0});
}

static void
every_limit_is_taken(void **state)
{
	cleanup(configp) struct config *c = config_with(
		", limits: { memory: 3GiB, cpu: 1.5, files: 8, processes: 9 }");

	(void)state;
	assert_limits(c, "h", (struct handler_limits){INT64_C(3) << 30, 1500, 8, 9});
}

static void
a_handler_overrides_the_defaults_one_by_one(void **state)
{
	cleanup(configp) struct config *c = config_of(
		"handlers:\n"
		"  own: { command: [\"true\"], limits: { files: none, cpu: 2s } }\n"
		"  same: { command: [\"true\"] }\n"
		"defaults: { limits: { memory: 1MiB, files: 100, processes: 5 } }\n");

	(void)state;
	assert_limits(c, "own", (struct handler_limits){1 << 20, 2000, 0, 5});
	assert_limits(c, "same", (struct handler_limits){1 << 20, 0, 100, 5});
}

/* The daemon's own user and group, which need no rights. */
static void
an_account_is_looked_up_and_brings_its_variables(void **state)
{
	char keys[128], uid[32];

	snprintf(uid, sizeof uid, "%u", (unsigned)geteuid());
	snprintf(keys, sizeof keys, ", user: \"%s\", group: \"%u\"", uid,
		(unsigned)getegid());
	cleanup(configp) struct config *c = config_with(keys);
	const struct handler_account *a = account_of(c);

	(void)state;
	assert_string_equal(a->user, uid);
	assert_int_equal(a->uid, geteuid());
	assert_int_equal(a->gid, getegid());
	assert_false(a->is_other);
	assert_true(a->group_count >= 1);
	assert_memory_equal(a->environment[0], "HOME=", 5);
	assert_memory_equal(a->environment[1], "USER=", 5);
	assert_memory_equal(a->environment[2], "LOGNAME=", 8);
	assert_memory_equal(a->environment[3], "SHELL=", 6);
	assert_null(a->environment[4]);
}

static void
a_group_alone_is_the_only_one_and_brings_no_variables(void **state)
{
	char keys[128];

	snprintf(keys, sizeof keys, ", group: %u", (unsigned)getegid());
	cleanup(configp) struct config *c = config_with(keys);
	const struct handler_account *a = account_of(c);

	(void)state;
	assert_null(a->user);
	assert_int_equal(a->gid, getegid());
	assert_int_equal(a->group_count, 1);
	assert_int_equal(a->groups[0], getegid());
	assert_null(a->environment);
}

static void
without_the_keys_it_is_the_daemons(void **state)
{
	cleanup(configp) struct config *c = config_with("");
	const struct handler_account *a = account_of(c);

	(void)state;
	assert_false(a->is_other);
	assert_null(a->user);
	assert_null(a->group);
	assert_null(a->environment);
	assert_int_equal(a->group_count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_are_no_limits_by_default),
		cmocka_unit_test(every_limit_is_taken),
		cmocka_unit_test(a_handler_overrides_the_defaults_one_by_one),
		cmocka_unit_test(an_account_is_looked_up_and_brings_its_variables),
		cmocka_unit_test(a_group_alone_is_the_only_one_and_brings_no_variables),
		cmocka_unit_test(without_the_keys_it_is_the_daemons),
	};

	return cmocka_run_group_tests_name("config limits", tests, NULL, NULL);
}
