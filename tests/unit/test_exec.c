/*
 * test_exec.c - what a command gets, and what becomes of what it answers
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "lib/base/cleanup.h"
#include "tests/unit/command_fixture.h"

#define X_BYTES (100 * 1024) /* of one large x- field */

static void
payload_goes_in_and_stdout_comes_out(void **state)
{
	const struct bytes fields[] = {{"payload", 7}, {"a\0b\n", 4}};
	struct attempt a;

	(void)state;
	attempt_init(&a, "cat", fields, 2);
	attempt_run(&a);
	assert_outcome(&a, JOB_OK, "");
	assert_int_equal(a.out.exit_code, 0);
	assert_int_equal(a.out.output.len, 4);
	assert_memory_equal(a.out.output.data, "a\0b\n", 4);
	attempt_fini(&a);
}

static void
no_payload_is_an_empty_stdin(void **state)
{
	struct attempt a;

	(void)state;
	run_script(&a, "wc -c");
	assert_outcome(&a, JOB_OK, "");
	assert_output(&a, "0\n");
	attempt_fini(&a);
}

static void
run_with_large_payload(struct attempt *a, const char *script)
{
	enum { PAYLOAD_BYTES = 10 << 20 };
	char *payload = malloc(PAYLOAD_BYTES);
	const struct bytes fields[] = {{"payload", 7}, {payload, PAYLOAD_BYTES}};

	assert_non_null(payload);
	for (size_t i = 0; i < PAYLOAD_BYTES; i++)
		payload[i] = (char)(i * 31 >> 3);
	attempt_init(a, script, fields, 2);
	free(payload);
	a->conf.output_limit_bytes = PAYLOAD_BYTES; /* exactly: that is not over */
	attempt_run(a);
}

static void
large_payload_goes_through_while_output_comes_back(void **state)
{
	struct attempt a;

	(void)state;
	run_with_large_payload(&a, "cat");
	assert_outcome(&a, JOB_OK, "");
	assert_int_equal(a.out.output.len, a.job->payload.n);
	assert_memory_equal(a.out.output.data, a.job->payload.p, a.job->payload.n);
	attempt_fini(&a);
}

static void
payload_that_is_not_read_is_no_error(void **state)
{
	struct attempt a;

	(void)state;
	run_with_large_payload(&a, "exec true");
	assert_outcome(&a, JOB_OK, "");
	attempt_fini(&a);
	run_with_large_payload(&a, "head -c 3 >/dev/null; exec <&-; echo on");
	assert_outcome(&a, JOB_OK, "");
	assert_output(&a, "on\n");
	attempt_fini(&a);
}

