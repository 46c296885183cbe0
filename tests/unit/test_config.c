/*
 * test_config.c - what a good configuration comes to
 */
#include "tests/unit/config_fixture.h"
#include "daemon/config/schema.h"

static void
assert_defaults(const struct config *c)
{
	assert_string_equal(c->redis.host, "localhost");
	assert_int_equal(c->redis.port, 6379);
	assert_int_equal(c->redis.db, 0);
	assert_null(c->redis.user);
	assert_null(c->redis.password);
	assert_null(c->password_file);
	assert_string_equal(c->prefix, "stint");
	assert_int_equal(c->concurrency, 16);
	assert_false(c->is_weighted);
	assert_int_equal(c->queue_count, 1);
	assert_string_equal(c->queues[0].name, "default");
	assert_int_equal(c->default_result_ttl_ms, 3600 * 1000);
	assert_int_equal(c->default_store, STORE_ALL);
	assert_int_equal(c->default_payload_limit_bytes, 16 << 20);
	assert_int_equal(c->dead_max_count, 10000);
	assert_int_equal(c->dead_max_bytes, 64 << 20);
	assert_int_equal(c->lease_ms, 30 * 1000);
	assert_int_equal(c->max_deliveries, 5);
	assert_int_equal(c->unknown_handler_ms, 0);
	assert_int_equal(c->shutdown_timeout_ms, 25 * 1000);
	assert_int_equal(c->start_timeout_ms, 30 * 1000);
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->log_format, LOG_FORMAT_AUTO);
}

static void
assert_handler_defaults(const struct handler_conf *h)
{
	assert_non_null(h);
	assert_int_equal(h->timeout_ms, 30 * 1000);
	assert_int_equal(h->kill_grace_ms, 5 * 1000);
	assert_int_equal(h->output_limit_bytes, 1 << 20);
	assert_int_equal(h->payload_limit_bytes, 16 << 20);
	assert_int_equal(h->retries, 0);
	assert_int_equal(h->max_retries, 25);
	assert_int_equal(h->backoff_ms, 1000);
	assert_int_equal(h->backoff_max_ms, 600 * 1000);
	assert_int_equal(h->result_ttl_ms, 3600 * 1000);
	assert_int_equal(h->store, STORE_ALL);
}

static const struct handler_conf *
handler_of(const struct config *c, const char *name)
{
	const struct handler_conf *h = config_handler(c, name, strlen(name));

	assert_non_null(h);
	return h;
}

static void
empty_file_is_all_defaults(void **state)
{
	static const char *const texts[] = {"", "\n\n", "# nothing\n", "---\n", "{}", "~",
		"\xef\xbb\xbf", "redis:\ndefaults:\nhandlers:\nresults:\nlog:\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cleanup(configp) struct config *c = config_of(texts[i]);

		assert_defaults(c);
		assert_int_equal(HASH_COUNT(c->handlers), 0);
		assert_string_equal(c->path, "stint.yaml");
	}
}

static void
built_in_text_needs_no_path(void **state)
{
	cleanup(buf_fini) struct buf faults = {0};
	cleanup(configp) struct config *c = NULL;

	(void)state;
	assert_int_equal(config_load(NULL, "prefix: dev", &c, &faults), 0);
	assert_null(c->path);
	assert_string_equal(c->prefix, "dev");
}

static void
shipped_file_is_the_defaults_and_one_handler(void **state)
{
	cleanup(buf_fini) struct buf faults = {0};
	cleanup(configp) struct config *c = NULL;
	const struct handler_conf *h;

	(void)state;
	if (config_load("config/stint.yaml", NULL, &c, &faults) != 0)
		fail_msg("%s", buf_cstr(&faults));
	assert_defaults(c);
	assert_int_equal(HASH_COUNT(c->handlers), 1);
	h = handler_of(c, "upper");
	assert_handler_defaults(h);
	assert_string_equal(h->argv[0], "/usr/bin/tr");
}

/* The table's names are all in the shipped file; one, which has no default, in a comment.
 */
