/*
 * test_config_yaml.c - files that are bad YAML, or more of it than there should be
 */
#include "tests/unit/config_fixture.h"

enum { BIG_BYTES = 10 << 20 };

static void
faults_of_yaml_are_told(void **state)
{
	/* clang-format off */
	static const struct fault_case cases[] = {
		{"prefix: a\n"
		 "queues: [q]\n"
		 "prefix: b\n",
		 "3:1: prefix: expected each key once, got it again (first in line 1)\n"},
		{"handlers:\n"
		 "  h: { command: [x] }\n"
		 "  h: { command: [y] }\n",
		 "3:3: handlers.h: expected each key once, got it again (first in "
		 "line 2)\n"},
		{"prefix: &a x\n"
		 "log: { level: *a }\n",
		 "1:1: prefix: expected no anchors and aliases (& and *), got an "
		 "anchor\n"
		 "2:8: log.level: expected no anchors and aliases (& and *), got an "
		 "alias\n"},
		{"prefix: !!str 1\n"
		 "queues: !set [a]\n",
		 "1:1: prefix: expected no tags, got one (it begins with !)\n"
		 "2:1: queues: expected no tags, got one (it begins with !)\n"},
		{"log: &l { level: 3 }\n",
		 "1:1: log: expected no anchors and aliases (& and *), got an anchor\n"},
		{"prefix: a\n"
		 "---\n"
		 "prefix: b\n",
		 "2:1: expected one document, got a second\n"},
		{"? [a]\n"
		 ": b\n",
		 "1:3: expected a plain key, got a list, a map or an alias\n"},
		{"\"url\\0x\": 1", "1:1: expected a key without NUL, got one\n"},
		{"prefix: \"a\\0b\"",
		 "1:1: prefix: expected text without NUL, got one\n"},
		{"a: b: c\n",
		 "1:5: expected valid YAML: mapping values are not allowed in this "
		 "context\n"},
		{"prefix: a\n"
		 "\tqueues: b\n",
		 "2:1: expected valid YAML: found a tab character that violates "
		 "indentation\n"},
		{"queues: [a\n",
		 "2:1: expected valid YAML: did not find expected ',' or ']'\n"},
		{"prefix: a\n"
		 "x: \xff\n",
		 "2:4: expected valid YAML: invalid leading UTF-8 octet\n"},
	};
	/* clang-format on */

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
		"1:19: expected at most 16 levels of nesting, got more\n");
	assert_faults("a: [[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]",
		"1:1: a: expected a known key, got an unknown one\n");
	for (int i = 0; i < 1000000; i++)
		buf_char(&deep, '[');
	assert_faults(buf_cstr(&deep),
		"1:17: expected at most 16 levels of nesting, got more\n");
	buf_str(&wide, "a: [");
	for (int i = 0; i < 20000; i++)
		buf_str(&wide, "x, ");
	buf_str(&wide, "]");
	assert_faults(
		buf_cstr(&wide), "1:60002: expected at most 20000 values, got more\n");
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
	assert_faults(big, " expected a file of at most 1MiB, got 2MiB\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_of_yaml_are_told),
		cmocka_unit_test(alias_bomb_costs_nothing),
		cmocka_unit_test(nesting_and_nodes_are_bounded),
		cmocka_unit_test(files_that_are_none_are_faults),
		cmocka_unit_test(text_over_the_limit_is_a_fault_like_a_file),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
