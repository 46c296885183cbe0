/*
 * log_pipe.h - what the tests of the log share: each test has a pipe in the place of
 * fd 2, until its teardown puts the old one back
 */
#ifndef TEST_LOG_PIPE_H
#define TEST_LOG_PIPE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "lib/base/cleanup.h"

enum {
	LINE_BYTES = 4096,
	STUCK_S = 60, /* a log that waits for its reader is ended by SIGALRM */
};

/* 2026-11-21T04:12:09.123Z */
static const int64_t now_unix_ms = INT64_C(1795234329123);
#define NOW "2026-11-21T04:12:09.123Z"

static int old_stderr_fd;
static int reader_fd;

static inline void
set_stderr(int fd)
{
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

/* A new pipe on fd 2; small, so that it is soon full. */
static inline void
set_stderr_pipe(void)
{
	int fds[2];

	close_fd(&reader_fd);
	set_stderr(
		old_stderr_fd); /* were it closed, an end of the pipe would become it */
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	reader_fd = fds[0];
	assert_int_equal(fcntl(reader_fd, F_SETFL, O_NONBLOCK), 0);
	assert_true(fcntl(reader_fd, F_SETPIPE_SZ, 2 * LINE_BYTES) >= 0);
	set_stderr(fds[1]);
	close(fds[1]);
}

static inline int
setup(void **state)
{
	(void)state;
	alarm(STUCK_S);
	unsetenv("JOURNAL_STREAM");
	reader_fd = -1;
	old_stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (old_stderr_fd < 0)
		return -1;
	set_stderr_pipe();
	stint_clock_set(0, now_unix_ms);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	alarm(0);
	stint_clock_reset();
	dup2(old_stderr_fd, STDERR_FILENO);
	close_fd(&old_stderr_fd);
	close_fd(&reader_fd);
	return 0;
}

/* What has arrived so far, as one string; good until the next call. */
static inline const char *
arrived(void)
{
	static char text[16 * LINE_BYTES];
	size_t len = 0;
	ssize_t n;

	while ((n = read(reader_fd, text + len, sizeof text - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

#define claim(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
