/*
 * test_config_faults.c - what a bad configuration is told
 */
#include "tests/unit/config_fixture.h"

enum { BIG_BYTES = 10 << 20 };

struct fault_case {
	const char *text;
	const char *faults;
};

static void
assert_cases(const struct fault_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_faults(cases[i].text, cases[i].faults);
}

static void
values_of_the_wrong_type_or_range_are_faults(void **state)
{
	static const struct fault_case cases[] = {
		{"concurrency: 0",
			"stint.yaml:1:1: concurrency: expected 1..4096 or auto, got 0\n"},
		{"concurrency: 4097", "stint.yaml:1:1: concurrency: expected 1..4096 or "
				      "auto, got 4097\n"},
		{"concurrency: -1", "stint.yaml:1:1: concurrency: expected 1..4096 or "
				    "auto, got -1\n"},
		{"concurrency: 99999999999999999999",
			"stint.yaml:1:1: concurrency: expected 1..4096 or auto, "
			"got 99999999999999999999\n"},
		{"concurrency: Auto",
			"stint.yaml:1:1: concurrency: expected 1..4096 or auto, "
			"got \"Auto\"\n"},
		{"concurrency: [1]", "stint.yaml:1:1: concurrency: expected 1..4096 or "
				     "auto, got a list\n"},
		{"concurrency: ~", "stint.yaml:1:1: concurrency: expected 1..4096 or "
				   "auto, got nothing\n"},
		{"concurrency:", "stint.yaml:1:1: concurrency: expected 1..4096 or auto, "
				 "got nothing\n"},
		{"prefix: a:b", "stint.yaml:1:1: prefix: expected 1..64 of A-Za-z0-9_.-, "
				"got \"a:b\"\n"},
		{"prefix: ''", "stint.yaml:1:1: prefix: expected 1..64 of A-Za-z0-9_.-, "
			       "got \"\"\n"},
		{"prefix: {}", "stint.yaml:1:1: prefix: expected 1..64 of A-Za-z0-9_.-, "
			       "got a map\n"},
		{"unknown_handler: drop",
			"stint.yaml:1:1: unknown_handler: expected a time span such as "
			"\"30s\" or reject, got \"drop\"\n"},
		{"unknown_handler: 0", "stint.yaml:1:1: unknown_handler: expected "
				       "1ms..30d or reject, got 0\n"},
		{"shutdown_timeout: 25h",
			"stint.yaml:1:1: shutdown_timeout: expected 0s..1d, got 25h\n"},
		{"start_timeout: 0",
			"stint.yaml:1:1: start_timeout: expected 1ms..1d, got 0\n"},
		{"defaults: { timeout: 0 }",
			"stint.yaml:1:13: defaults.timeout: expected 1ms..30d, got 0\n"},
		{"defaults: { timeout: 31d }", "stint.yaml:1:13: defaults.timeout: "
					       "expected 1ms..30d, got 31d\n"},
		{"defaults: { timeout: 999999999w }",
			"stint.yaml:1:13: defaults.timeout: expected 1ms..30d, got "
			"999999999w\n"},
		{"defaults: { kill_grace: -1s }", "stint.yaml:1:13: defaults.kill_grace: "
						  "expected a time span such as "
						  "\"30s\", got -1s\n"},
		{"defaults: { kill_grace: 61min }",
			"stint.yaml:1:13: defaults.kill_grace: expected 0s..1h, got "
			"61min\n"},
		{"defaults: { output_limit: 1023 }",
			"stint.yaml:1:13: defaults.output_limit: expected 1KiB..64MiB, "
			"got 1023\n"},
		{"defaults: { output_limit: 65MiB }",
			"stint.yaml:1:13: defaults.output_limit: expected 1KiB..64MiB, "
			"got 65MiB\n"},
		{"defaults: { payload_limit: 0 }",
			"stint.yaml:1:13: defaults.payload_limit: expected 1B..512MiB, "
			"got 0\n"},
		{"defaults: { payload_limit: much }",
			"stint.yaml:1:13: defaults.payload_limit: expected a size such "
			"as "
			"\"1MiB\", got \"much\"\n"},
		{"results: { ttl: 500ms }",
			"stint.yaml:1:12: results.ttl: expected 1s..365d, got 500ms\n"},
		{"results: { store: some }",
			"stint.yaml:1:12: results.store: expected all|failures|none, "
			"got \"some\"\n"},
		{"results: { store: all|failures }",
			"stint.yaml:1:12: results.store: expected all|failures|none, "
			"got \"all|failures\"\n"},
		{"log: { level: warn }",
			"stint.yaml:1:8: log.level: expected error|warning|info|debug, "
			"got \"warn\"\n"},
		{"log: { format: journal }",
			"stint.yaml:1:8: log.format: expected auto|text|json, "
			"got \"journal\"\n"},
		{"log: debug",
			"stint.yaml:1:1: log: expected a map of keys, got a text\n"},
		{"handlers: []",
			"stint.yaml:1:1: handlers: expected a map of keys, got a list\n"},
		{"- a", "stint.yaml:1:1: expected a map of keys, got a list\n"},
		{"just text", "stint.yaml:1:1: expected a map of keys, got a text\n"},
	};

	(void)state;
	assert_cases(cases, ARRAY_LEN(cases));
}

