/*
 * ceiling_pair.c - the leanest consumer that keeps the daemon's promises to one client
 *
 *	ceiling_pair SOCKET
 *
 * Blocking hiredis, one connection, no threads: read one job, then store its result,
 * acknowledge, remove and reply in one transaction and one round trip. It serves until
 * it is killed. With latency.c it is the pair that the daemon's latency is held against.
 */
#include "tests/bench/bench.h"

enum { BLOCK_MS = 1000 };

/* The value of a field of [name, value ...]. */
static const redisReply *
field(const redisReply *fields, const char *name)
{
	for (size_t i = 0; i + 1 < fields->elements; i += 2) {
		if (strcmp(fields->element[i]->str, name) == 0)
			return fields->element[i + 1];
	}
	errx(1, "a job without %s", name);
}

/* @entry is [id, [name, value ...]]. */
static void
finish(redisContext *c, const redisReply *entry)
{
	const char *id = entry->element[0]->str;
	const char *reply_to = field(entry->element[1], "reply_to")->str;
	char result[sizeof RESULT_HEAD + ID_BYTES + sizeof RESULT_TAIL];
	enum { REPLIES = 6 };

	stpcpy(stpcpy(stpcpy(result, RESULT_HEAD), id), RESULT_TAIL);
	redis_add(c, "MULTI");
	redis_add(c, "SET " RESULT_PREFIX "%s %s NX PX %d", id, result, RESULT_TTL_MS);
	redis_add(c, "XACK " JOBS_KEY " " GROUP " %s", id);
	redis_add(c, "XDEL " JOBS_KEY " %s", id);
	redis_add(c, "XADD " REPLY_PREFIX "%s * id %s result %s", reply_to, id, result);
	redis_add(c, "EXEC");
	for (int i = 0; i < REPLIES; i++)
		freeReplyObject(redis_reply(c));
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: ceiling_pair SOCKET");
	redisContext *c = redis_open(argv[1]);
	redis_make_group(c);
	for (;;) {
		redisReply *reply = redis_call(c,
			"XREADGROUP GROUP " GROUP
			" pair COUNT 1 BLOCK %d STREAMS " JOBS_KEY " >",
			BLOCK_MS);
		if (reply->type == REDIS_REPLY_ARRAY)
			finish(c, reply->element[0]->element[1]->element[0]);
		freeReplyObject(reply);
	}
}
