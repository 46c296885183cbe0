/*
 * test_config_faults.c - what a bad configuration is told
 */
#include "tests/unit/config_fixture.h"

/* clang-format off */
static const struct fault_case value_cases[] = {
	{"concurrency: 0",
	 "1:1: concurrency: expected 1..4096 or auto, got 0\n"},
	{"concurrency: 4097",
	 "1:1: concurrency: expected 1..4096 or auto, got 4097\n"},
	{"concurrency: -1",
	 "1:1: concurrency: expected 1..4096 or auto, got -1\n"},
	{"concurrency: 99999999999999999999",
	 "1:1: concurrency: expected 1..4096 or auto, got "
	 "99999999999999999999\n"},
	{"concurrency: Auto",
	 "1:1: concurrency: expected 1..4096 or auto, got \"Auto\"\n"},
	{"concurrency: [1]",
	 "1:1: concurrency: expected 1..4096 or auto, got a list\n"},
	{"concurrency: ~",
	 "1:1: concurrency: expected 1..4096 or auto, got nothing\n"},
	{"concurrency:",
	 "1:1: concurrency: expected 1..4096 or auto, got nothing\n"},
	{"prefix: a:b",
	 "1:1: prefix: expected 1..64 of A-Za-z0-9_.-, got \"a:b\"\n"},
	{"prefix: ''",
	 "1:1: prefix: expected 1..64 of A-Za-z0-9_.-, got \"\"\n"},
	{"prefix: {}",
	 "1:1: prefix: expected 1..64 of A-Za-z0-9_.-, got a map\n"},
	{"unknown_handler: drop",
	 "1:1: unknown_handler: expected a time span such as \"30s\" or "
	 "reject, got \"drop\"\n"},
	{"unknown_handler: 0",
	 "1:1: unknown_handler: expected 1ms..30d or reject, got 0\n"},
	{"shutdown_timeout: 25h",
	 "1:1: shutdown_timeout: expected 0s..1d, got 25h\n"},
	{"start_timeout: 0", "1:1: start_timeout: expected 1ms..1d, got 0\n"},
	{"defaults: { timeout: 0 }",
	 "1:13: defaults.timeout: expected 1ms..30d, got 0\n"},
	{"defaults: { timeout: 31d }",
	 "1:13: defaults.timeout: expected 1ms..30d, got 31d\n"},
	{"defaults: { timeout: 999999999w }",
	 "1:13: defaults.timeout: expected 1ms..30d, got 999999999w\n"},
	{"defaults: { kill_grace: -1s }",
	 "1:13: defaults.kill_grace: expected a time span such as \"30s\", "
	 "got -1s\n"},
	{"defaults: { kill_grace: 61min }",
	 "1:13: defaults.kill_grace: expected 0s..1h, got 61min\n"},
	{"defaults: { output_limit: 1023 }",
	 "1:13: defaults.output_limit: expected 1KiB..64MiB, got 1023\n"},
	{"defaults: { output_limit: 65MiB }",
	 "1:13: defaults.output_limit: expected 1KiB..64MiB, got 65MiB\n"},
	{"defaults: { payload_limit: 0 }",
	 "1:13: defaults.payload_limit: expected 1B..512MiB, got 0\n"},
	{"defaults: { payload_limit: much }",
	 "1:13: defaults.payload_limit: expected a size such as \"1MiB\", got "
	 "\"much\"\n"},
	{"defaults: { backoff: 0 }",
	 "1:13: defaults.backoff: expected 1ms..1d, got 0\n"},
	{"defaults: { backoff_max: 31d }",
	 "1:13: defaults.backoff_max: expected 1ms..30d, got 31d\n"},
	{"defaults: { max_retries: 1001 }",
	 "1:13: defaults.max_retries: expected 0..1000, got 1001\n"},
	{"dead_letters: { max_count: 10000001 }",
	 "1:17: dead_letters.max_count: expected 0..10000000, got 10000001\n"},
	{"dead_letters: { max_size: 1023 }",
	 "1:17: dead_letters.max_size: expected 1KiB..64GiB, got 1023\n"},
	{"lease: 999ms", "1:1: lease: expected 1s..1h, got 999ms\n"},
	{"max_deliveries: 0",
	 "1:1: max_deliveries: expected 1..1000, got 0\n"},
	{"results: { ttl: 500ms }",
	 "1:12: results.ttl: expected 1s..365d, got 500ms\n"},
	{"results: { store: some }",
	 "1:12: results.store: expected all|failures|none, got \"some\"\n"},
	{"results: { store: all|failures }",
	 "1:12: results.store: expected all|failures|none, got "
	 "\"all|failures\"\n"},
	{"log: { level: warn }",
	 "1:8: log.level: expected error|warning|info|debug, got \"warn\"\n"},
	{"log: { format: syslog }",
	 "1:8: log.format: expected auto|journal|text|json, got \"syslog\"\n"},
	{"log: debug", "1:1: log: expected a map of keys, got a text\n"},
	{"handlers: []", "1:1: handlers: expected a map of keys, got a list\n"},
	{"- a", "1:1: expected a map of keys, got a list\n"},
	{"just text", "1:1: expected a map of keys, got a text\n"},
};
/* clang-format on */