static void
exit_codes_64_and_65_fail_for_good_others_may_be_retried(void **state)
{
	static const struct {
		const char *script, *error;
		int code;
		bool for_good;
	} cases[] = {
		{"exit 64", "exit code 64", 64, true},
		{"exit 65", "exit code 65", 65, true},
		{"exit 3", "exit code 3", 3, false},
		{"exit 127", "exit code 127", 127, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct attempt a;

		run_script(&a, cases[i].script);
		assert_outcome(&a, JOB_ERROR, cases[i].error);
		assert_int_equal(a.out.exit_code, cases[i].code);
		assert_int_equal(a.out.for_good, cases[i].for_good);
		attempt_fini(&a);
	}
}

static void
death_by_signal_is_a_crash(void **state)
{
	struct attempt a;

	(void)state;
	run_script(&a, "kill -SEGV $$");
	assert_outcome(&a, JOB_CRASHED, "killed by SIGSEGV");
	assert_int_equal(a.out.signal, SIGSEGV);
	assert_int_equal(a.out.exit_code, -1);
	attempt_fini(&a);
	run_script(&a, "kill -40 $$");
	assert_outcome(&a, JOB_CRASHED, "killed by signal 40");
	attempt_fini(&a);
}

static void
a_failed_command_keeps_its_output_and_the_tail_of_stderr(void **state)
{
	struct attempt a;
	const char *tail;

	(void)state;
	run_script(&a,
		"echo half; yes 0123456 | head -c 100000 >&2; printf end >&2; exit 1");
	assert_outcome(&a, JOB_ERROR, "exit code 1");
	assert_output(&a, "half\n");
	assert_int_equal(a.out.stderr_tail.len, OUTCOME_STDERR_BYTES);
	tail = a.out.stderr_tail.data + OUTCOME_STDERR_BYTES;
	assert_memory_equal(tail - 11, "0123456\nend", 11);
	attempt_fini(&a);
}

static void
output_over_the_limit_kills_the_job_for_good(void **state)
{
	struct attempt a;

	(void)state;
	run_script(&a, "exec yes"); /* would go on for ever */
	assert_outcome(&a, JOB_ERROR, "output over 1MiB (output_limit)");
	assert_true(a.out.for_good);
	assert_int_equal(a.out.signal, SIGKILL);
	assert_int_equal(a.out.output.len, 1 << 20);
	attempt_fini(&a);

	attempt_init(&a, "printf 12345", NULL, 0); /* has ended before it is read */
	a.conf.output_limit_bytes = 4;
	attempt_run(&a);
	assert_outcome(&a, JOB_ERROR, "output over 4 (output_limit)");
	assert_true(a.out.for_good);
	assert_output(&a, "1234");
	attempt_fini(&a);
}

static void
stderr_without_end_is_drained(void **state)
{
	struct attempt a;

	(void)state;
	run_script(&a, "yes | head -c 5000000 >&2; echo done");
	assert_outcome(&a, JOB_OK, "");
	assert_output(&a, "done\n");
	attempt_fini(&a);
}

static void
run_program(struct attempt *a, const char *program, const char *directory)
{
	attempt_init(a, "", NULL, 0);
	a->argv[0] = (char *)(uintptr_t)program;
	a->argv[1] = NULL;
	a->conf.directory = (char *)(uintptr_t)directory;
	attempt_run(a);
}

static void
what_cannot_be_executed_is_an_error_that_names_it(void **state)
{
	char script[64], expected[128];
	static const struct {
		const char *program, *directory, *error;
	} cases[] = {
		{"/no/such/prog", NULL,
			"cannot execute /no/such/prog: No such file or directory"},
		{"nosuchprog", NULL,
			"cannot execute nosuchprog: No such file or directory"},
		{"/etc/passwd", NULL, "cannot execute /etc/passwd: Permission denied"},
		{"/tmp", NULL, "cannot execute /tmp: Permission denied"},
		{"true", "/no/such/dir",
			"directory /no/such/dir: No such file or directory"},
		{"true", "/etc/passwd", "directory /etc/passwd: Not a directory"},
	};
	struct attempt a;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		run_program(&a, cases[i].program, cases[i].directory);
		assert_outcome(&a, JOB_ERROR, cases[i].error);
		assert_false(a.out.for_good);
		assert_int_equal(a.out.exit_code, -1);
		attempt_fini(&a);
	}
	fd = open(file_in_dir(script, "no-interpreter"), O_CREAT | O_WRONLY | O_CLOEXEC,
		0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "echo\n", 5), 5);
	close(fd);
	run_program(&a, script, NULL);
	snprintf(expected, sizeof expected, "cannot execute %s: Exec format error",
		script);
	assert_outcome(&a, JOB_ERROR, expected);
	attempt_fini(&a);
}

static void
programs_are_searched_in_the_path_of_the_command(void **state)
{
	char link[64], path[96];
	struct attempt a;

	(void)state;
	assert_int_equal(symlink("/bin/echo", file_in_dir(link, "only-here")), 0);
	snprintf(path, sizeof path, "PATH=/nowhere::/etc/passwd:%s", dir);
	attempt_init(&a, "", NULL, 0);
	a.argv[0] = (char *)(uintptr_t) "only-here";
	a.argv[1] = (char *)(uintptr_t) "found";
	a.argv[2] = NULL;
	a.environment[1] = path;
	attempt_run(&a);
	assert_outcome(&a, JOB_OK, "");
	assert_output(&a, "found\n");
	attempt_fini(&a);
}