static void
shipped_file_names_every_key(void **state)
{
	cleanup(fclosep) FILE *f = fopen("config/stint.yaml", "re");
	char text[16 * 1024], wanted[64];
	size_t n;

	(void)state;
	assert_non_null(f);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	for (size_t i = 0; i < schema_key_count; i++) {
		const char *dot = strrchr(schema_keys[i].path, '.');

		snprintf(wanted, sizeof wanted,
			"%s:", dot ? dot + 1 : schema_keys[i].path);
		if (!strstr(text, wanted))
			fail_msg("%s is missing", schema_keys[i].path);
		assert_true(strlen(schema_keys[i].help) > 0);
	}
}

static void
every_key_of_the_daemon_is_taken(void **state)
{
	cleanup(configp) struct config *c =
		config_of("redis: { url: 'redis://ann:pw@[::1]:7000/3' }\n"
			  "prefix: my.jobs\n"
			  "concurrency: 4096\n"
			  "queues: [critical, default]\n"
			  "defaults: { payload_limit: 512MiB }\n"
			  "results: { ttl: 2d, store: failures }\n"
			  "dead_letters: { max_count: 7, max_size: 1KiB }\n"
			  "lease: 1s\n"
			  "max_deliveries: 1000\n"
			  "unknown_handler: 10s\n"
			  "shutdown_timeout: 1h 30min\n"
			  "start_timeout: 1.5\n"
			  "log: { level: debug, format: json }\n");

	(void)state;
	assert_string_equal(c->redis.host, "::1");
	assert_int_equal(c->redis.port, 7000);
	assert_int_equal(c->redis.db, 3);
	assert_string_equal(c->redis.user, "ann");
	assert_string_equal(c->redis.password, "pw");
	assert_string_equal(c->prefix, "my.jobs");
	assert_int_equal(c->concurrency, 4096);
	assert_int_equal(c->queue_count, 2);
	assert_string_equal(c->queues[0].name, "critical");
	assert_string_equal(c->queues[1].name, "default");
	assert_int_equal(c->queues[0].weight, 0);
	assert_int_equal(c->default_payload_limit_bytes, 512 << 20);
	assert_int_equal(c->default_result_ttl_ms, 2 * 86400 * 1000);
	assert_int_equal(c->default_store, STORE_FAILURES);
	assert_int_equal(c->dead_max_count, 7);
	assert_int_equal(c->dead_max_bytes, 1024);
	assert_int_equal(c->lease_ms, 1000);
	assert_int_equal(c->max_deliveries, 1000);
	assert_int_equal(c->unknown_handler_ms, 10 * 1000);
	assert_int_equal(c->shutdown_timeout_ms, 5400 * 1000);
	assert_int_equal(c->start_timeout_ms, 1500);
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->log_format, LOG_FORMAT_JSON);
}

static void
every_key_of_a_handler_is_taken(void **state)
{
	cleanup(configp) struct config *c =
		config_of("handlers:\n"
			  "  a.b_c-1:\n"
			  "    command: [sleep, 5, '', \"two words\"]\n"
			  "    timeout: 30d\n"
			  "    kill_grace: 0\n"
			  "    output_limit: 64MiB\n"
			  "    payload_limit: 1\n"
			  "    retries: 1000\n"
			  "    max_retries: 1000\n"
			  "    backoff: 1ms\n"
			  "    backoff_max: 30d\n"
			  "    environment: { A: 1, _b2: 'x=y', EMPTY: '' }\n"
			  "    directory: /var/lib/app\n"
			  "    results: { ttl: 365d, store: none }\n");
	const struct handler_conf *h = handler_of(c, "a.b_c-1");

	(void)state;
	assert_string_equal(h->name, "a.b_c-1");
	assert_string_equal(h->argv[0], "sleep");
	assert_string_equal(h->argv[1], "5");
	assert_string_equal(h->argv[2], "");
	assert_string_equal(h->argv[3], "two words");
	assert_null(h->argv[4]);
	assert_false(h->is_worker);
	assert_int_equal(h->timeout_ms, INT64_C(30) * 86400 * 1000);
	assert_int_equal(h->kill_grace_ms, 0);
	assert_int_equal(h->output_limit_bytes, 64 << 20);
	assert_int_equal(h->payload_limit_bytes, 1);
	assert_int_equal(h->retries, 1000);
	assert_int_equal(h->max_retries, 1000);
	assert_int_equal(h->backoff_ms, 1);
	assert_int_equal(h->backoff_max_ms, INT64_C(30) * 86400 * 1000);
	assert_string_equal(h->environment[0], "A=1");
	assert_string_equal(h->environment[1], "_b2=x=y");
	assert_string_equal(h->environment[2], "EMPTY=");
	assert_null(h->environment[3]);
	assert_string_equal(h->directory, "/var/lib/app");
	assert_int_equal(h->result_ttl_ms, INT64_C(365) * 86400 * 1000);
	assert_int_equal(h->store, STORE_NONE);
}