static void
queues_are_checked(void **state)
{
	static const struct fault_case cases[] = {
		{"queues: default",
			"stint.yaml:1:1: queues: expected a list of names, or a map from "
			"names to weights, got \"default\"\n"},
		{"queues: []", "stint.yaml:1:1: queues: expected 1..64 names, got 0\n"},
		{"queues: {}", "stint.yaml:1:1: queues: expected 1..64 names, got 0\n"},
		{"queues:\n  - a\n  - b\n  - a\n", "stint.yaml:4:5: queues: expected "
						   "each queue once, got \"a\" again\n"},
		{"queues: [a, 'b c', [d], ~]", "stint.yaml:1:13: queues: expected 1..64 "
					       "of A-Za-z0-9_.-, got another "
					       "name\n"
					       "stint.yaml:1:20: queues: expected the "
					       "name of a queue, got a list\n"
					       "stint.yaml:1:25: queues: expected the "
					       "name of a queue, got nothing\n"},
		{"queues: { a: 0, b: 1001, c: high, 'd e': 1 }",
			"stint.yaml:1:11: queues.a: expected 1..1000, got 0\n"
			"stint.yaml:1:17: queues.b: expected 1..1000, got 1001\n"
			"stint.yaml:1:26: queues.c: expected 1..1000, got \"high\"\n"
			"stint.yaml:1:35: queues.?: expected 1..64 of A-Za-z0-9_.-, got "
			"another "
			"name\n"},
	};
	cleanup(buf_fini) struct buf text = {0};

	(void)state;
	assert_cases(cases, ARRAY_LEN(cases));
	buf_str(&text, "queues: [q0");
	for (int i = 1; i <= 64; i++)
		buf_fmt(&text, ", q%d", i);
	buf_str(&text, "]");
	assert_faults(buf_cstr(&text),
		"stint.yaml:1:1: queues: expected 1..64 names, got 65\n");
}

