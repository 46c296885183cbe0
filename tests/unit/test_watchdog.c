/*
 * test_watchdog.c - signs of life, and when there are none
 */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "daemon/core/watchdog.h"
#include "daemon/queue/fetch.h"
#include "tests/unit/log_pipe.h"
#include "tests/unit/redis_harness.h"

enum {
	EVERY_MS = 20,
	LEASE_MS = 30000, /* a read blocks for 2 s of it, and is given up after 5 more */
};

static char path[64];
static int manager_fd;
static struct loop loop;
static bool is_well;

static bool
well(void *arg)
{
	(void)arg;
	return is_well;
}

static const struct watchdog_ops ops = {.is_well = well};

static int
setup_manager(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (setup(state) < 0)
		return -1;
	stint_clock_reset(); /* timers go by the real one */
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	snprintf(path, sizeof path, "/tmp/stint-watchdog-%d", (int)getpid());
	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
	manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (manager_fd < 0 || bind(manager_fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		return -1;
	setenv("NOTIFY_SOCKET", path, 1);
	loop.base = event_base_new();
	return loop.base ? 0 : -1;
}

static int
teardown_manager(void **state)
{
	event_base_free(loop.base);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	close_fd(&manager_fd);
	unlink(path);
	return teardown(state);
}

/* How many signs have come; nothing else may. */
static int
signs(void)
{
	char text[256];
	ssize_t n;
	int count = 0;

	while ((n = recv(manager_fd, text, sizeof text - 1, 0)) > 0) {
		text[n] = '\0';
		assert_string_equal(text, "WATCHDOG=1");
		count++;
	}
	return count;
}

static void
grant(int64_t us, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)us);
	setenv("WATCHDOG_USEC", text, 1);
	snprintf(text, sizeof text, "%d", (int)pid);
	setenv("WATCHDOG_PID", text, 1);
}

static void
run_for_ms(int64_t ms)
{
	const int64_t until_ms = real_now_ms() + ms;

	while (real_now_ms() < until_ms)
		event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void
signs_come_while_all_is_well_and_only_then(void **state)
{
	struct watchdog w = {0};
	int count = 0;

	(void)state;
	is_well = true;
	grant(INT64_C(3000) * EVERY_MS, getpid());
	watchdog_start(&w, &loop, &ops, NULL);
	assert_int_equal(signs(), 1);
	while (count < 3)
		run_for_ms(1), count += signs();
	is_well = false;
	run_for_ms(5 * EVERY_MS);
	assert_int_equal(signs(), 0);
	assert_non_null(
		strstr(arrived(), "error no progress: the service manager gets no "
				  "sign of life\n"));
	run_for_ms(5 * EVERY_MS);
	assert_string_equal(arrived(), ""); /* told once */
	is_well = true;
	while (signs() == 0)
		run_for_ms(1);
	watchdog_stop(&w);
	signs();
	run_for_ms(5 * EVERY_MS);
	assert_int_equal(signs(), 0);
}

static void
signs_are_for_those_who_are_asked_for_them(void **state)
{
	struct watchdog w = {0};

	(void)state;
	is_well = true;
	watchdog_start(&w, &loop, &ops, NULL);
	watchdog_stop(&w);
	assert_int_equal(signs(), 0);
	grant(30000000, getpid() + 1);
	watchdog_start(&w, &loop, &ops, NULL);
	watchdog_stop(&w);
	assert_int_equal(signs(), 0);
	setenv("WATCHDOG_PID", "", 1);
	watchdog_start(&w, &loop, &ops, NULL);
	assert_int_equal(signs(), 0);
	unsetenv("WATCHDOG_PID");
	watchdog_start(&w, &loop, &ops, NULL);
	assert_int_equal(signs(), 1);
	watchdog_stop(&w);
	setenv("WATCHDOG_USEC", "30s", 1);
	watchdog_start(&w, &loop, &ops, NULL);
	assert_int_equal(signs(), 0);
}

/* ---- what the daemon asks about its reads ---- */

static size_t
one(void *arg)
{
	(void)arg;
	return 1;
}

static bool
yes(void *arg, const struct queue *q)
{
	(void)arg, (void)q;
	return true;
}

static void
nothing(void *arg)
{
	(void)arg;
}

static void
nothing_at(void *arg, int64_t at_ms)
{
	(void)arg, (void)at_ms;
}

static const struct fetch_ops fetch_ops = {.credit = one,
	.may_read = yes,
	.on_read = nothing,
	.on_ready = nothing,
	.wake_at = nothing_at};

static void
a_silent_connection_is_overdue_when_it_should_have_been_given_up(void **state)
{
	struct queue_list all = {0};
	struct queue *q = queue_get(&all, "stint", "default");
	struct client c;
	struct fake f;
	struct fetch *fetch;
	int64_t now;

	(void)state;
	client_at_fake(&c, &f);
	assert_int_equal(
		fetch_new(c.conn, "me", LEASE_MS, &all, &fetch_ops, NULL, &fetch), 0);
	fetch_set_queues(fetch, &q, 1, false);
	assert_false(fetch_is_overdue(fetch)); /* nothing was asked */
	fetch_on_up(fetch);
	RUN_UNTIL(c.base, strstr(buf_cstr(&f.heard), "XGROUP"));
	fake_text(&f, "+OK\r\n");
	RUN_UNTIL(c.base, strstr(buf_cstr(&f.heard), "XREADGROUP"));
	now = stint_now_ms();
	assert_int_equal(redis_conn_heard_at_ms(c.conn) <= now, 1);
	stint_clock_set(now + 11000, now_unix_ms); /* 2 + 5, and 5 more */
	assert_false(fetch_is_overdue(fetch));
	stint_clock_set(now + 13000, now_unix_ms);
	assert_true(fetch_is_overdue(fetch));
	stint_clock_reset();
	redis_conn_reset(c.conn, "test");
	assert_false(fetch_is_overdue(fetch)); /* an outage is known */
	RUN_UNTIL(c.base, c.down_count == 1);
	fetch_on_down(fetch);
	assert_false(fetch_is_overdue(fetch));
	redis_conn_free(c.conn);
	c.conn = NULL;
	fetch_free(fetch);
	fake_close(&f);
	client_fini(&c);
	queue_list_fini(&all);
}

#define with_manager(fn)                                                                 \
	cmocka_unit_test_setup_teardown(fn, setup_manager, teardown_manager)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_manager(signs_come_while_all_is_well_and_only_then),
		with_manager(signs_are_for_those_who_are_asked_for_them),
		cmocka_unit_test(
			a_silent_connection_is_overdue_when_it_should_have_been_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