static void
every_key_of_a_worker_is_taken(void **state)
{
	cleanup(configp) struct config *c = config_of("handlers:\n"
						      "  all:\n"
						      "    worker: [python3, x.py]\n"
						      "    ready_timeout: 1ms\n"
						      "    idle_timeout: 30d\n"
						      "    max_jobs: 1000000000\n"
						      "    concurrency: 4096\n"
						      "  bare: { worker: [x] }\n"
						      "  none:\n"
						      "    worker: [x]\n"
						      "    idle_timeout: none\n"
						      "    max_jobs: none\n");
	const struct handler_conf *h = handler_of(c, "all");

	(void)state;
	assert_true(h->is_worker);
	assert_string_equal(h->argv[0], "python3");
	assert_string_equal(h->argv[1], "x.py");
	assert_null(h->argv[2]);
	assert_int_equal(h->ready_timeout_ms, 1);
	assert_int_equal(h->idle_timeout_ms, INT64_C(30) * 86400 * 1000);
	assert_int_equal(h->max_jobs, 1000000000);
	assert_int_equal(h->concurrency, 4096);
	h = handler_of(c, "bare");
	assert_true(h->is_worker);
	assert_int_equal(h->ready_timeout_ms, 30000);
	assert_int_equal(h->idle_timeout_ms, 0);
	assert_int_equal(h->max_jobs, 0);
	h = handler_of(c, "none");
	assert_int_equal(h->idle_timeout_ms, 0);
	assert_int_equal(h->max_jobs, 0);
}

static void
bare_handler_has_the_defaults(void **state)
{
	cleanup(configp) struct config *c =
		config_of("handlers: { h: { command: [x] } }");
	const struct handler_conf *h = handler_of(c, "h");

	(void)state;
	assert_handler_defaults(h);
	assert_null(h->directory);
	assert_non_null(h->environment);
	assert_null(h->environment[0]);
	assert_null(config_handler(c, "h2", 2));
	assert_ptr_equal(config_handler(c, "hxx", 1), h); /* the length counts */
}

static void
handler_before_defaults_inherits_them_too(void **state)
{
	cleanup(configp) struct config *c = config_of(
		"handlers:\n"
		"  one: { command: [x] }\n"
		"  two: { command: [x], timeout: 2s, results: { store: none } }\n"
		"defaults: { timeout: 7s, kill_grace: 8s, output_limit: 9KiB,\n"
		"            payload_limit: 10, retries: 2, max_retries: 3,\n"
		"            backoff: 4s, backoff_max: 5s }\n"
		"results: { ttl: 11s, store: failures }\n");
	const struct handler_conf *one = handler_of(c, "one"),
				  *two = handler_of(c, "two");

	(void)state;
	assert_int_equal(one->timeout_ms, 7000);
	assert_int_equal(one->kill_grace_ms, 8000);
	assert_int_equal(one->output_limit_bytes, 9 << 10);
	assert_int_equal(one->payload_limit_bytes, 10);
	assert_int_equal(one->retries, 2);
	assert_int_equal(one->max_retries, 3);
	assert_int_equal(one->backoff_ms, 4000);
	assert_int_equal(one->backoff_max_ms, 5000);
	assert_int_equal(one->result_ttl_ms, 11000);
	assert_int_equal(one->store, STORE_FAILURES);
	assert_int_equal(two->timeout_ms, 2000);
	assert_int_equal(two->kill_grace_ms, 8000);
	assert_int_equal(two->result_ttl_ms, 11000);
	assert_int_equal(two->store, STORE_NONE);
}