static void
handlers_are_checked(void **state)
{
	static const struct fault_case cases[] = {
		{"handlers:\n  resize:\n", "stint.yaml:2:3: handlers.resize: expected "
					   "the key \"command\", got "
					   "none\n"},
		{"handlers: { a b: { command: [x] } }",
			"stint.yaml:1:13: handlers.?: expected a name of 1..64 of "
			"A-Za-z0-9_.-, got another\n"},
		{"handlers: { h: [x] }", "stint.yaml:1:13: handlers.h: expected a map of "
					 "keys, got a list\n"},
		{"handlers: { h: { command: /bin/true -x } }",
			"stint.yaml:1:18: handlers.h.command: expected a list, the "
			"program and "
			"its arguments, got \"/bin/true -x\"\n"},
		{"handlers: { h: { command: [] } }",
			"stint.yaml:1:18: handlers.h.command: expected a list, the "
			"program and "
			"its arguments, got an empty one\n"},
		{"handlers: { h: { command: ['', [x], {}, ~] } }",
			"stint.yaml:1:28: handlers.h.command: expected a program first, "
			"got an "
			"empty text\n"
			"stint.yaml:1:32: handlers.h.command: expected a text, got a "
			"list\n"
			"stint.yaml:1:37: handlers.h.command: expected a text, got a "
			"map\n"
			"stint.yaml:1:41: handlers.h.command: expected a text, got "
			"nothing\n"},
		{"handlers: { h: { command: [x], directory: var/lib } }",
			"stint.yaml:1:32: handlers.h.directory: expected an absolute "
			"path, got "
			"\"var/lib\"\n"},
		{"handlers: { h: { command: [x], environment: [A=1] } }",
			"stint.yaml:1:32: handlers.h.environment: expected a map from "
			"names to "
			"texts, got a list\n"},
		{"handlers: { h: { command: [x], environment: { A-B: 1, 2C: 1, D: , E: "
		 "[] "
		 "} } }",
			"stint.yaml:1:47: handlers.h.environment.A-B: expected a name of "
			"A-Za-z0-9_, not beginning with a digit, got another\n"
			"stint.yaml:1:55: handlers.h.environment.2C: expected a name of "
			"A-Za-z0-9_, not beginning with a digit, got another\n"
			"stint.yaml:1:62: handlers.h.environment.D: expected a text, got "
			"nothing\n"
			"stint.yaml:1:67: handlers.h.environment.E: expected a text, got "
			"a "
			"list\n"},
		{"handlers: { h: { command: [x], results: { ttl: 0, store: x } } }",
			"stint.yaml:1:43: handlers.h.results.ttl: expected 1s..365d, got "
			"0\n"
			"stint.yaml:1:51: handlers.h.results.store: expected "
			"all|failures|none, got \"x\"\n"},
	};

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
		"stint.yaml:4:5: handlers.resize.timeout: expected a time span such as "
		"\"30s\", got \"soon\"\n"
		"stint.yaml:5:5: handlers.resize.tiemout: expected a known key, got an "
		"unknown one; did you mean \"timeout\"?\n"
		"stint.yaml:7:3: defaults.timeout: expected a time span such as \"30s\", "
		"got \"never\"\n"
		"stint.yaml:8:1: concurency: expected a known key, got an unknown one; "
		"did you mean \"concurrency\"?\n"
		"stint.yaml:9:8: log.level: expected error|warning|info|debug, got 7\n"
		"stint.yaml:9:18: log.format: expected auto|text|json, got \"x\"\n");
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
		{"lease", NULL},
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
			"stint.yaml:1:1: %s: expected a known key, got an unknown "
			"one%s%s%s\n",
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
		"stint.yaml:1:1: prefix: expected ${T_NOT_SET} to be set in the "
		"environment, got nothing\n"
		"stint.yaml:2:31: handlers.h.command: expected ${T_NOT_SET} to be set in "
		"the environment, got nothing\n");
	for (size_t i = 0; i < 4; i++) {
		static const char *const texts[] = {
			"prefix: a${", "prefix: ${}", "prefix: ${A-B}", "prefix: ${1A}"};

		assert_faults(texts[i],
			"stint.yaml:1:1: prefix: expected ${NAME} with a name of "
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
		"stint.yaml:1:1: prefix: expected a text of at most 128KiB, got more\n");
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
	static const struct fault_case cases[] = {
		{"redis: { url: 'redis://h:99999' }",
			"stint.yaml:1:10: redis.url: port: expected 1..65535\n"},
		{"redis: { url: rediss://h }", "stint.yaml:1:10: redis.url: rediss:// is "
					       "not supported yet by this "
					       "version\n"},
		{"redis: { url: }", "stint.yaml:1:10: redis.url: expected a text such as "
				    "redis://localhost:6379/0, got nothing\n"},
	};

	(void)state;
	assert_cases(cases, ARRAY_LEN(cases));
}

static void
each_fault_is_one_short_line(void **state)
{
	cleanup(buf_fini) struct buf text = {0};

	(void)state;
	assert_faults("prefix: \"a\\nb\\e\\x9b\\\"\\\\\xc3\xa4\"",
		"stint.yaml:1:1: prefix: expected 1..64 of A-Za-z0-9_.-, got "
		"\"a\\x0ab\\x1b\\xc2\\x9b\\\"\\\\\xc3\xa4\"\n");
	assert_faults("\"a\\nb\": 1",
		"stint.yaml:1:1: ?: expected a known key, got an unknown one\n");
	buf_str(&text, "prefix: ");
	for (int i = 0; i < 5000; i++)
		buf_str(&text, "x\xc3\xa4"); /* 40 bytes end within a character */
	assert_faults(buf_cstr(&text),
		"stint.yaml:1:1: prefix: expected 1..64 of A-Za-z0-9_.-, got "
		"\"x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4"
		"x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x\xc3\xa4x...\"\n");
}

