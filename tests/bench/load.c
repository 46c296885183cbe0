/*
 * load.c - preload a queue: COUNT jobs of 100 bytes, pipelined
 *
 *	load SOCKET HANDLER COUNT
 */
#include <stdio.h>
#include "tests/bench/bench.h"

/* Jobs on their way at once; more gains nothing and makes hiredis' buffers large. */
enum { BATCH = 256 };

static void
load_batch(redisContext *c, const char *command, size_t command_len, long count)
{
	for (long i = 0; i < count; i++) {
		if (redisAppendFormattedCommand(c, command, command_len) != REDIS_OK)
			errx(1, "redis: %s", c->errstr);
	}
	for (long i = 0; i < count; i++)
		freeReplyObject(redis_reply(c));
}

int
main(int argc, char **argv)
{
	char payload[PAYLOAD_BYTES];
	char *command;

	if (argc != 4)
		errx(2, "usage: load SOCKET HANDLER COUNT");
	long total = parse_count(argv[3]);
	redisContext *c = redis_open(argv[1]);

	memset(payload, 'x', sizeof payload);
	int len =
		redisFormatCommand(&command, "XADD " JOBS_KEY " * handler %s payload %b",
			argv[2], payload, sizeof payload);
	if (len < 0)
		errx(1, "no memory");

	int64_t started_ns = now_ns();
	for (long left = total; left > 0; left -= BATCH)
		load_batch(c, command, (size_t)len, left < BATCH ? left : BATCH);

	printf("{\"jobs\": %ld, \"seconds\": %.6f}\n", total,
		(double)(now_ns() - started_ns) / 1e9);
	redisFreeCommand(command);
	redisFree(c);
	return 0;
}
