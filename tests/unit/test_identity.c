/*
 * Names of daemons, and which of them are provably gone.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/queue/identity.h"

enum { TEXT_BYTES = 256, NAME_BYTES = 3 * TEXT_BYTES };

static const char *
mine(void)
{
	static char name[IDENTITY_BYTES];

	identity_make(name, "web-3", getpid());
	return name;
}

/* A process that runs until it is killed. */
static pid_t
start_child(char name[IDENTITY_BYTES])
{
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(20); /* also when the test fails */
		for (;;)
			pause();
	}
	identity_make(name, "web-3", pid);
	return pid;
}

/* A zombie then, until waitpid(). */
static void
kill_child(pid_t pid)
{
	siginfo_t info;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void
reap_child(pid_t pid)
{
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The parts of a name; the host may have dashes. */
static void
split(const char *name, char *host, long *pid, char *boot, unsigned long long *start)
{
	char copy[TEXT_BYTES];
	char *dash;

	snprintf(copy, sizeof copy, "%s", name);
	dash = strrchr(copy, '-');
	*start = strtoull(dash + 1, NULL, 16);
	*dash = '\0';
	dash = strrchr(copy, '-');
	strcpy(boot, dash + 1);
	*dash = '\0';
	dash = strrchr(copy, '-');
	*pid = strtol(dash + 1, NULL, 10);
	*dash = '\0';
	strcpy(host, copy);
}

static void
a_name_tells_host_pid_boot_and_start(void **state)
{
	char host[TEXT_BYTES], boot[TEXT_BYTES];
	unsigned long long start, expected = 0;
	char text[TEXT_BYTES * 4], *field;
	FILE *f = fopen("/proc/self/stat", "r");
	long pid;

	(void)state;
	split(mine(), host, &pid, boot, &start);
	assert_string_equal(host, "web-3");
	assert_int_equal(pid, getpid());
	assert_int_equal(strlen(boot), 8);
	assert_int_equal(strspn(boot, "0123456789abcdef"), 8);
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof text, f));
	fclose(f);
	field = strrchr(text, ')') + 1; /* field 2 ended here */
	field = strtok(field, " ");
	for (int i = 3; i < 22; i++)
		field = strtok(NULL, " ");
	expected = strtoull(field, NULL, 10);
	assert_int_equal(start, expected);
}

static void
two_processes_of_a_host_have_their_boot_in_common(void **state)
{
	char host[TEXT_BYTES], boot[TEXT_BYTES], other_boot[TEXT_BYTES],
		name[IDENTITY_BYTES];
	const pid_t child = start_child(name);
	unsigned long long start;
	long pid;

	(void)state;
	split(mine(), host, &pid, boot, &start);
	split(name, host, &pid, other_boot, &start);
	assert_int_equal(pid, child);
	assert_string_equal(boot, other_boot);
	assert_string_not_equal(mine(), name);
	kill_child(child);
	reap_child(child);
}

static void
a_long_host_name_is_cut(void **state)
{
	char host[TEXT_BYTES], name[IDENTITY_BYTES], boot[TEXT_BYTES];
	unsigned long long start;
	long pid;

	(void)state;
	memset(host, 'h', sizeof host - 1);
	host[sizeof host - 1] = '\0';
	identity_make(name, host, getpid());
	split(name, host, &pid, boot, &start);
	assert_int_equal(strlen(host), IDENTITY_HOST_MAX);
	assert_int_equal(pid, getpid());
}

static void
who_runs_is_not_gone_and_who_was_reaped_is(void **state)
{
	char name[IDENTITY_BYTES];
	const pid_t child = start_child(name);

	(void)state;
	assert_false(identity_is_gone(mine(), name));
	assert_false(identity_is_gone(mine(), mine()));
	kill_child(child);
	reap_child(child);
	assert_true(identity_is_gone(mine(), name));
}

static void
a_stopped_process_is_not_gone(void **state)
{
	char name[IDENTITY_BYTES];
	const pid_t child = start_child(name);
	siginfo_t info;

	(void)state;
	assert_int_equal(kill(child, SIGSTOP), 0);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOWAIT), 0);
	assert_false(identity_is_gone(mine(), name));
	kill_child(child);
	reap_child(child);
}

/* Nobody may wait for a daemon that was killed in a container. */
static void
a_zombie_is_gone(void **state)
{
	char name[IDENTITY_BYTES];
	const pid_t child = start_child(name);

	(void)state;
	kill_child(child);
	assert_true(identity_is_gone(mine(), name));
	reap_child(child);
}