static void
values_of_the_wrong_type_or_range_are_faults(void **state)
{
	(void)state;
	assert_cases(value_cases, ARRAY_LEN(value_cases));
}

static void
queues_are_checked(void **state)
{
	/* clang-format off */
	static const struct fault_case cases[] = {
		{"queues: default",
		 "1:1: queues: expected a list of names, or a map from names to "
		 "weights, got \"default\"\n"},
		{"queues: []", "1:1: queues: expected 1..64 names, got 0\n"},
		{"queues: {}", "1:1: queues: expected 1..64 names, got 0\n"},
		{"queues:\n"
		 "  - a\n"
		 "  - b\n"
		 "  - a\n",
		 "4:5: queues: expected each queue once, got \"a\" again\n"},
		{"queues: [a, 'b c', [d], ~]",
		 "1:13: queues: expected 1..64 of A-Za-z0-9_.-, got another name\n"
		 "1:20: queues: expected the name of a queue, got a list\n"
		 "1:25: queues: expected the name of a queue, got nothing\n"},
		{"queues: { a: 0, b: 1001, c: high, 'd e': 1 }",
		 "1:11: queues.a: expected 1..1000, got 0\n"
		 "1:17: queues.b: expected 1..1000, got 1001\n"
		 "1:26: queues.c: expected 1..1000, got \"high\"\n"
		 "1:35: queues.?: expected 1..64 of A-Za-z0-9_.-, got another name\n"},
	};
	/* clang-format on */
	cleanup(buf_fini) struct buf text = {0};

	(void)state;
	assert_cases(cases, ARRAY_LEN(cases));
	buf_str(&text, "queues: [q0");
	for (int i = 1; i <= 64; i++)
		buf_fmt(&text, ", q%d", i);
	buf_str(&text, "]");
	assert_faults(buf_cstr(&text), "1:1: queues: expected 1..64 names, got 65\n");
}

static void
retries_keep_to_max_retries(void **state)
{
	/* clang-format off */
	static const struct fault_case cases[] = {
		{"defaults: { retries: 26 }",
		 "1:13: defaults.retries: expected at most max_retries (25), got 26\n"},
		{"defaults: { max_retries: 2, retries: 3 }",
		 "1:29: defaults.retries: expected at most max_retries (2), got 3\n"},
		{"handlers: { h: { command: [x], retries: 26 } }",
		 "1:32: handlers.h.retries: expected at most max_retries (25), got 26\n"},
		{"defaults: { retries: 3 }\n"
		 "handlers:\n"
		 "  h: { command: [x], max_retries: 2 }\n",
		 "3:22: handlers.h.max_retries: expected at least retries (3), got 2\n"},
		/* once, not again for each handler */
		{"defaults: { retries: 26 }\n"
		 "handlers: { h: { command: [x] } }\n",
		 "1:13: defaults.retries: expected at most max_retries (25), got 26\n"},
	};
	/* clang-format on */

	(void)state;
	assert_cases(cases, ARRAY_LEN(cases));
}

