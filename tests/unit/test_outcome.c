/*
 * test_outcome.c - the result object; jansson reads it back
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/wire/outcome.h"

static struct job *job;
static struct outcome out;

static int
setup(void **state)
{
	static const struct bytes fields[] = {{"handler", 7}, {"resize", 6}};

	(void)state;
	job = job_new("1732153200000-0", fields, ARRAY_LEN(fields));
	outcome_init(&out);
	out.started_unix_ms = INT64_C(1732153200004);
	out.finished_unix_ms = INT64_C(1732153200310);
	return job ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	outcome_fini(&out);
	free(job);
	return 0;
}

static void
json_freep(json_t **j)
{
	json_decref(*j);
}

/* The object as it is written now; the caller's. */
static json_t *
result(void)
{
	cleanup(buf_fini) struct buf b = {0};
	json_error_t error;
	json_t *j;

	outcome_json(&b, &out, job, "default", "web3-4711");
	assert_false(b.failed);
	j = json_loadb(b.data, b.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
	if (!j)
		fail_msg("%.*s: %s", (int)b.len, b.data, error.text);
	return j;
}

static void
assert_member(const json_t *j, const char *name, const char *expected)
{
	const char *s = json_string_value(json_object_get(j, name));

	if (!s)
		fail_msg("no string \"%s\"", name);
	assert_string_equal(s, expected);
}

static void
assert_number(const json_t *j, const char *name, int64_t expected)
{
	const json_t *v = json_object_get(j, name);

	if (!json_is_integer(v))
		fail_msg("no number \"%s\"", name);
	assert_true(json_integer_value(v) == expected);
}

static void
assert_absent(const json_t *j, const char *name)
{
	if (json_object_get(j, name))
		fail_msg("\"%s\" is there", name);
}

static void
ok_has_all_members_and_no_error(void **state)
{
	cleanup(json_freep) json_t *j = NULL;

	(void)state;
	buf_str(&out.output, "done \"well\"\n");
	buf_str(&out.stderr_tail, "chatter");
	out.exit_code = 0;
	j = result();
	assert_member(j, "id", "1732153200000-0");
	assert_member(j, "status", "ok");
	assert_member(j, "output", "done \"well\"\n");
	assert_member(j, "handler", "resize");
	assert_member(j, "queue", "default");
	assert_member(j, "daemon", "web3-4711");
	assert_number(j, "attempt", 1);
	assert_number(j, "submitted_ms", INT64_C(1732153200000));
	assert_number(j, "started_ms", INT64_C(1732153200004));
	assert_number(j, "finished_ms", INT64_C(1732153200310));
	assert_int_equal(json_object_size(j), 10);
}

static void
what_was_used_is_told_of_any_status(void **state)
{
	(void)state;
	out.cpu_ms = 0;
	out.max_rss_bytes = INT64_C(5) << 30;
	out.memory_peak_bytes = 4096;
	for (int status = JOB_OK; status <= JOB_CRASHED; status++) {
		cleanup(json_freep) json_t *j = NULL;

		out.status = (enum job_status)status;
		j = result();
		assert_number(j, "cpu_ms", 0);
		assert_number(j, "max_rss_bytes", INT64_C(5) << 30);
		assert_number(j, "memory_peak_bytes", 4096);
	}
}

static void
every_status_has_its_word(void **state)
{
	static const char *const words[] = {
		[JOB_OK] = "ok",
		[JOB_ERROR] = "error",
		[JOB_TIMEOUT] = "timeout",
		[JOB_CANCELLED] = "cancelled",
		[JOB_CRASHED] = "crashed",
		[JOB_EXPIRED] = "expired",
		[JOB_REJECTED] = "rejected",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		cleanup(json_freep) json_t *j = NULL;

		assert_string_equal(job_status_name((enum job_status)i), words[i]);
		outcome_fail(&out, (enum job_status)i, "why %zu", i);
		j = result();
		assert_member(j, "status", words[i]);
		if (i == JOB_OK)
			assert_absent(j, "error");
		else
			assert_non_null(strstr(out.error, "why "));
	}
}

static void
output_that_is_not_utf8_is_base64(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *base64;
	} cases[] = {
		{"\xff", 1, "/w=="},
		{"\xff\xfe", 2, "//4="},
		{"\x89PNG\r\n", 6, "iVBORw0K"},
		{"a\0\x80", 3, "YQCA"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup(json_freep) json_t *j = NULL;

		buf_reset(&out.output, 0);
		buf_add(&out.output, cases[i].bytes, cases[i].n);
		j = result();
		assert_member(j, "output_base64", cases[i].base64);
		assert_absent(j, "output");
	}
}

static void
output_may_be_empty_or_hold_nul(void **state)
{
	cleanup(json_freep) json_t *empty = NULL, *nul = NULL;
	const json_t *v;

	(void)state;
	empty = result();
	assert_member(empty, "output", "");
	buf_add(&out.output, "a\0\xc3\xa4\x01", 5);
	nul = result();
	v = json_object_get(nul, "output");
	assert_int_equal(json_string_length(v), 5);
	assert_memory_equal(json_string_value(v), "a\0\xc3\xa4\x01", 5);
	assert_absent(nul, "output_base64");
}

static void
failure_tells_error_stderr_and_exit_code(void **state)
{
	cleanup(json_freep) json_t *j = NULL;

	(void)state;
	outcome_fail(&out, JOB_ERROR, "exit code %d", 3);
	buf_str(&out.output, "half");
	buf_str(&out.stderr_tail, "no such file\xff\n");
	out.exit_code = 3;
	j = result();
	assert_member(j, "error", "exit code 3");
	assert_member(j, "stderr", "no such file\xef\xbf\xbd\n");
	assert_member(j, "output", "half");
	assert_number(j, "exit_code", 3);
	assert_absent(j, "signal");
}

static void
signals_go_by_their_names(void **state)
{
	static const struct {
		int signo;
		const char *name;
	} cases[] = {
		{SIGSEGV, "SIGSEGV"}, {SIGKILL, "SIGKILL"}, {SIGABRT, "SIGABRT"},
		{50, "SIG50"}, /* a real-time one has no name */
	};

	(void)state;
	outcome_fail(&out, JOB_CRASHED, "killed");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup(json_freep) json_t *j = NULL;

		out.signal = cases[i].signo;
		j = result();
		assert_member(j, "signal", cases[i].name);
		assert_absent(j, "exit_code");
	}
}

