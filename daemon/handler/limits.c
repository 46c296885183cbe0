/*
 * limits.c - whether limits have ended a job; see limits.h
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "daemon/handler/limits.h"
#include "lib/base/units.h"

enum {
	US_PER_MS = 1000,
	/* Who has used so much and fails has most likely come to the limit. What is
	 * resident is less than what RLIMIT_DATA counts, and RLIMIT_CPU is compared with
	 * samples, which are up to a fifth above the time that wait4(2) tells. */
	NEAR_PERCENT = 75,
};

void
limits_used(const struct keeper_reply *reply, struct outcome *out)
{
	const struct usage *u = &reply->usage;

	if (reply->failed_at != KEEPER_DONE)
		return;
	out->cpu_ms = u->cpu_us / US_PER_MS;
	out->max_rss_bytes = u->max_rss_bytes;
	out->memory_peak_bytes = u->leaf.memory_peak_bytes;
}

/* Of a command: the processor time of a worker is that of all its jobs. */
static bool
is_near_cpu(const struct keeper_reply *reply, const struct handler_conf *conf)
{
	return conf->limits.cpu_ms && !conf->is_worker &&
	       reply->usage.cpu_us >=
		       conf->limits.cpu_ms * US_PER_MS / 100 * NEAR_PERCENT;
}

/* SIGXCPU stands for nothing else. SIGKILL comes a second later, to commands alone. */
static bool
is_cpu_kill(const struct keeper_reply *reply, const struct handler_conf *conf, int sig)
{
	return (sig == SIGXCPU && conf->limits.cpu_ms) ||
	       (sig == SIGKILL && is_near_cpu(reply, conf));
}

static bool
is_near_memory(const struct keeper_reply *reply, const struct handler_limits *l)
{
	return l->memory_bytes &&
	       reply->usage.max_rss_bytes >= l->memory_bytes / 100 * NEAR_PERCENT;
}

static void
add_hint(struct outcome *out, const char *hint)
{
	const size_t n = strlen(out->error);

	snprintf(out->error + n, sizeof out->error - n, ", %s", hint);
}

static void
hint_at(const struct keeper_reply *reply, const struct handler_conf *conf,
	struct outcome *out)
{
	const struct handler_limits *l = &conf->limits;
	char text[UNITS_TEXT_BYTES], hint[2 * UNITS_TEXT_BYTES];

	if (reply->usage.leaf.hit_processes)
		snprintf(hint, sizeof hint, "at its limit of %d processes", l->processes);
	else if (is_near_cpu(reply, conf))
		snprintf(hint, sizeof hint, "near its cpu limit %s",
			units_format_span(l->cpu_ms, text));
	else if (is_near_memory(reply, l))
		snprintf(hint, sizeof hint, "near its memory limit %s",
			units_format_size(l->memory_bytes, text));
	else
		return;
	add_hint(out, hint);
}

void
limits_told(const struct keeper_reply *reply, const struct handler_conf *conf,
	struct outcome *out)
{
	const struct leaf_usage *leaf = &reply->usage.leaf;
	char text[UNITS_TEXT_BYTES];

	if (out->signal == 0 && out->exit_code <= 0)
		return;
	if (leaf->hit_memory && conf->limits.memory_bytes)
		outcome_fail(out, JOB_CRASHED, "killed: memory limit %s",
			units_format_size(conf->limits.memory_bytes, text));
	else if (leaf->was_killed)
		outcome_fail(out, JOB_CRASHED,
			"killed: there was no memory left, for all jobs together");
	else if (is_cpu_kill(reply, conf, out->signal))
		outcome_fail(out, JOB_CRASHED, "killed: cpu limit %s",
			units_format_span(conf->limits.cpu_ms, text));
	else
		hint_at(reply, conf, out);
}