static void
the_directory_is_where_it_runs(void **state)
{
	struct attempt a;

	(void)state;
	run_program(&a, "pwd", dir);
	assert_outcome(&a, JOB_OK, "");
	assert_memory_equal(a.out.output.data, dir, strlen(dir));
	attempt_fini(&a);
}

static void
the_environment_is_exactly_what_is_documented(void **state)
{
	static const char trace[] =
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	const struct bytes fields[] = {{"traceparent", 11}, {trace, sizeof trace - 1},
		{"id", 2}, {"my-job", 6}, {"x-tenant.id", 11}, {"a=b\nc", 5},
		{"x-tenant-id", 11}, {"second", 6}};
	char expected[1024];
	struct attempt a;

	(void)state;
	assert_int_equal(clearenv(), 0);
	setenv("PATH", "/usr/bin:/bin", 1);
	setenv("LC_TIME", "C", 1);
	setenv("LANG", "C", 1);
	setenv("LC", "no locale", 1);
	setenv("REDIS_PASSWORD", "secret", 1);
	attempt_init(&a, "", fields, 8);
	a.argv[0] = (char *)(uintptr_t) "env";
	a.argv[1] = NULL;
	a.environment[1] = (char *)(uintptr_t) "LANG=de_DE.UTF-8";
	a.call.deadline_unix_ms = 1234567890123;
	attempt_run(&a);
	assert_outcome(&a, JOB_OK, "");
	snprintf(expected, sizeof expected,
		"STINT_JOB_ID=my-job\nSTINT_QUEUE=q\nSTINT_HANDLER=h\nSTINT_ATTEMPT=1\n"
		"STINT_PROGRESS_FD=4\nSTINT_DEADLINE_MS=1234567890123\nTRACEPARENT=%s\n"
		"STINT_X_TENANT_ID=a=b\nc\nD=%s\nLANG=de_DE.UTF-8\n"
		"PATH=/usr/bin:/bin\nLC_TIME=C\n",
		trace, dir);
	assert_output(&a, expected);
	attempt_fini(&a);
}

static void
a_nul_byte_in_a_variable_fails_for_good(void **state)
{
	const struct bytes fields[] = {{"x-a", 3}, {"1\0002", 3}};
	struct attempt a;

	(void)state;
	attempt_init(&a, "true", fields, 2);
	attempt_run(&a);
	assert_outcome(&a, JOB_ERROR,
		"field x-a holds a NUL byte, which an environment variable cannot");
	assert_true(a.out.for_good);
	attempt_fini(&a);
}

static void
large_x_fields_reach_the_command_up_to_what_the_kernel_takes(void **state)
{
	char *value = malloc(2 * X_BYTES);
	struct bytes fields[] = {{"x-a", 3}, {value, X_BYTES}, {"x-b", 3},
		{value, X_BYTES}, {"x-c", 3}, {value, X_BYTES}, {"x-d", 3},
		{value, X_BYTES}};
	struct attempt a;

	(void)state;
	assert_non_null(value);
	memset(value, 'v', 2 * X_BYTES);
	attempt_init(&a, "echo ${#STINT_X_A} ${#STINT_X_B} ${#STINT_X_C} ${#STINT_X_D}",
		fields, 8);
	attempt_run(&a);
	assert_outcome(&a, JOB_OK, "");
	assert_output(&a, "102400 102400 102400 102400\n");
	attempt_fini(&a);

	fields[1].n = 2 * X_BYTES; /* over MAX_ARG_STRLEN */
	attempt_init(&a, "true", fields, 2);
	attempt_run(&a);
	assert_outcome(&a, JOB_ERROR, "cannot execute /bin/sh: Argument list too long");
	attempt_fini(&a);
	free(value);
}

