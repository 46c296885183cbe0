/*
 * test_notify.c - what arrives at the service manager's socket
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "daemon/obs/notify.h"
#include "tests/unit/log_pipe.h"

static char dir[] = "/tmp/stint-notify-XXXXXX";
static char path[sizeof dir + sizeof "/socket"];
static int manager_fd;

static int
open_manager(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
	manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (manager_fd < 0)
		return -errno;
	return bind(manager_fd, (struct sockaddr *)&addr, sizeof addr) < 0 ? -errno : 0;
}

static void
close_manager(void)
{
	close_fd(&manager_fd);
	unlink(path);
}

static int
setup_manager(void **state)
{
	manager_fd = -1;
	if (setup(state) < 0 || open_manager() < 0)
		return -1;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	return setenv("NOTIFY_SOCKET", path, 1);
}

static int
teardown_manager(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	close_manager();
	return teardown(state);
}

static int
make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/socket", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

/* The next datagram, "" when there is none; good until the next call. */
static const char *
told(void)
{
	static char text[4096];
	ssize_t n = recv(manager_fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
each_change_of_state_is_one_datagram(void **state)
{
	(void)state;
	notify_ready(NULL);
	assert_string_equal(told(), "READY=1");
	notify_ready("16 workers");
	assert_string_equal(told(), "READY=1\nSTATUS=16 workers");
	notify_stopping(NULL);
	assert_string_equal(told(), "STOPPING=1");
	notify_stopping("waiting for 3 jobs");
	assert_string_equal(told(), "STOPPING=1\nSTATUS=waiting for 3 jobs");
	notify_status("3 running");
	assert_string_equal(told(), "STATUS=3 running");
	notify_status("");
	assert_string_equal(told(), "STATUS=");
	notify_extend_ms(30000);
	assert_string_equal(told(), "EXTEND_TIMEOUT_USEC=30000000");
	notify_send("WATCHDOG=%d", 1);
	assert_string_equal(told(), "WATCHDOG=1");
	assert_string_equal(told(), "");
	assert_string_equal(arrived(), "");
}

static void
reloading_comes_with_the_monotonic_time(void **state)
{
	(void)state;
	stint_clock_set(INT64_C(86400123), now_unix_ms);
	notify_reloading();
	assert_string_equal(told(), "RELOADING=1\nMONOTONIC_USEC=86400123000");
}

static void
a_status_cannot_smuggle_in_an_assignment(void **state)
{
	(void)state;
	notify_status("a\nREADY=1\r\t\x1b\x7f");
	assert_string_equal(told(), "STATUS=a READY=1    ");
	notify_ready("J\xc3\xb6rg\nSTOPPING=1");
	assert_string_equal(told(), "READY=1\nSTATUS=J\xc3\xb6rg STOPPING=1");
}

static void
a_long_status_loses_its_end_only(void **state)
{
	char status[10000];
	const char *text;

	(void)state;
	memset(status, 'x', sizeof status - 1);
	status[sizeof status - 1] = '\0';
	notify_ready(status);
	text = told();
	assert_int_equal(strncmp(text, "READY=1\nSTATUS=xxx", 18), 0);
	assert_true(strlen(text) > 400 && strlen(text) < 600);
}

static void
without_a_service_manager_nothing_is_sent_or_logged(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	notify_ready("x");
	notify_reloading();
	notify_stopping("x");
	notify_status("x");
	notify_extend_ms(1);
	notify_send("WATCHDOG=1");
	assert_string_equal(told(), "");
	assert_string_equal(arrived(), "");
}

static void
a_lost_manager_is_logged_once_until_it_is_back(void **state)
{
	static const char lost[] =
		NOW " warning service manager cannot be told, going on why=";

	(void)state;
	for (int i = 0; i < 2; i++) {
		close_manager();
		notify_status("a");
		assert_int_equal(strncmp(arrived(), lost, strlen(lost)), 0);
		notify_status("b");
		notify_send("WATCHDOG=1");
		assert_string_equal(arrived(), "");
		assert_int_equal(open_manager(), 0);
		notify_status("c");
		assert_string_equal(told(), "STATUS=c");
		assert_string_equal(arrived(), "");
	}
}

#define with_manager(fn)                                                                 \
	cmocka_unit_test_setup_teardown(fn, setup_manager, teardown_manager)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_manager(each_change_of_state_is_one_datagram),
		with_manager(reloading_comes_with_the_monotonic_time),
		with_manager(a_status_cannot_smuggle_in_an_assignment),
		with_manager(a_long_status_loses_its_end_only),
		with_manager(without_a_service_manager_nothing_is_sent_or_logged),
		with_manager(a_lost_manager_is_logged_once_until_it_is_back),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