/* clang-format off */
static const struct fault_case handler_cases[] = {
	{"handlers:\n"
	 "  resize:\n",
	 "2:3: handlers.resize: expected the key \"command\", \"worker\" or "
	 "\"plugin\", got none\n"},
	{"handlers: { h: { command: [x], worker: [y] } }",
	 "1:32: handlers.h.worker: expected only one of \"command\" and "
	 "\"worker\", got both\n"},
	{"handlers: { h: { worker: y } }",
	 "1:18: handlers.h.worker: expected a list, the program and its "
	 "arguments, got \"y\"\n"},
	{"handlers: { h: { command: [x], max_jobs: 1, idle_timeout: 1s } }",
	 "1:32: handlers.h.max_jobs: expected only for a handler with "
	 "\"worker\" or \"plugin\"\n"
	 "1:45: handlers.h.idle_timeout: expected only for a handler with "
	 "\"worker\" or \"plugin\"\n"},
	{"handlers: { h: { worker: [x], max_jobs: 0, idle_timeout: 0s } }",
	 "1:31: handlers.h.max_jobs: expected 1..1000000000 or none, got 0\n"
	 "1:44: handlers.h.idle_timeout: expected 1ms..30d or none, got 0s\n"},
	{"handlers: { a b: { command: [x] } }",
	 "1:13: handlers.?: expected a name of 1..64 of A-Za-z0-9_.-, got "
	 "another\n"},
	{"handlers: { h: [x] }",
	 "1:13: handlers.h: expected a map of keys, got a list\n"},
	{"handlers: { h: { command: /bin/true -x } }",
	 "1:18: handlers.h.command: expected a list, the program and its "
	 "arguments, got \"/bin/true -x\"\n"},
	{"handlers: { h: { command: [] } }",
	 "1:18: handlers.h.command: expected a list, the program and its "
	 "arguments, got an empty one\n"},
	{"handlers: { h: { command: ['', [x], {}, ~] } }",
	 "1:28: handlers.h.command: expected a program first, got an empty "
	 "text\n"
	 "1:32: handlers.h.command: expected a text, got a list\n"
	 "1:37: handlers.h.command: expected a text, got a map\n"
	 "1:41: handlers.h.command: expected a text, got nothing\n"},
	{"handlers: { h: { command: [x], directory: var/lib } }",
	 "1:32: handlers.h.directory: expected an absolute path, got "
	 "\"var/lib\"\n"},
	{"handlers: { h: { command: [x], environment: [A=1] } }",
	 "1:32: handlers.h.environment: expected a map from names to texts, "
	 "got a list\n"},
	{"handlers: { h: { command: [x], environment: { A-B: 1, 2C: 1, D: , "
	 "E: [] } } }",
	 "1:47: handlers.h.environment.A-B: expected a name of A-Za-z0-9_, "
	 "not beginning with a digit, got another\n"
	 "1:55: handlers.h.environment.2C: expected a name of A-Za-z0-9_, not "
	 "beginning with a digit, got another\n"
	 "1:62: handlers.h.environment.D: expected a text, got nothing\n"
	 "1:67: handlers.h.environment.E: expected a text, got a list\n"},
	{"handlers: { h: { command: [x], results: { ttl: 0, store: x } } }",
	 "1:43: handlers.h.results.ttl: expected 1s..365d, got 0\n"
	 "1:51: handlers.h.results.store: expected all|failures|none, got "
	 "\"x\"\n"},
};
/* clang-format on */

static void
handlers_are_checked(void **state)
{
	(void)state;
	assert_cases(handler_cases, ARRAY_LEN(handler_cases));
}

static void
limits_of_handlers_are_checked(void **state)
{
	/* clang-format off */
	static const struct fault_case cases[] = {
		{"handlers: { h: { command: [x], concurrency: 4097 } }",
		 "1:32: handlers.h.concurrency: expected 1..4096 or none, got 4097\n"},
		{"handlers: { h: { worker: [x], concurrency: 0 } }",
		 "1:31: handlers.h.concurrency: expected 1..4096 or none, got 0\n"},
	};
	/* clang-format on */

	(void)state;
	assert_cases(cases, ARRAY_LEN(cases));
}

static void
all_faults_are_told_in_order_of_place(void **state)
{
	(void)state;
	assert_faults("handlers:\n"
		      "  resize:\n"
		      "    command: [x]\n"
		      "    timeout: soon\n"
		      "    tiemout: 3s\n"
		      "defaults:\n"
		      "  timeout: never\n"
		      "concurency: 3\n"
		      "log: { level: 7, format: x }\n",
		"4:5: handlers.resize.timeout: expected a time span such as "
		"\"30s\", got \"soon\"\n"
		"5:5: handlers.resize.tiemout: expected a known key, got an "
		"unknown one; did you mean \"timeout\"?\n"
		"7:3: defaults.timeout: expected a time span such as "
		"\"30s\", got \"never\"\n"
		"8:1: concurency: expected a known key, got an unknown one; "
		"did you mean \"concurrency\"?\n"
		"9:8: log.level: expected error|warning|info|debug, got 7\n"
		"9:18: log.format: expected auto|journal|text|json, got \"x\"\n");
}