static void
what_never_started_has_no_start_and_no_exit_code(void **state)
{
	cleanup(json_freep) json_t *j = NULL;

	(void)state;
	outcome_fail(&out, JOB_EXPIRED, "its deadline passed");
	out.started_unix_ms = 0;
	j = result();
	assert_absent(j, "started_ms");
	assert_absent(j, "exit_code");
	assert_absent(j, "signal");
	assert_absent(j, "stderr");
	assert_number(j, "finished_ms", INT64_C(1732153200310));
}

static void
a_job_without_a_handler_is_still_valid_json(void **state)
{
	cleanup(json_freep) json_t *j = NULL;

	(void)state;
	free(job);
	job = job_new("7-1", NULL, 0);
	assert_non_null(job);
	outcome_fail(&out, JOB_REJECTED, "%s", job->fault);
	j = result();
	assert_member(j, "id", "7-1");
	assert_member(j, "handler", "");
	assert_member(j, "error", job->fault);
	assert_number(j, "submitted_ms", 7);
}

static void
an_error_is_one_line_that_is_cut(void **state)
{
	cleanup(json_freep) json_t *lines = NULL, *cut = NULL;
	char text[2 * OUTCOME_ERROR_BYTES];

	(void)state;
	outcome_fail(&out, JOB_ERROR, "a\nb\rc\td\x7f\x1b\xff");
	lines = result();
	assert_member(lines, "error", "a b c d  \xef\xbf\xbd");
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	outcome_fail(&out, JOB_ERROR, "%s", text);
	assert_int_equal(strlen(out.error), OUTCOME_ERROR_BYTES - 1);
	cut = result();
	assert_member(cut, "error", out.error);
}

static void
a_handler_of_any_bytes_stays_valid_json(void **state)
{
	static const struct bytes fields[] = {{"handler", 7}, {"\xff\"\\\n", 4}};
	cleanup(json_freep) json_t *j = NULL;

	(void)state;
	free(job);
	job = job_new("7-1", fields, ARRAY_LEN(fields));
	assert_non_null(job);
	outcome_fail(&out, JOB_REJECTED, "no such handler");
	j = result();
	assert_member(j, "handler", "\xef\xbf\xbd\"\\\n");
}

static void
an_outcome_that_says_nothing_did_not_exit(void **state)
{
	struct outcome o;

	(void)state;
	outcome_init(&o);
	assert_int_equal(o.exit_code, -1);
	assert_int_equal(o.signal, 0);
	assert_string_equal(o.error, "");
	outcome_fini(&o);
	outcome_fini(&o);
}

#define claim(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		claim(ok_has_all_members_and_no_error),
		claim(what_was_used_is_told_of_any_status),
		claim(every_status_has_its_word),
		claim(output_that_is_not_utf8_is_base64),
		claim(output_may_be_empty_or_hold_nul),
		claim(failure_tells_error_stderr_and_exit_code),
		claim(signals_go_by_their_names),
		claim(what_never_started_has_no_start_and_no_exit_code),
		claim(a_job_without_a_handler_is_still_valid_json),
		claim(an_error_is_one_line_that_is_cut),
		claim(a_handler_of_any_bytes_stays_valid_json),
		claim(an_outcome_that_says_nothing_did_not_exit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
