/*
 * test_url.c - where a Redis is
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/wire/url.h"

static void
assert_same(const char *text, const char *got, const char *expected)
{
	if ((!got || !expected) ? got != expected : strcmp(got, expected) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", text, got ? got : "(null)",
			expected ? expected : "(null)");
}

static void
urls_are_taken_apart(void **state)
{
	static const struct {
		const char *text;
		struct redis_url url;
	} cases[] = {
		{"redis://localhost", {.host = "localhost", .port = 6379}},
		{"redis://localhost/", {.host = "localhost", .port = 6379}},
		{"redis://localhost:6380", {.host = "localhost", .port = 6380}},
		{"redis://localhost:6380/", {.host = "localhost", .port = 6380}},
		{"redis://localhost/3", {.host = "localhost", .port = 6379, .db = 3}},
		{"redis://redis_1.example-net:1/15",
			{.host = "redis_1.example-net", .port = 1, .db = 15}},
		{"REDIS://10.0.0.1:65535", {.host = "10.0.0.1", .port = 65535}},
		{"redis://[::1]", {.host = "::1", .port = 6379}},
		{"redis://[fe80::1%25eth0]:7000/2",
			{.host = "fe80::1%eth0", .port = 7000, .db = 2}},
		{"redis://:pw@h", {.host = "h", .port = 6379, .password = "pw"}},
		{"redis://ann:pw@h:1/2", {.host = "h",
						 .port = 1,
						 .user = "ann",
						 .password = "pw",
						 .db = 2}},
		{"redis://ann@h", {.host = "h", .port = 6379, .user = "ann"}},
		{"redis://ann:@h",
			{.host = "h", .port = 6379, .user = "ann", .password = ""}},
		{"redis://:@h", {.host = "h", .port = 6379}},
		{"redis://@h", {.host = "h", .port = 6379}},
		{"redis://a%3Ab:c%40d%2f%25@h",
			{.host = "h", .port = 6379, .user = "a:b", .password = "c@d/%"}},
		{"redis://:p@s/s:w?d#@[::1]:5",
			{.host = "::1", .port = 5, .password = "p@s/s:w?d#"}},
		{"redis://:%c3%A4+@h",
			{.host = "h", .port = 6379, .password = "\xc3\xa4+"}},
		{"unix:///run/redis.sock", {.path = "/run/redis.sock"}},
		{"unix:///run/redis.sock?db=4", {.path = "/run/redis.sock", .db = 4}},
		{"unix:///run/a@/b%20c%3f?db=0", {.path = "/run/a@/b c?"}},
		{"unix://ann:p%77@/run/r",
			{.path = "/run/r", .user = "ann", .password = "pw"}},
		{"unix://:p@/w@/run/r?db=1",
			{.path = "/run/r", .password = "p@/w", .db = 1}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup(redis_url_fini) struct redis_url got = {0};
		const struct redis_url *want = &cases[i].url;
		const char *text = cases[i].text;
		struct stint_err err = {0};

		if (redis_url_parse(text, &got, &err) != 0)
			fail_msg("%s: %s", text, err.msg);
		assert_same(text, got.host, want->host);
		assert_same(text, got.path, want->path);
		assert_same(text, got.user, want->user);
		assert_same(text, got.password, want->password);
		assert_int_equal(got.port, want->port);
		assert_int_equal(got.db, want->db);
	}
}

static const char no_scheme[] = "expected redis://host:port/db or unix:///path?db=0";
static const char no_host[] = "host: expected a name or an address, IPv6 in brackets";
static const char no_db[] = "db: expected a whole number from 0";
static const char no_port[] = "port: expected 1..65535, got something else";
static const char no_path[] = "path: expected an absolute path: unix:///run/redis.sock";
static const struct {
	const char *text, *error;
} faults[] = {
	{"", no_scheme},
	{"localhost:6379", no_scheme},
	{"http://localhost", no_scheme},
	{"redis:/localhost", no_scheme},
	{" redis://localhost", no_scheme},
	{"unix:/run/redis.sock", no_scheme},
	{"rediss://h", "rediss:// is not supported yet by this version"},
	{"redis+sentinel://h1:26379,h2/mymaster",
		"redis+sentinel:// is not supported yet by this version"},
	{"redis://", no_host},
	{"redis:///0", no_host},
	{"redis://:6379", no_host},
	{"redis://::1", no_host},
	{"redis://[::1", no_host},
	{"redis://[]:1", no_host},
	{"redis://:pw@", no_host},
	{"redis://[::1]x", "host: expected :port or /db after it"},
	{"redis://a b", "host: expected :port or /db after it"},
	{"redis://h1,h2", "host: expected :port or /db after it"},
	{"redis://h?db=1", "host: expected :port or /db after it"},
	{"redis://h:0", "port: expected 1..65535, got 0"},
	{"redis://h:-1/0", "port: expected 1..65535, got -1"},
	{"redis://h:70000", "port: expected 1..65535, got 70000"},
	{"redis://h:7000000000", no_port},
	{"redis://h:", "port: expected 1..65535, got nothing"},
	{"redis://h:/1", "port: expected 1..65535, got nothing"},
	{"redis://h:63 79", no_port},
	{"redis://h:6379?db=1", no_port},
	{"redis://h/x", no_db},
	{"redis://h/-1", no_db},
	{"redis://h/1/", no_db},
	{"redis://h/1?x", no_db},
	{"redis://h/2147483648", no_db},
	{"redis://a%zz:b@h", "user: expected two hexadecimal digits after each %"},
	{"redis://a:b%4@h", "password: expected two hexadecimal digits after each %"},
	{"redis://a:b%@h", "password: expected two hexadecimal digits after each %"},
	{"redis://a:b%00c@h", "password: expected text without NUL, got %00"},
	{"redis://a%00:b@h", "user: expected text without NUL, got %00"},
	{"unix:///run/%00", "path: expected text without NUL, got %00"},
	{"unix://", no_path},
	{"unix://run/redis.sock", no_path},
	{"unix://a:b@run/redis.sock", no_path},
	{"unix:///r?", "path: expected nothing or ?db=N after it"},
	{"unix:///r?database=1", "path: expected nothing or ?db=N after it"},
	{"unix:///r?db=", no_db},
	{"unix:///r?db=1&x=2", no_db},
};

static void
errors_say_what_is_expected(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct redis_url url = {.port = 5, .host = (char *)"left over"};
		struct stint_err err = {0};

		if (redis_url_parse(faults[i].text, &url, &err) != -EINVAL)
			fail_msg("%s was taken", faults[i].text);
		assert_int_equal(err.code, -EINVAL);
		assert_same(faults[i].text, err.msg, faults[i].error);
		assert_null(url.host);
		assert_int_equal(url.port, 0);
	}
}

static void
errors_never_show_the_password(void **state)
{
	static const char *const cases[] = {
		"redis://ann:SECRET@",
		"redis://ann:SECRET@h:99999",
		"redis://ann:SECRET@h/x",
		"redis://ann:SECRET%zz@h",
		"redis://ann:SECRET%00@h",
		"redis://ann:/SECRET@h:0",
		"redis://ann:SECRET",
		"redis://:SECRET",
		"redis://ann:h/SECRET",
		"rediss://ann:SECRET@h",
		"redis+sentinel://ann:SECRET@h",
		"unix://ann:SECRET@/run/r?x",
		"unix://ann:SECRET@run/r",
		"unix://SECRET",
		"ann:SECRET@h",
		"SECRET://h",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup(redis_url_fini) struct redis_url url = {0};
		struct stint_err err = {0};

		assert_int_equal(redis_url_parse(cases[i], &url, &err), -EINVAL);
		assert_true(strlen(err.msg) > 0);
		assert_null(strstr(err.msg, "SECRET"));
	}
}

static int
parse_sized(const char *before, int n, const char *after)
{
	cleanup(redis_url_fini) struct redis_url url = {0};
	char text[600], out[REDIS_URL_TEXT_BYTES];
	int r;

	snprintf(text, sizeof text, "%s%0*d%s", before, n, 0, after);
	r = redis_url_parse(text, &url, NULL);
	if (r == 0)
		assert_true(strlen(redis_url_text(&url, out)) >= (size_t)n);
	return r;
}

static void
host_and_path_keep_to_their_length(void **state)
{
	(void)state;
	assert_int_equal(parse_sized("redis://", 253, ":65535/2147483647"), 0);
	assert_int_equal(parse_sized("redis://", 254, ""), -EINVAL);
	assert_int_equal(parse_sized("unix:///", 106, "?db=2147483647"), 0);
	assert_int_equal(parse_sized("unix:///", 107, ""), -EINVAL);
}

static void
text_shows_neither_user_nor_password(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"redis://localhost", "redis://localhost:6379/0"},
		{"redis://ann:SECRET@h:1/2", "redis://h:1/2"},
		{"redis://[::1]:7", "redis://[::1]:7/0"},
		{"unix://ann:SECRET@/run/r", "unix:///run/r?db=0"},
		{"unix:///run/r?db=3", "unix:///run/r?db=3"},
	};
	char out[REDIS_URL_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup(redis_url_fini) struct redis_url url = {0};

		assert_int_equal(redis_url_parse(cases[i].text, &url, NULL), 0);
		assert_ptr_equal(redis_url_text(&url, out), out);
		assert_string_equal(out, cases[i].shown);
	}
}

static void
mask_hides_what_is_before_the_last_at(void **state)
{
	static const char *const cases[][2] = {
		{"redis://user:secret@host:1/0", "redis://***********@host:1/0"},
		{"redis://:se@cret@host", "redis://********@host"},
		{"got \"http://:secret@h\"", "got \"http://*******@h\""},
		{"unix://:a@/x unix://:b@/y", "unix://***************@/y"},
		{"://@", "://@"},
		{"unix://:pw@/r: ERR at @user_script:1.",
			"unix://***@/r: ERR at @user_script:1."},
		{"unix:///r: ERR at @user_script:1.",
			"unix:///r: ERR at @user_script:1."},
		{"redis://host/0", "redis://host/0"},
		{"me@host", "me@host"},
		{"", ""},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		strcpy(text, cases[i][0]);
		redis_url_mask(text);
		assert_string_equal(text, cases[i][1]);
	}
}

static void
copy_is_deep(void **state)
{
	cleanup(redis_url_fini) struct redis_url copy = {0};
	struct redis_url url;

	(void)state;
	assert_int_equal(redis_url_parse("redis://ann:pw@h:1/2", &url, NULL), 0);
	assert_int_equal(redis_url_copy(&url, &copy), 0);
	assert_true(redis_url_equal(&url, &copy));
	redis_url_fini(&url);
	assert_null(url.password);
	assert_string_equal(copy.host, "h");
	assert_string_equal(copy.user, "ann");
	assert_string_equal(copy.password, "pw");
	assert_null(copy.path);
	assert_int_equal(copy.port, 1);
	assert_int_equal(copy.db, 2);
}

static void
equal_is_the_same_server_user_and_database(void **state)
{
	static const struct {
		const char *a, *b;
		int is_equal;
	} cases[] = {
		{"redis://h", "redis://h:6379/0", 1},
		{"redis://ann:old@h", "redis://ann:new@h", 1},
		{"redis://h", "redis://i", 0},
		{"redis://h:1", "redis://h:2", 0},
		{"redis://h/1", "redis://h/2", 0},
		{"redis://ann@h", "redis://bob@h", 0},
		{"redis://ann@h", "redis://h", 0},
		{"redis://h", "unix:///h", 0},
		{"unix:///a", "unix:///a?db=0", 1},
		{"unix:///a", "unix:///b", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup(redis_url_fini) struct redis_url a = {0}, b = {0};

		assert_int_equal(redis_url_parse(cases[i].a, &a, NULL), 0);
		assert_int_equal(redis_url_parse(cases[i].b, &b, NULL), 0);
		assert_int_equal(redis_url_equal(&a, &b), cases[i].is_equal);
		assert_int_equal(redis_url_equal(&b, &a), cases[i].is_equal);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(errors_say_what_is_expected),
		cmocka_unit_test(errors_never_show_the_password),
		cmocka_unit_test(host_and_path_keep_to_their_length),
		cmocka_unit_test(text_shows_neither_user_nor_password),
		cmocka_unit_test(mask_hides_what_is_before_the_last_at),
		cmocka_unit_test(copy_is_deep),
		cmocka_unit_test(equal_is_the_same_server_user_and_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
