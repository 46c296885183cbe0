/*
 * config_fixture.h - configurations from texts, for the tests of daemon/config
 */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "daemon/config/config.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

enum { PATH_BYTES = 256, TEXT_BYTES = 1024 };

static inline void
configp(struct config **c)
{
	config_unref(*c);
}

/* @text as stint.yaml, without faults. */
static inline struct config *
config_of(const char *text)
{
	cleanup(buf_fini) struct buf faults = {0};
	struct config *c = NULL;

	if (config_load("stint.yaml", text, &c, &faults) != 0)
		fail_msg("%s\ngives faults:\n%s", text, buf_cstr(&faults));
	assert_int_equal(faults.len, 0);
	return c;
}

/* @text as stint.yaml is refused with exactly these lines; each has "stint.yaml:" in
 * front, which @expected leaves out. */
static inline void
assert_faults(const char *text, const char *expected)
{
	cleanup(buf_fini) struct buf faults = {0}, whole = {0};
	cleanup(configp) struct config *c = NULL;

	if (config_load("stint.yaml", text, &c, &faults) != -EINVAL)
		fail_msg("%s\nis taken", text);
	assert_null(c);
	for (const char *end; (end = strchr(expected, '\n')); expected = end + 1)
		buf_fmt(&whole, "stint.yaml:%.*s", (int)(end + 1 - expected), expected);
	if (strcmp(buf_cstr(&faults), buf_cstr(&whole)) != 0)
		fail_msg("%s\ngives:\n%snot:\n%s", text, buf_cstr(&faults),
			buf_cstr(&whole));
}

struct fault_case {
	const char *text;
	const char *faults;
};

static inline void
assert_cases(const struct fault_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_faults(cases[i].text, cases[i].faults);
}

/* A folder for the test's own files; state is its path. */
static inline int
make_folder(void **state)
{
	char *path = strdup("/tmp/stint-config-XXXXXX");

	*state = path;
	return path && mkdtemp(path) ? 0 : -1;
}

static inline int
remove_folder(void **state)
{
	char command[PATH_BYTES];

	snprintf(command, sizeof command, "rm -r %s", (char *)*state);
	free(*state);
	return system(command);
}

/* Put a file into the folder; its path goes to @path. */
static inline void
write_file(const char *folder, const char *name, const void *data, size_t n,
	char path[PATH_BYTES])
{
	cleanup(fclosep) FILE *f = NULL;

	snprintf(path, PATH_BYTES, "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
}

#endif
