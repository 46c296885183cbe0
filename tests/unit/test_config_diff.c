/*
 * test_config_diff.c - what a reload can change and what it cannot
 */
#include "tests/unit/config_fixture.h"
#include "daemon/config/schema.h"

static void
assert_restart(const char *now, const char *wanted, const char *expected)
{
	cleanup(configp) struct config *a = config_of(now);
	cleanup(configp) struct config *b = config_of(wanted);
	cleanup(buf_fini) struct buf names = {0};

	config_needs_restart(a, b, &names);
	assert_string_equal(buf_cstr(&names), expected);
}

static void
restart_is_needed_for_redis_prefix_and_lease_only(void **state)
{
	(void)state;
	assert_restart("", "", "");
	assert_restart("", "prefix: x", "prefix");
	assert_restart("", "lease: 31s", "lease");
	assert_restart("", "lease: 30000ms", "");
	assert_restart("", "redis: { url: 'redis://localhost:6379/1' }", "redis.url");
	assert_restart("redis: { url: 'redis://:a@h' }", "redis: { url: 'redis://:b@h' }",
		"redis.url");
	assert_restart("redis: { url: 'redis://h' }",
		"{ redis: { url: 'unix:///r' }, prefix: x }", "redis.url, prefix");
	assert_restart("",
		"concurrency: 3\n"
		"queues: { a: 1 }\n"
		"defaults: { timeout: 1s, retries: 1, backoff: 2s }\n"
		"dead_letters: { max_count: 1, max_size: 1MiB }\n"
		"max_deliveries: 1\n"
		"handlers: { h: { command: [x] } }\n"
		"results: { ttl: 1s }\n"
		"unknown_handler: 1s\n"
		"shutdown_timeout: 1s\n"
		"start_timeout: 1s\n"
		"log: { level: debug, format: json }\n",
		"");
}

static void
restart_is_needed_for_another_password_in_the_file(void **state)
{
	cleanup(buf_fini) struct buf faults = {0}, names = {0};
	cleanup(configp) struct config *a = NULL, *b = NULL;
	const char *text = "redis: { password_file: changing }";
	char path[PATH_BYTES], conf[PATH_BYTES];

	unsetenv("CREDENTIALS_DIRECTORY");
	write_file(*state, "changing.yaml", text, strlen(text), conf);
	write_file(*state, "changing", "a", 1, path);
	assert_int_equal(config_load(conf, NULL, &a, &faults), 0);
	write_file(*state, "changing", "b", 1, path);
	assert_int_equal(config_load(conf, NULL, &b, &faults), 0);
	config_needs_restart(a, a, &names);
	assert_int_equal(names.len, 0);
	config_needs_restart(a, b, &names);
	assert_string_equal(buf_cstr(&names), "redis.password_file");
}

/* config_needs_restart() compares no other types. */
static void
keys_that_need_a_restart_can_be_compared(void **state)
{
	(void)state;
	for (size_t i = 0; i < schema_key_count; i++) {
		const struct schema_key *row = &schema_keys[i];

		if (row->flags & KEY_NEEDS_RESTART && row->type != KEY_URL &&
			row->type != KEY_PASSWORD_FILE && row->type != KEY_NAME &&
			row->type != KEY_SPAN)
			fail_msg("%s", row->path);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restart_is_needed_for_redis_prefix_and_lease_only),
		cmocka_unit_test(restart_is_needed_for_another_password_in_the_file),
		cmocka_unit_test(keys_that_need_a_restart_can_be_compared),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