static void
faults_of_yaml_are_told(void **state)
{
	static const struct fault_case cases[] = {
		{"prefix: a\nqueues: [q]\nprefix: b\n",
			"stint.yaml:3:1: prefix: expected each key once, got it again "
			"(first "
			"in line 1)\n"},
		{"handlers:\n  h: { command: [x] }\n  h: { command: [y] }\n",
			"stint.yaml:3:3: handlers.h: expected each key once, got it "
			"again "
			"(first in line 2)\n"},
		{"prefix: &a x\nlog: { level: *a }\n",
			"stint.yaml:1:1: prefix: expected no anchors and aliases (& and "
			"*), "
			"got an anchor\n"
			"stint.yaml:2:8: log.level: expected no anchors and aliases (& "
			"and "
			"*), got an alias\n"},
		{"prefix: !!str 1\nqueues: !set [a]\n",
			"stint.yaml:1:1: prefix: expected no tags, got one (it begins "
			"with "
			"!)\n"
			"stint.yaml:2:1: queues: expected no tags, got one (it begins "
			"with "
			"!)\n"},
		{"log: &l { level: 3 }\n", "stint.yaml:1:1: log: expected no anchors and "
					   "aliases (& and *), got "
					   "an anchor\n"},
		{"prefix: a\n---\nprefix: b\n",
			"stint.yaml:2:1: expected one document, got a second\n"},
		{"? [a]\n: b\n", "stint.yaml:1:3: expected a plain key, got a list, a "
				 "map or an alias\n"},
		{"\"url\\0x\": 1",
			"stint.yaml:1:1: expected a key without NUL, got one\n"},
		{"prefix: \"a\\0b\"",
			"stint.yaml:1:1: prefix: expected text without NUL, got one\n"},
		{"a: b: c\n", "stint.yaml:1:5: expected valid YAML: mapping values are "
			      "not allowed "
			      "in this context\n"},
		{"prefix: a\n\tqueues: b\n", "stint.yaml:2:1: expected valid YAML: found "
					     "character that cannot "
					     "start any token\n"},
		{"queues: [a\n", "stint.yaml:2:1: expected valid YAML: did not find "
				 "expected ',' or "
				 "']'\n"},
		{"prefix: a\nx: \xff\n", "stint.yaml:2:4: expected valid YAML: invalid "
					 "leading UTF-8 octet\n"},
	};

	(void)state;
	assert_cases(cases, ARRAY_LEN(cases));
}

