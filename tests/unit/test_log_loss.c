/*
 * test_log_loss.c - lines that do not get through are counted, and hold nobody up
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "lib/base/buf.h"
#include "tests/unit/log_pipe.h"

enum {
	THREADS = 8,
	LINES_PER_THREAD = 500,
};

/* Writes lines until one is dropped; how many got through. */
static size_t
fill_pipe(void)
{
	const uint64_t before = log_dropped_count();
	size_t n = 0;

	for (; log_dropped_count() == before; n++)
		log_info("fill");
	return n - 1;
}

static size_t
count_lines(const char *text)
{
	size_t n = 0;

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static void
a_full_pipe_drops_lines_and_the_next_one_says_how_many(void **state)
{
	size_t lines;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	lines = fill_pipe();
	log_info("lost");
	log_info("lost");
	assert_int_equal(count_lines(arrived()), lines);
	log_info("back");
	log_info("again");
	assert_string_equal(arrived(), NOW " warning log lines were dropped count=3\n" NOW
					   " info back\n" NOW " info again\n");
	fill_pipe();
	arrived();
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	log_error("back");
	assert_string_equal(arrived(),
		"{\"time\":\"" NOW "\",\"level\":\"warning\",\"msg\":"
		"\"log lines were dropped\",\"count\":1}\n"
		"{\"time\":\"" NOW "\",\"level\":\"error\",\"msg\":\"back\"}\n");
}

/* Three lines into @fd are lost, and told of as soon as there is a pipe again. */
static void
check_all_dropped(int fd)
{
	const uint64_t before = log_dropped_count();

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	if (fd >= 0)
		set_stderr(fd);
	else
		close(STDERR_FILENO);
	for (int i = 0; i < 3; i++)
		log_info("lost");
	assert_true(log_dropped_count() == before + 3);
	set_stderr_pipe();
	log_info("back");
	assert_string_equal(arrived(),
		NOW " warning log lines were dropped count=3\n" NOW " info back\n");
	assert_true(log_dropped_count() == before + 3);
}

static void
a_full_disk_drops_lines(void **state)
{
	cleanup(fdp) int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	check_all_dropped(fd);
}

static void
a_closed_fd_2_drops_lines(void **state)
{
	(void)state;
	check_all_dropped(-1);
}

/* SIGPIPE has its default action in this process. */
static void
a_reader_that_has_gone_drops_lines_without_sigpipe(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	check_all_dropped(fds[1]);
	close(fds[1]);
}

/* The disk takes only the start of a line: the next line is one of its own. */
static void
a_torn_line_counts_as_dropped_and_is_ended(void **state)
{
	char path[] = "/tmp/stint-log-XXXXXX", text[512] = "";
	cleanup(fdp) int fd = mkostemp(path, O_CLOEXEC | O_APPEND);
	struct rlimit old, small;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	set_stderr(fd);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = strlen(NOW);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	log_info("torn");
	log_info("lost");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	log_info("back");
	set_stderr_pipe();
	assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
	assert_string_equal(text, NOW
		"\n" NOW " warning log lines were dropped count=2\n" NOW " info back\n");
}

static void *
write_lines(void *arg)
{
	(void)arg;
	for (int i = 0; i < LINES_PER_THREAD; i++)
		log_info("thread", F_STR("text", "some words"), F_INT("i", i));
	return NULL;
}

/* Every line that arrives is whole, and those that do not are counted. */
static void
threads_do_not_mix_their_lines(void **state)
{
	const uint64_t before = log_dropped_count();
	cleanup(buf_fini) struct buf all = {0};
	pthread_t threads[THREADS];
	size_t lines = 0;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
	for (int i = 0; i < 100; i++) {
		log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
		buf_str(&all, arrived());
	}
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	buf_str(&all, arrived());
	for (const char *p = buf_cstr(&all); *p; p = strchr(p, '\n') + 1) {
		int i, end = 0;

		if (sscanf(p, NOW " warning log lines were dropped count=%d%n", &i,
			    &end) == 1 &&
			p[end] == '\n')
			continue;
		assert_int_equal(sscanf(p, NOW " info thread text=\"some words\" i=%d%n",
					 &i, &end),
			1);
		assert_int_equal(p[end], '\n');
		lines++;
	}
	assert_int_equal(
		lines + log_dropped_count() - before, THREADS * LINES_PER_THREAD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		claim(a_full_pipe_drops_lines_and_the_next_one_says_how_many),
		claim(a_full_disk_drops_lines),
		claim(a_closed_fd_2_drops_lines),
		claim(a_reader_that_has_gone_drops_lines_without_sigpipe),
		claim(a_torn_line_counts_as_dropped_and_is_ended),
		claim(threads_do_not_mix_their_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