static void *
go_on(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* Its first thread has ended and looks like a zombie, the others run. */
static void
a_process_whose_first_thread_ended_is_not_gone(void **state)
{
	char name[IDENTITY_BYTES], path[TEXT_BYTES], text[TEXT_BYTES * 4];
	const pid_t child = fork();
	char process_state = '?';

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		pthread_t thread;

		alarm(20);
		if (pthread_create(&thread, NULL, go_on, NULL) != 0)
			_exit(1);
		syscall(SYS_exit, 0);
	}
	identity_make(name, "web-3", child);
	snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
	while (process_state != 'Z') {
		FILE *f = fopen(path, "r");

		assert_non_null(f);
		assert_non_null(fgets(text, sizeof text, f));
		fclose(f);
		process_state = strrchr(text, ')')[2];
	}
	assert_false(identity_is_gone(mine(), name));
	kill(child, SIGKILL);
	reap_child(child);
}

/* The name again, from its parts. */
static const char *
join(const char *host, long pid, const char *boot, unsigned long long start)
{
	static char name[NAME_BYTES];

	snprintf(name, sizeof name, "%s-%ld-%s-%llx", host, pid, boot, start);
	return name;
}

static void
another_process_of_that_pid_is_no_sign_of_life(void **state)
{
	char host[TEXT_BYTES], boot[TEXT_BYTES];
	unsigned long long start;
	long pid;

	(void)state;
	split(mine(), host, &pid, boot, &start);
	assert_true(identity_is_gone(mine(), join(host, pid, boot, start - 1)));
	assert_false(identity_is_gone(mine(), join(host, pid, boot, start)));
}

static void
of_other_hosts_and_boots_nothing_is_known(void **state)
{
	char host[TEXT_BYTES], boot[TEXT_BYTES], name[IDENTITY_BYTES];
	const pid_t child = start_child(name);
	unsigned long long start;
	long pid;

	(void)state;
	kill_child(child);
	reap_child(child);
	assert_true(identity_is_gone(mine(), name));
	split(name, host, &pid, boot, &start);
	assert_false(identity_is_gone(mine(), join("web-4", pid, boot, start)));
	boot[0] = boot[0] == '0' ? '1' : '0';
	assert_false(identity_is_gone(mine(), join(host, pid, boot, start)));
}

static void
names_of_another_form_are_never_gone(void **state)
{
	/* between host and boot, and what follows */
	static const char *const forms[][2] = {{"-0-", "-1"}, {"--", "-1"},
		{"--1-", "-1"}, {"-x-", "-1"}, {"-99999999999-", "-1"},
		{"-4194304x-", "-1"}, {"-4194304-", "-"}, {"-4194304-", "-1g"},
		{"-4194304-", ""}, {"-4194304-", "-11111111111111111"}};
	static const char *const plain[] = {"", "-", "---", "web-3"};
	char host[TEXT_BYTES], boot[TEXT_BYTES], name[NAME_BYTES];
	unsigned long long start;
	long pid;

	(void)state;
	split(mine(), host, &pid, boot, &start);
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		snprintf(name, sizeof name, "%s%s%s%s", host, forms[i][0], boot,
			forms[i][1]);
		assert_false(identity_is_gone(mine(), name));
		assert_false(identity_is_gone(name, mine()));
	}
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		assert_false(identity_is_gone(mine(), plain[i]));
	/* no process has the largest pid there can be, so the right form would do */
	assert_true(identity_is_gone(mine(), join(host, 4194304, boot, 1)));
}

/* Two daemons that cannot see /proc must not take each other for gone. */
static void
without_a_boot_nobody_is_gone(void **state)
{
	(void)state;
	assert_false(identity_is_gone("web-1-0-aa", "web-4194304-0-bb"));
	assert_true(identity_is_gone("web-1-00-aa", "web-4194304-00-bb"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_tells_host_pid_boot_and_start),
		cmocka_unit_test(two_processes_of_a_host_have_their_boot_in_common),
		cmocka_unit_test(a_long_host_name_is_cut),
		cmocka_unit_test(who_runs_is_not_gone_and_who_was_reaped_is),
		cmocka_unit_test(a_stopped_process_is_not_gone),
		cmocka_unit_test(a_zombie_is_gone),
		cmocka_unit_test(a_process_whose_first_thread_ended_is_not_gone),
		cmocka_unit_test(another_process_of_that_pid_is_no_sign_of_life),
		cmocka_unit_test(of_other_hosts_and_boots_nothing_is_known),
		cmocka_unit_test(names_of_another_form_are_never_gone),
		cmocka_unit_test(without_a_boot_nobody_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
