/*
 * bench.h - what the measuring programs share: names, a clock, a checked Redis
 *
 * Each program is one process that run.py starts on a private Redis server, and each
 * prints one line of JSON. Whatever goes wrong makes its figure worthless, and it owns
 * nothing that outlives it: so, unlike everywhere else in this tree, a fault ends the
 * program on the spot, with errx().
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <hiredis/hiredis.h>

#define JOBS_KEY      "stint:{default}:jobs"
#define RESULT_PREFIX "stint:{default}:result:"
#define REPLY_PREFIX  "stint:{default}:reply:"
#define GROUP         "stint"

/* A result as the daemon writes it, in two halves around the job's id. The ceilings store
 * the same bytes each time: they show what Redis costs, not what printing costs. */
#define RESULT_HEAD "{\"id\":\""
#define RESULT_TAIL                                                                      \
	"\",\"status\":\"ok\",\"output\":\"\",\"handler\":\"bench\",\"queue\":"          \
	"\"default\",\"attempt\":1,\"daemon\":\"ceiling-12345\",\"submitted_ms\":"       \
	"1732153200000,\"started_ms\":1732153200004,\"finished_ms\":1732153200310}"

enum {
	PAYLOAD_BYTES = 100,
	RESULT_TTL_MS = 3600000,
	ID_BYTES = 44, /* "18446744073709551615-18446744073709551615" and a NUL */
};

static inline int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A count on the command line: 1 or more, or the program ends. */
static inline long
parse_count(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (n < 1 || *end)
		errx(2, "not a count: %s", s);
	return n;
}

static inline redisContext *
redis_open(const char *socket_path)
{
	redisContext *c = redisConnectUnix(socket_path);

	if (!c || c->err)
		errx(1, "%s: %s", socket_path, c ? c->errstr : "no memory");
	return c;
}

/* The next reply, to be freed by the caller; an error reply ends the program. */
static inline redisReply *
redis_reply(redisContext *c)
{
	void *p;

	if (redisGetReply(c, &p) != REDIS_OK)
		errx(1, "redis: %s", c->errstr);
	redisReply *reply = p;
	if (reply->type == REDIS_REPLY_ERROR)
		errx(1, "redis: %s", reply->str);
	return reply;
}

/* Append to the pipeline. */
#define redis_add(c, ...)                                                                \
	do {                                                                             \
		if (redisAppendCommand((c), __VA_ARGS__) != REDIS_OK)                    \
			errx(1, "redis: %s", (c)->errstr);                               \
	} while (0)

/* One command, one reply. */
#define redis_call(c, ...)                                                               \
	({                                                                               \
		redisContext *c_ = (c);                                                  \
		redis_add(c_, __VA_ARGS__);                                              \
		redis_reply(c_);                                                         \
	})

/* The consumer group, from the first job on; one that exists already is as good. */
static inline void
redis_make_group(redisContext *c)
{
	redisReply *reply =
		redisCommand(c, "XGROUP CREATE " JOBS_KEY " " GROUP " 0 MKSTREAM");

	if (!reply)
		errx(1, "redis: %s", c->errstr);
	if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "BUSYGROUP", 9) != 0)
		errx(1, "redis: %s", reply->str);
	freeReplyObject(reply);
}

#endif