static void
alias_bomb_costs_nothing(void **state)
{
	cleanup(buf_fini) struct buf text = {0}, faults = {0};
	cleanup(configp) struct config *c = NULL;
	int lines = 0;

	(void)state;
	buf_str(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 10; i++)
		buf_fmt(&text, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n",
			i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	assert_int_equal(
		config_load("stint.yaml", buf_cstr(&text), &c, &faults), -EINVAL);
	for (const char *p = buf_cstr(&faults); (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(
		lines, 10 /* unknown */ + 10 /* anchors */ + 9 * 7 /* aliases */);
}

static void
nesting_and_nodes_are_bounded(void **state)
{
	cleanup(buf_fini) struct buf deep = {0}, wide = {0};

	(void)state;
	assert_faults("a: [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]",
		"stint.yaml:1:19: expected at most 16 levels of nesting, got more\n");
	assert_faults("a: [[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]",
		"stint.yaml:1:1: a: expected a known key, got an unknown one\n");
	for (int i = 0; i < 1000000; i++)
		buf_char(&deep, '[');
	assert_faults(buf_cstr(&deep),
		"stint.yaml:1:17: expected at most 16 levels of nesting, got more\n");
	buf_str(&wide, "a: [");
	for (int i = 0; i < 20000; i++)
		buf_str(&wide, "x, ");
	buf_str(&wide, "]");
	assert_faults(buf_cstr(&wide),
		"stint.yaml:1:60002: expected at most 20000 values, got more\n");
}

/* As a file: one line of fault, which begins with its path and goes on as @expected. */
static void
assert_file_fault(const char *path, const char *expected)
{
	cleanup(buf_fini) struct buf faults = {0};
	cleanup(configp) struct config *c = NULL;
	char line[TEXT_BYTES];

	assert_int_equal(config_load(path, NULL, &c, &faults), -EINVAL);
	snprintf(line, sizeof line, "%s%s\n", path, expected);
	assert_string_equal(buf_cstr(&faults), line);
}

static void
files_that_are_none_are_faults(void **state)
{
	static const char elf[] = "\x7f"
				  "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0";
	cleanup(freep) char *big = calloc(1, BIG_BYTES);
	char path[PATH_BYTES];

	assert_non_null(big);
	assert_file_fault("/nonexistent/stint.yaml",
		": expected a file that can be read: No such file or directory");
	assert_file_fault(*state, ": expected a file that can be read: Is a directory");
	write_file(*state, "big.yaml", big, BIG_BYTES, path);
	assert_file_fault(path, ": expected a file of at most 1MiB, got 10MiB");
	write_file(*state, "big.yaml", big, (1 << 20) + 1, path);
	assert_file_fault(path, ": expected a file of at most 1MiB, got 1048577");
	assert_file_fault("/dev/zero", ": expected a file of at most 1MiB, got more");
	write_file(*state, "zeros.yaml", big, 1 << 20, path);
	assert_file_fault(
		path, ":1:1: expected valid YAML: control characters are not allowed");
	write_file(*state, "binary.yaml", elf, sizeof elf, path);
	assert_file_fault(
		path, ":1:1: expected valid YAML: control characters are not allowed");
}

static void
text_over_the_limit_is_a_fault_like_a_file(void **state)
{
	cleanup(freep) char *big = malloc((2 << 20) + 1);

	(void)state;
	assert_non_null(big);
	memset(big, '#', 2 << 20);
	big[2 << 20] = '\0';
	assert_faults(big, "stint.yaml: expected a file of at most 1MiB, got 2MiB\n");
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
		snprintf(expected, sizeof expected,
			"stint.yaml:1:10: redis.password_file: %s\n", cases[i].fault);
		assert_faults(text, expected);
	}
	write_file(*state, "password", big, 5000, path);
	assert_faults(text, "stint.yaml:1:10: redis.password_file: expected a file of at "
			    "most 4KiB, got more\n");
	assert_faults("redis: { password_file: none-such }",
		"stint.yaml:1:10: redis.password_file: expected a file that can be read "
		"beside this one: No such file or directory\n");
	setenv("CREDENTIALS_DIRECTORY", *state, 1);
	assert_faults("redis: { password_file: none-such }",
		"stint.yaml:1:10: redis.password_file: expected a file that can be read "
		"in $CREDENTIALS_DIRECTORY: No such file or directory\n");
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_faults("redis: { password_file: '' }",
		"stint.yaml:1:10: redis.password_file: expected the name of a file, got "
		"\"\"\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_the_wrong_type_or_range_are_faults),
		cmocka_unit_test(queues_are_checked),
		cmocka_unit_test(handlers_are_checked),
		cmocka_unit_test(all_faults_are_told_in_order_of_place),
		cmocka_unit_test(unknown_keys_name_the_nearest_known_one),
		cmocka_unit_test(missing_variables_are_named),
		cmocka_unit_test(variables_cannot_multiply_without_end),
		cmocka_unit_test(secrets_are_never_shown),
		cmocka_unit_test(faults_of_the_url_say_what_is_wrong),
		cmocka_unit_test(each_fault_is_one_short_line),
		cmocka_unit_test(faults_of_yaml_are_told),
		cmocka_unit_test(alias_bomb_costs_nothing),
		cmocka_unit_test(nesting_and_nodes_are_bounded),
		cmocka_unit_test(files_that_are_none_are_faults),
		cmocka_unit_test(text_over_the_limit_is_a_fault_like_a_file),
		cmocka_unit_test(password_files_are_checked),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
