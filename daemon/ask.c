/*
 * ask.c - questions and answers by signal; see ask.h
 */
#include "daemon/ask.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <stint/clock.h>
#include "daemon/daemon.h"

enum {
	/* Values that nobody else sends by chance. */
	QUESTION = 0x73746e74,
	IN_FORCE = 0x73746e75,
	NOT_IN_FORCE = 0x73746e76,

	AGAIN_MS = 500,
	PATIENCE_MS = 60 * 1000,
	NS_PER_MS = 1000 * 1000,
};

/* ---- the daemon ---- */

void
ask_answer(const struct signalfd_siginfo *signal, bool is_in_force)
{
	const union sigval value = {.sival_int = is_in_force ? IN_FORCE : NOT_IN_FORCE};

	/* one who is gone, or may not be told, has given up, or will */
	if (signal->ssi_code == SI_QUEUE && signal->ssi_int == QUESTION)
		sigqueue((pid_t)signal->ssi_pid, SIGURG, value);
}

/* ---- who asks ---- */

static int
fail(pid_t daemon, const char *why)
{
	fprintf(stderr, "stintd: process %d: %s\n", (int)daemon, why);
	return EXIT_UNAVAILABLE;
}

/* A daemon may send signals to its own user's processes only. 0 or -errno. */
static int
become_its_user(pid_t daemon)
{
	char path[64];
	struct stat st;

	if (geteuid() != 0)
		return 0;
	snprintf(path, sizeof path, "/proc/%d", (int)daemon);
	if (stat(path, &st) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (st.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
		setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
		return -errno;
	return 0;
}

/* SIGHUP ends who does not expect it. A daemon has it blocked, and reads it elsewhere.
 * Where that cannot be seen, whoever asks is believed. */
static bool
may_expect_hup(pid_t daemon)
{
	static const char field[] = "SigBlk:";
	char path[64], line[256];
	unsigned long long blocked = 1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", (int)daemon);
	f = fopen(path, "re");
	if (!f)
		return true;
	while (fgets(line, sizeof line, f))
		if (strncmp(line, field, strlen(field)) == 0)
			blocked = strtoull(line + strlen(field), NULL, 16);
	fclose(f);
	return blocked & 1ULL << (SIGHUP - 1);
}

/* IN_FORCE, NOT_IN_FORCE, or 0: not within @ms. */
static int
wait_for_answer(const sigset_t *answers, int64_t ms)
{
	const int64_t until = stint_now_ms() + ms;
	siginfo_t info;

	for (int64_t left; (left = until - stint_now_ms()) > 0;) {
		const struct timespec wait = {
			.tv_sec = left / 1000, .tv_nsec = left % 1000 * NS_PER_MS};

		if (sigtimedwait(answers, &info, &wait) == SIGURG &&
			info.si_code == SI_QUEUE &&
			(info.si_value.sival_int == IN_FORCE ||
				info.si_value.sival_int == NOT_IN_FORCE))
			return info.si_value.sival_int;
	}
	return 0;
}

int
ask_reload(pid_t daemon)
{
	const union sigval question = {.sival_int = QUESTION};
	const int64_t until = stint_now_ms() + PATIENCE_MS;
	sigset_t answers;
	int r = become_its_user(daemon), answer = 0;

	if (r == 0 && !may_expect_hup(daemon))
		return fail(daemon, "it does not expect SIGHUP: it is no stintd");
	sigemptyset(&answers);
	sigaddset(&answers, SIGURG);
	sigprocmask(SIG_BLOCK, &answers, NULL);
	while (r == 0 && answer == 0 && stint_now_ms() < until) {
		r = sigqueue(daemon, SIGHUP, question) < 0 ? -errno : 0;
		if (r == 0)
			answer = wait_for_answer(&answers, AGAIN_MS);
	}
	if (r < 0)
		return fail(daemon, strerror(-r));
	if (answer == 0)
		return fail(daemon, "no answer; is it stintd?");
	if (answer == NOT_IN_FORCE) {
		fail(daemon, "the new configuration is not in force; its log says why");
		return EXIT_CONFIG;
	}
	return 0;
}