static void
queues_as_a_map_have_weights(void **state)
{
	cleanup(configp) struct config *c =
		config_of("queues: { critical: 1000, default: 3, bulk: 1 }");

	(void)state;
	assert_true(c->is_weighted);
	assert_int_equal(c->queue_count, 3);
	assert_string_equal(c->queues[0].name, "critical");
	assert_int_equal(c->queues[0].weight, 1000);
	assert_string_equal(c->queues[2].name, "bulk");
	assert_int_equal(c->queues[2].weight, 1);
}

static void
auto_concurrency_is_at_least_one(void **state)
{
	cleanup(configp) struct config *c = config_of("concurrency: auto");

	(void)state;
	assert_in_range(c->concurrency, 1, 4096);
}

static void
variables_are_replaced_in_every_text(void **state)
{
	cleanup(configp) struct config *c = NULL;
	const struct handler_conf *h;

	(void)state;
	setenv("T_HOST", "db1", 1);
	setenv("T_N", "5", 1);
	setenv("T_ODD", "${T_N} $$ \"x: [", 1);
	setenv("T_EMPTY", "", 1);
	c = config_of("redis: { url: 'redis://${T_HOST}:700${T_N}' }\n"
		      "concurrency: ${T_N}\n"
		      "queues: [\"q${T_N}\"]\n"
		      "handlers:\n"
		      "  h:\n"
		      "    command: [\"${T_ODD}\", a$$b, $, \"$x$\", \"$${T_N}\", "
		      "\"${T_EMPTY}\"]\n"
		      "    timeout: ${T_N}min\n"
		      "    environment: { HOST: \"${T_HOST}.${T_HOST}\" }\n");
	h = handler_of(c, "h");
	assert_string_equal(c->redis.host, "db1");
	assert_int_equal(c->redis.port, 7005);
	assert_int_equal(c->concurrency, 5);
	assert_string_equal(c->queues[0].name, "q5");
	assert_string_equal(h->argv[0], "${T_N} $$ \"x: ["); /* not scanned again */
	assert_string_equal(h->argv[1], "a$b");
	assert_string_equal(h->argv[2], "$");
	assert_string_equal(h->argv[3], "$x$");
	assert_string_equal(h->argv[4], "${T_N}");
	assert_string_equal(h->argv[5], "");
	assert_int_equal(h->timeout_ms, 300 * 1000);
	assert_string_equal(h->environment[0], "HOST=db1.db1");
}

/* Loads with a password file named @name, and returns the password. */
static char *
password_of(const char *folder, const char *name, const char *url)
{
	cleanup(buf_fini) struct buf faults = {0};
	cleanup(configp) struct config *c = NULL;
	char text[TEXT_BYTES], path[PATH_BYTES];

	snprintf(text, sizeof text, "redis: { password_file: %s, url: '%s' }", name, url);
	write_file(folder, "stint.yaml", text, strlen(text), path);
	if (config_load(path, NULL, &c, &faults) != 0)
		fail_msg("%s", buf_cstr(&faults));
	assert_string_equal(c->password_file, name);
	return strdup(c->redis.password);
}

static void
password_file_overrides_the_url(void **state)
{
	cleanup(freep) char *relative = NULL, *absolute = NULL;
	char path[PATH_BYTES];

	unsetenv("CREDENTIALS_DIRECTORY");
	write_file(*state, "secret", "s3 cret\n", 8, path);
	relative = password_of(*state, "secret", "redis://:other@h");
	assert_string_equal(relative, "s3 cret");
	absolute = password_of(*state, path, "redis://h");
	assert_string_equal(absolute, "s3 cret");
}

static void
password_file_loses_one_new_line_only(void **state)
{
	cleanup(freep) char *password = NULL;
	char path[PATH_BYTES];

	unsetenv("CREDENTIALS_DIRECTORY");
	write_file(*state, "lines", "a\n\n", 3, path);
	password = password_of(*state, "lines", "redis://h");
	assert_string_equal(password, "a\n");
}

