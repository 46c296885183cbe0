/*
 * unblock.c - CLIENT UNBLOCK
 */
#include "daemon/redis/unblock.h"

static void
on_unblocked(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	/* whether it was blocked at all does not matter */
	(void)arg;
	(void)status;
	(void)replies;
	(void)count;
}

void
redis_unblock(
	const struct redis_conn *blocked, struct redis_conn *via, int64_t timeout_ms)
{
	const int64_t id = redis_conn_client_id(blocked);
	struct redis_batch b;

	if (id == 0 || !redis_conn_is_up(via))
		return;
	redis_batch_begin(via, &b);
	redis_cmd(&b, 3);
	redis_str(&b, "CLIENT");
	redis_str(&b, "UNBLOCK");
	redis_int(&b, id);
	redis_batch_send(&b, timeout_ms, on_unblocked, NULL);
}
