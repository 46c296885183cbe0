/*
 * unblock.h - ends a read that blocks, in a way that loses no entry
 */
#ifndef REDIS_UNBLOCK_H
#define REDIS_UNBLOCK_H

#include <stdint.h>
#include "daemon/redis/conn.h"

/* CLIENT UNBLOCK for @blocked, sent on @via, and not a closed connection: entries that
 * are just being handed out would be lost. Where it may not be sent (ACL), or neither is
 * up, the read ends by itself when its time is over. */
void redis_unblock(
	const struct redis_conn *blocked, struct redis_conn *via, int64_t timeout_ms);

#endif