static void
unknown_keys_name_the_nearest_known_one(void **state)
{
	static const struct {
		const char *key;
		const char *nearest; /* NULL: none */
	} cases[] = {
		{"concurency", "concurrency"},
		{"qeueus", "queues"},
		{"Prefix", "prefix"},
		{"handler", "handlers"},
		{"unknown-handler", "unknown_handler"},
		{"shutdown_timout", "shutdown_timeout"},
		{"retries", NULL},
		{"leese", "lease"},
		{"http", NULL},
		{"worker", NULL},
		{"plugin", NULL},
		{"zzz", NULL},
		{"a_key_that_is_longer_than_any_other_can_be", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *nearest = cases[i].nearest;
		char text[128], expected[256];

		snprintf(text, sizeof text, "%s: 1", cases[i].key);
		snprintf(expected, sizeof expected,
			"1:1: %s: expected a known key, got an unknown one%s%s%s\n",
			cases[i].key, nearest ? "; did you mean \"" : "",
			nearest ? nearest : "", nearest ? "\"?" : "");
		assert_faults(text, expected);
	}
}

static void
missing_variables_are_named(void **state)
{
	(void)state;
	unsetenv("T_NOT_SET");
	assert_faults("prefix: a${T_NOT_SET}\n"
		      "handlers: { h: { command: [x, \"${T_NOT_SET}\"] } }\n",
		"1:1: prefix: expected ${T_NOT_SET} to be set in the "
		"environment, got nothing\n"
		"2:31: handlers.h.command: expected ${T_NOT_SET} to be set "
		"in the environment, got nothing\n");
	for (size_t i = 0; i < 4; i++) {
		static const char *const texts[] = {
			"prefix: a${", "prefix: ${}", "prefix: ${A-B}", "prefix: ${1A}"};

		assert_faults(texts[i], "1:1: prefix: expected ${NAME} with a name of "
					"A-Za-z0-9_ (and $$ for a $)\n");
	}
}

static void
variables_cannot_multiply_without_end(void **state)
{
	cleanup(buf_fini) struct buf text = {0};
	cleanup(freep) char *big = malloc(64 << 10);

	(void)state;
	assert_non_null(big);
	memset(big, 'x', (64 << 10) - 1);
	big[(64 << 10) - 1] = '\0';
	setenv("T_BIG", big, 1);
	buf_str(&text, "prefix: ");
	for (int i = 0; i < 100000; i++)
		buf_str(&text, "${T_BIG}");
	assert_faults(buf_cstr(&text),
		"1:1: prefix: expected a text of at most 128KiB, got more\n");
	unsetenv("T_BIG");
}

/* What came from the environment is not shown, nor is the text of a URL, wherever it
 * stands. */
static void
secrets_are_never_shown(void **state)
{
	static const char *const texts[] = {
		"redis: { url: 'redis://:s3cret@h:port' }",
		"redis: { url: 'redis://:s3cret@h/x' }",
		"redis: { url: 'redis://:s3cret' }",
		"redis: { url: 'redis://ann:73373' }",
		"redis: { url: 'redis://s3cret:99999' }",
		"redis: { url: 's3cret' }",
		"redis: { url: ':s3cret@h' }",
		"redis: { url: 'http://:s3cret@h' }",
		"redis: { url: 'rediss://:s3cret@h' }",
		"redis: { url: ['redis://:s3cret@h'] }",
		"redis: { url: { 'redis://:s3cret@h': 1 } }",
		"redis: { url: \"redis://:${T_SECRET}@h h\" }",
		"redis: { urls: 'redis://:s3cret@h' }",
		"redis: { 'redis://:s3cret@h': }",
		"redis: 'redis://:s3cret@h'",
		"redis: ':s3cret@h'",
		"redis:\n  url:redis://:s3cret@h",
		"redis: ['redis://:s3cret@h']",
		"'redis://:s3cret@h'",
		"'redis://:s3cret@h': 1",
		"prefix: 'redis://:s3cret@h'",
		"prefix: ':s3cret@h'",
		"prefix: \"a ${T_SECRET}\"",
		"queues: 'redis://:s3cret@h'",
		"queues: ['redis://:s3cret@h']",
		"queues: { 'redis://:s3cret@h': 1 }",
		"handlers: { 'redis://:s3cret@h': { command: [x] } }",
		"redis: { password_file: s3cret }",
		"redis: { url: *s3cret }",
		"redis: { url: !s3cret x }",
		"redis: { url: 'redis://:s3cret@h', url: 'redis://:s3cret@h' }",
		"redis: { url: \"redis://:s3cret@h }",
		"redis: { url: redis://:s3cret@h: x: y }",
	};

	(void)state;
	setenv("T_SECRET", "s3cret", 1);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cleanup(buf_fini) struct buf faults = {0};
		cleanup(configp) struct config *c = NULL;

		if (config_load("stint.yaml", texts[i], &c, &faults) != -EINVAL)
			fail_msg("%s is taken", texts[i]);
		if (strstr(buf_cstr(&faults), "s3cret") ||
			strstr(buf_cstr(&faults), "73373"))
			fail_msg("%s gives %s", texts[i], buf_cstr(&faults));
	}
}

