/*
 * work.c - the command behind the jobs of the torture test: it logs that it ran
 *
 *	work LOG	payload on standard input: SLEEP_MS FAILURES HOW [padding]
 *
 * Appends to LOG one line when it begins and one when it comes to its end by itself:
 *
 *	begin RUN N ID ATTEMPT NONCE MONOTONIC_MS UNIX_MS
 *	end RUN N ID ATTEMPT NONCE MONOTONIC_MS HOW
 *
 * In between every other one tells of its progress, of which nothing may stay behind.
 *
 * RUN is the daemon's run that started it, N the number that the submitter gave to the
 * job, NONCE tells this execution from all others. Standard output is "ID ATTEMPT NONCE",
 * as is standard error, so every result says which execution it comes from. The first
 * FAILURES attempts end as HOW says: an exit status, or "signal".
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE_BYTES = 512,
	PAYLOAD_BYTES = 128 * 1024,
	PROGRESS_FD = 4,
	EXIT_FAULT = 64, /* what it was given makes no sense: for good */
};

static char payload[PAYLOAD_BYTES];

static int64_t
clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "-";
}

/* All of standard input, as text. */
static void
read_payload(void)
{
	size_t have = 0;
	ssize_t n;

	while ((n = read(STDIN_FILENO, payload + have, sizeof payload - 1 - have)) > 0)
		have += (size_t)n;
}

/* One write: lines of many processes must not mix. */
static void
say(int fd, const char *line, int n)
{
	if (n <= 0 || n >= LINE_BYTES || write(fd, line, (size_t)n) != n)
		_exit(EXIT_FAULT);
}

static void
nap(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	while (ms > 0 && nanosleep(&ts, &ts) < 0)
		;
}

int
main(int argc, char **argv)
{
	char line[LINE_BYTES], who[LINE_BYTES / 2], how[16] = "0";
	long sleep_ms, failures;
	uint64_t nonce;
	int log_fd, n;

	log_fd = argc == 2 ? open(argv[1], O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
	if (log_fd < 0 || getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
		return EXIT_FAULT;
	read_payload();
	if (sscanf(payload, "%ld %ld %15s", &sleep_ms, &failures, how) != 3)
		return EXIT_FAULT;
	if (strtol(variable("STINT_ATTEMPT"), NULL, 10) > failures)
		strcpy(how, "0");

	snprintf(who, sizeof who, "%s %s %s %s %016llx", variable("TORTURE_RUN"),
		variable("STINT_X_N"), variable("STINT_JOB_ID"),
		variable("STINT_ATTEMPT"), (unsigned long long)nonce);
	/* first of all: what a result names must be in the log */
	n = snprintf(line, sizeof line, "begin %s %lld %lld\n", who,
		(long long)clock_ms(CLOCK_MONOTONIC),
		(long long)clock_ms(CLOCK_REALTIME));
	say(log_fd, line, n);
	n = snprintf(line, sizeof line, "%s %s %016llx", variable("STINT_JOB_ID"),
		variable("STINT_ATTEMPT"), (unsigned long long)nonce);
	say(STDERR_FILENO, line, n);
	say(STDOUT_FILENO, line, n);
	n = snprintf(line, sizeof line, "50 %016llx\n", (unsigned long long)nonce);
	if (nonce & 1)
		say(PROGRESS_FD, line, n);
	nap(sleep_ms);
	n = snprintf(line, sizeof line, "end %s %lld %s\n", who,
		(long long)clock_ms(CLOCK_MONOTONIC), how);
	say(log_fd, line, n);
	if (strcmp(how, "signal") == 0)
		raise(SIGUSR1);
	return (int)strtol(how, NULL, 10);
}