static void
password_file_is_sought_among_the_credentials_first(void **state)
{
	cleanup(freep) char *password = NULL;
	char folder[PATH_BYTES / 2], path[PATH_BYTES];

	snprintf(folder, sizeof folder, "%s/credentials", (char *)*state);
	assert_int_equal(mkdir(folder, 0700), 0);
	write_file(*state, "both", "beside", 6, path);
	write_file(folder, "both", "credential", 10, path);
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	password = password_of(*state, "both", "redis://h");
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_string_equal(password, "credential");
}

static void
clients_see_redis_and_prefix_alone(void **state)
{
	static const char text[] =
		"redis: { url: 'redis://h:1/2' }\n"
		"prefix: p\n"
		"handlers: { h: { command: [\"${T_NOT_SET}\"], oops: 1 } }\n"
		"concurency: none\n"
		"queues: 3\n";
	cleanup(buf_fini) struct buf faults = {0};
	cleanup(config_redis_fini) struct config_redis c = {0};
	char path[PATH_BYTES];

	unsetenv("T_NOT_SET");
	write_file(*state, "clients.yaml", text, strlen(text), path);
	if (config_load_redis(path, &c, &faults) != 0)
		fail_msg("%s", buf_cstr(&faults));
	assert_int_equal(faults.len, 0);
	assert_string_equal(c.url.host, "h");
	assert_int_equal(c.url.port, 1);
	assert_int_equal(c.url.db, 2);
	assert_string_equal(c.prefix, "p");
}

static void
clients_are_told_of_faults_in_what_they_see(void **state)
{
	static const char text[] = "redis: { urll: x }\nprefix: 'a b'\n";
	cleanup(buf_fini) struct buf faults = {0};
	cleanup(config_redis_fini) struct config_redis c = {0};
	char path[PATH_BYTES], expected[TEXT_BYTES];

	write_file(*state, "faulty.yaml", text, strlen(text), path);
	assert_int_equal(config_load_redis(path, &c, &faults), -EINVAL);
	snprintf(expected, sizeof expected,
		"%s:1:10: redis.urll: expected a known key, got an unknown one; "
		"did you mean \"url\"?\n"
		"%s:2:1: prefix: expected 1..64 of A-Za-z0-9_.-, got \"a b\"\n",
		path, path);
	assert_string_equal(buf_cstr(&faults), expected);
	assert_null(c.prefix);
}

static void
last_reference_frees(void **state)
{
	struct config *c = config_of("prefix: x");

	(void)state;
	assert_ptr_equal(config_ref(c), c);
	config_unref(c);
	assert_string_equal(c->prefix, "x");
	config_unref(c); /* the leak checker and ASan see the rest */
	config_unref(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_file_is_all_defaults),
		cmocka_unit_test(built_in_text_needs_no_path),
		cmocka_unit_test(shipped_file_is_the_defaults_and_one_handler),
		cmocka_unit_test(shipped_file_names_every_key),
		cmocka_unit_test(every_key_of_the_daemon_is_taken),
		cmocka_unit_test(every_key_of_a_handler_is_taken),
		cmocka_unit_test(every_key_of_a_worker_is_taken),
		cmocka_unit_test(bare_handler_has_the_defaults),
		cmocka_unit_test(handler_before_defaults_inherits_them_too),
		cmocka_unit_test(queues_as_a_map_have_weights),
		cmocka_unit_test(auto_concurrency_is_at_least_one),
		cmocka_unit_test(variables_are_replaced_in_every_text),
		cmocka_unit_test(password_file_overrides_the_url),
		cmocka_unit_test(password_file_loses_one_new_line_only),
		cmocka_unit_test(password_file_is_sought_among_the_credentials_first),
		cmocka_unit_test(clients_see_redis_and_prefix_alone),
		cmocka_unit_test(clients_are_told_of_faults_in_what_they_see),
		cmocka_unit_test(last_reference_frees),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