static void
faults_of_the_url_say_what_is_wrong(void **state)
{
	/* clang-format off */
	static const struct fault_case cases[] = {
		{"redis: { url: 'redis://h:99999' }",
		 "1:10: redis.url: port: expected 1..65535\n"},
		{"redis: { url: rediss://h }",
		 "1:10: redis.url: rediss:// is not supported yet by this version\n"},
		{"redis: { url: }",
		 "1:10: redis.url: expected a text such as redis://localhost:6379/0, "
		 "got nothing\n"},
	};
	/* clang-format on */

	(void)state;
	assert_cases(cases, ARRAY_LEN(cases));
}

static void
each_fault_is_one_short_line(void **state)
{
	cleanup(buf_fini) struct buf text = {0};

	(void)state;
	assert_faults("prefix: \"a\\nb\\e\\x9b\\\"\\\\\xc3\xa4\"",
		"1:1: prefix: expected 1..64 of A-Za-z0-9_.-, got "
		"\"a\\x0ab\\x1b\\xc2\\x9b\\\"\\\\\xc3\xa4\"\n");
	assert_faults(
		"\"a\\nb\": 1", "1:1: ?: expected a known key, got an unknown one\n");
	buf_str(&text, "prefix: ");
	for (int i = 0; i < 5000; i++)
		buf_str(&text, "x\xc3\xa4"); /* 40 bytes end within a character */
	assert_faults(buf_cstr(&text),
		"1:1: prefix: expected 1..64 of A-Za-z0-9_.-, got "
		"\"x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3"
		"\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x...\"\n");
}

static void
password_files_are_checked(void **state)
{
	static const struct {
		const char *content;
		size_t n;
		const char *fault;
	} cases[] = {
		{"", 0, "expected a password in the file, got nothing"},
		{"\n", 1, "expected a password in the file, got nothing"},
		{"a\0b", 3, "expected a password in the file, got a NUL byte"},
	};
	cleanup(freep) char *big = calloc(1, 5000);
	char path[PATH_BYTES], text[TEXT_BYTES], expected[TEXT_BYTES];

	assert_non_null(big);
	unsetenv("CREDENTIALS_DIRECTORY");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_file(*state, "password", cases[i].content, cases[i].n, path);
		snprintf(text, sizeof text, "redis: { password_file: %s }", path);
		snprintf(expected, sizeof expected, "1:10: redis.password_file: %s\n",
			cases[i].fault);
		assert_faults(text, expected);
	}
	write_file(*state, "password", big, 5000, path);
	assert_faults(text,
		"1:10: redis.password_file: expected a file of at most 4KiB, got more\n");
	assert_faults("redis: { password_file: none-such }",
		"1:10: redis.password_file: expected a file that can be read beside this "
		"one: No such file or directory\n");
	setenv("CREDENTIALS_DIRECTORY", *state, 1);
	assert_faults("redis: { password_file: none-such }",
		"1:10: redis.password_file: expected a file that can be read in "
		"$CREDENTIALS_DIRECTORY: No such file or directory\n");
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_faults("redis: { password_file: '' }",
		"1:10: redis.password_file: expected the name of a file, got \"\"\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_the_wrong_type_or_range_are_faults),
		cmocka_unit_test(queues_are_checked),
		cmocka_unit_test(retries_keep_to_max_retries),
		cmocka_unit_test(handlers_are_checked),
		cmocka_unit_test(limits_of_handlers_are_checked),
		cmocka_unit_test(all_faults_are_told_in_order_of_place),
		cmocka_unit_test(unknown_keys_name_the_nearest_known_one),
		cmocka_unit_test(missing_variables_are_named),
		cmocka_unit_test(variables_cannot_multiply_without_end),
		cmocka_unit_test(secrets_are_never_shown),
		cmocka_unit_test(faults_of_the_url_say_what_is_wrong),
		cmocka_unit_test(each_fault_is_one_short_line),
		cmocka_unit_test(password_files_are_checked),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
