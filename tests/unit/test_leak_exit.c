/*
 * test_leak_exit.c - the leak check seen from outside: the report at exit that the
 * environment asks for, and tests that fail because they left something
 *
 * The program runs itself, with a word for what it is to do.
 */
#include "tests/unit/conc_util.h"

#include <limits.h>
#include <sys/wait.h>

/* Run this program again as `@what`, with STINT_DEBUG, and read what it says. */
static char *
run_and_read(const char *debug, const char *what, int *ret_status)
{
	char command[PATH_MAX + 64], *text = calloc(1, PATH_MAX), self[PATH_MAX] = "";
	size_t used;
	FILE *pipe;

	assert_non_null(text);
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(command, sizeof(command), "STINT_DEBUG=%s '%s' %s 2>&1", debug, self,
		what);
	pipe = popen(command, "re"); /* NOLINT(cert-env33-c): the shell sets the words */
	assert_non_null(pipe);
	used = fread(text, 1, PATH_MAX - 1, pipe);
	text[used] = '\0';
	*ret_status = pclose(pipe);
	return text;
}

static int
leave(void)
{
	static struct stint_ctx *early, *late; /* still reachable at exit */
	int r = stint_ctx_with_cancel_at(BACKGROUND, &early, "early.c:1");

	stint_leak_watch();
	if (r == 0)
		r = stint_ctx_with_cancel_at(BACKGROUND, &late, "late.c:2");
	return r < 0 ? 1 : 7;
}

/* A child that ends with what its parent has made, and frees. */
static int
fork_and_free(void)
{
	struct stint_ctx *ctx;
	int status = 0, r = stint_ctx_with_cancel_at(BACKGROUND, &ctx, "early.c:1");
	pid_t child = fork();

	if (child == 0)
		exit(0);
	if (r < 0 || child < 0 || waitpid(child, &status, 0) < 0)
		return 1;
	stint_ctx_free(ctx);
	return WIFEXITED(status) ? 7 : 1;
}

#define KNOWN ", there are \"leaks\" and \"deadlock\"\n"

static void
environment_asks_for_a_report_at_exit(void **state)
{
	static const struct {
		const char *debug, *what, *want;
	} rows[] = {
		{"leaks", "leave",
			"leak: context made at early.c:1\n"
			"leak: context made at late.c:2\n"},
		{",deadlock,,leaks", "leave",
			"leak: context made at early.c:1\n"
			"leak: context made at late.c:2\n"},
		{"other,leaks", "leave",
			"stint: STINT_DEBUG: \"other\" is unknown" KNOWN
			"leak: context made at early.c:1\n"
			"leak: context made at late.c:2\n"},
		{"", "leave", ""},
		{"leaksome,leak", "leave",
			"stint: STINT_DEBUG: \"leaksome\" is unknown" KNOWN
			"stint: STINT_DEBUG: \"leak\" is unknown" KNOWN},
		{"leaks", "fork", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int status = 0;
		char *text = run_and_read(rows[i].debug, rows[i].what, &status);

		assert_string_equal(text, rows[i].want);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 7);
		free(text);
	}
}

static void
leave_a_context(void **state)
{
	static struct stint_ctx *ctx;

	(void)state;
	assert_int_equal(stint_ctx_with_cancel_at(BACKGROUND, &ctx, "left.c:1"), 0);
}

static void
leave_a_descriptor(void **state)
{
	(void)state;
	assert_true(dup(STDERR_FILENO) >= 0);
}

static void
leave_nothing(void **state)
{
	(void)state;
}

static int
tests_that_leave_something(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leave_a_context),
		cmocka_unit_test(leave_a_descriptor),
		cmocka_unit_test(leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

static void
a_test_of_ours_that_leaves_something_fails(void **state)
{
	int status = 0;
	char *text = run_and_read("", "tests", &status);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
	assert_non_null(strstr(text, "leak: context made at left.c:1\n"));
	assert_non_null(strstr(text, " descriptors, "));
	assert_non_null(strstr(text, "[       OK ] leave_nothing"));
	assert_null(strstr(text, "[       OK ] leave_a"));
	free(text);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(environment_asks_for_a_report_at_exit),
		cmocka_unit_test(a_test_of_ours_that_leaves_something_fails),
	};
	const char *what = argc == 2 ? argv[1] : "";

	if (strcmp(what, "leave") == 0)
		return leave();
	if (strcmp(what, "fork") == 0)
		return fork_and_free();
	if (strcmp(what, "tests") == 0)
		return tests_that_leave_something();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
