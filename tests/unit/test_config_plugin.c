/*
 * test_config_plugin.c - the keys of a plugin; where it lies is tests/integration's
 */
#include "tests/unit/config_fixture.h"

static void
plugin_in_a_thread_needs_no_program(void **state)
{
	cleanup(configp) struct config *c =
		config_of("max_stuck: 1000\n"
			  "handlers:\n"
			  "  p: { plugin: /proc/self/exe, isolation: thread }\n"
			  "  w: { worker: [x] }\n");
	const struct handler_conf *h = config_handler(c, "p", 1);

	(void)state;
	assert_int_equal(c->max_stuck, 1000);
	assert_string_equal(h->plugin, "/proc/self/exe");
	assert_int_equal(h->isolation, ISOLATION_THREAD);
	assert_false(h->is_worker);
	assert_null(h->argv);
	assert_null(h->run);
	assert_int_equal(h->plugin_line, 3);
	assert_true(h->plugin_stamp.bytes > 0);
	assert_null(config_handler(c, "w", 1)->plugin);
}

static void
plugins_are_checked(void **state)
{
	/* clang-format off */
	static const struct fault_case cases[] = {
		{"handlers: { h: { command: [x], isolation: thread } }",
		 "1:32: handlers.h.isolation: expected only for a handler with "
		 "\"plugin\"\n"},
		{"handlers: { h: { plugin: /etc/passwd, isolation: thread } }",
		 "1:18: handlers.h.plugin: expected a plugin (a shared object), got "
		 "\"/etc/passwd\": not a shared object\n"},
		{"handlers: { h: { plugin: /proc/self/exe, isolation: thread,\n"
		 "  environment: { A: b }, directory: /, max_jobs: 1 } }",
		 "2:3: handlers.h.environment: expected only for a handler with "
		 "processes, not with \"isolation: thread\"\n"
		 "2:26: handlers.h.directory: expected only for a handler with "
		 "processes, not with \"isolation: thread\"\n"
		 "2:40: handlers.h.max_jobs: expected only for a handler with "
		 "processes, not with \"isolation: thread\"\n"},
		{"handlers: { h: { plugin: /proc/self/exe, isolation: thread,\n"
		 "  limits: { files: 64 }, user: root } }",
		 "2:3: handlers.h.limits: expected only for a handler with "
		 "processes, not with \"isolation: thread\"\n"
		 "2:26: handlers.h.user: expected only for a handler with "
		 "processes, not with \"isolation: thread\"\n"},
	};
	/* clang-format on */

	(void)state;
	assert_cases(cases, ARRAY_LEN(cases));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plugin_in_a_thread_needs_no_program),
		cmocka_unit_test(plugins_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
