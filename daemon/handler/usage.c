/*
 * usage.c - what the processes of a job have used; see usage.h
 */
#include "daemon/handler/usage.h"

enum {
	US_PER_S = 1000000,
	RSS_UNIT_BYTES = 1024, /* of ru_maxrss */
};

void
usage_add(struct usage *u, const struct rusage *used)
{
	const struct timeval *user = &used->ru_utime, *system = &used->ru_stime;
	const int64_t rss_bytes = (int64_t)used->ru_maxrss * RSS_UNIT_BYTES;

	u->cpu_us += (int64_t)(user->tv_sec + system->tv_sec) * US_PER_S + user->tv_usec +
		     system->tv_usec;
	if (rss_bytes > u->max_rss_bytes)
		u->max_rss_bytes = rss_bytes;
}