static void
it_has_four_descriptors_and_the_limit_of_the_daemon(void **state)
{
	struct rlimit files;
	char expected[64];
	struct attempt a;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	snprintf(expected, sizeof expected, "0\n1\n2\n3\n4\n%llu\n",
		(unsigned long long)files.rlim_cur);
	run_script(&a, "ls /proc/self/fd; ulimit -n"); /* 3 is ls' own */
	assert_output(&a, expected);
	attempt_fini(&a);
}

static void
take_progress(void *arg, const struct progress *progress)
{
	struct buf *told = arg;

	buf_fmt(told, "%d %s\n", progress->percent, progress->note);
}

static void
it_tells_progress_on_descriptor_4(void **state)
{
	cleanup(buf_fini) struct buf told = {0};
	struct attempt a;

	(void)state;
	attempt_init(&a, "echo 10 ten >&4; echo rubbish >&4; cat",
		(const struct bytes[]){{"payload", 7}, {"fed", 3}}, 2);
	a.call.on_progress = take_progress;
	a.call.arg = &told;
	attempt_run(&a);
	assert_outcome(&a, JOB_OK, "");
	assert_output(&a, "fed");
	assert_string_equal(buf_cstr(&told), "10 ten\n");
	attempt_fini(&a);
}

static void
progress_that_nobody_asks_for_blocks_no_command(void **state)
{
	struct attempt a;

	(void)state;
	run_script(&a, "head -c 10000000 /dev/zero >&4; yes 50 | head -n 100000 >&4; "
		       "echo over");
	assert_outcome(&a, JOB_OK, "");
	assert_output(&a, "over\n");
	attempt_fini(&a);
}

static void
no_signal_is_blocked_or_ignored(void **state)
{
	/* 32 and 33 are the C library's own: it lets no one set them, so that they stay
	 * as whoever started these tests had them */
	const unsigned long long own = 1ull << 31 | 1ull << 32;
	unsigned long long blocked, ignored;
	struct attempt a;

	(void)state;
	run_script(&a, "exec grep -E 'Sig(Blk|Ign)' /proc/self/status");
	buf_char(&a.out.output, '\0');
	assert_int_equal(sscanf(a.out.output.data, "SigBlk:\t%llx\nSigIgn:\t%llx\n",
				 &blocked, &ignored),
		2);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & ~own, 0);
	attempt_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payload_goes_in_and_stdout_comes_out),
		cmocka_unit_test(no_payload_is_an_empty_stdin),
		cmocka_unit_test(large_payload_goes_through_while_output_comes_back),
		cmocka_unit_test(payload_that_is_not_read_is_no_error),
		cmocka_unit_test(
			exit_codes_64_and_65_fail_for_good_others_may_be_retried),
		cmocka_unit_test(death_by_signal_is_a_crash),
		cmocka_unit_test(
			a_failed_command_keeps_its_output_and_the_tail_of_stderr),
		cmocka_unit_test(output_over_the_limit_kills_the_job_for_good),
		cmocka_unit_test(stderr_without_end_is_drained),
		cmocka_unit_test(what_cannot_be_executed_is_an_error_that_names_it),
		cmocka_unit_test(programs_are_searched_in_the_path_of_the_command),
		cmocka_unit_test(the_directory_is_where_it_runs),
		cmocka_unit_test(the_environment_is_exactly_what_is_documented),
		cmocka_unit_test(a_nul_byte_in_a_variable_fails_for_good),
		cmocka_unit_test(
			large_x_fields_reach_the_command_up_to_what_the_kernel_takes),
		cmocka_unit_test(it_has_four_descriptors_and_the_limit_of_the_daemon),
		cmocka_unit_test(it_tells_progress_on_descriptor_4),
		cmocka_unit_test(progress_that_nobody_asks_for_blocks_no_command),
		cmocka_unit_test(no_signal_is_blocked_or_ignored),
	};

	return cmocka_run_group_tests_name("exec", tests, setup_zygote, teardown_zygote);
}
