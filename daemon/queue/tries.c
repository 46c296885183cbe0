/*
 * tries.c - refused script calls: told once, tried again later and later
 */
#include "daemon/queue/tries.h"

#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "lib/base/backoff.h"

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 5000 };

bool
tries_is_up(const struct tries_conf *conf)
{
	return redis_conn_is_up(conf->conn) && conf->scripts->is_loaded;
}

void
tries_reset(struct tries *t)
{
	t->backoff_ms = 0;
	t->not_before_ms = 0;
}

static void
wait_longer(struct tries *t)
{
	struct backoff b = {.min_ms = BACKOFF_MIN_MS,
		.max_ms = BACKOFF_MAX_MS,
		.now_ms = t->backoff_ms};

	t->backoff_ms = backoff_next(&b);
	t->not_before_ms = stint_at_ms(t->backoff_ms);
}

static void
refuse(struct tries *t, const struct tries_conf *conf, const char *queue, const char *why)
{
	if (!t->is_refused)
		log_error(conf->refused, F_STR("queue", queue), F_STR("why", why));
	t->is_refused = true;
	wait_longer(t);
}

static void
recover(struct tries *t, const struct tries_conf *conf, const char *queue)
{
	if (t->is_refused)
		log_info(conf->mended, F_STR("queue", queue));
	t->is_refused = false;
	tries_reset(t);
}

enum fault
tries_take(struct tries *t, const struct tries_conf *conf, const char *queue, int status,
	const struct redis_reply *reply)
{
	const enum fault fault = reply ? fault_of(reply) : FAULT_OTHER;

	if (status < 0) { /* told by the connection */
		wait_longer(t);
		return FAULT_WAIT;
	}
	switch (fault) {
	case FAULT_NONE:
		recover(t, conf, queue);
		break;
	case FAULT_NOSCRIPT:
		conf->scripts->is_loaded = false;
		break;
	case FAULT_WRONG_SERVER:
		wait_longer(t);
		redis_conn_reset(conf->conn, reply->str);
		break;
	default:
		refuse(t, conf, queue, reply ? reply->str : "unexpected answer");
	}
	return fault;
}
