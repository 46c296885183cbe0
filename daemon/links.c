/*
 * links.c - the daemon's connections: they come and go, and a blocked read is ended
 *
 *	reader   XREADGROUP, which blocks
 *	writer   all that changes something
 *	control  XREAD of the control streams, which blocks
 */
#include "daemon/daemon_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"
#include "daemon/obs/log_ids.h"
#include "daemon/redis/unblock.h"

enum { UNBLOCK_AGAIN_MS = 50 };

/* Connected is not enough: a replica lets us in, too, and refuses every write. */
void
daemon_note_back(struct daemon *d)
{
	bool all_up = d->has_groups;

	for (enum link_role role = 0; role < LINK_COUNT; role++)
		all_up = all_up && d->links[role].is_up;
	if (!d->redis_fault[0] || !all_up)
		return;
	log_info("redis is back", F_MESSAGE_ID(LOG_ID_REDIS_BACK));
	d->redis_fault[0] = '\0';
	d->is_refusal_told = false;
}

static void
tell_down(struct daemon *d, const struct stint_err *why)
{
	const bool is_refusal = why->code == -EACCES;
	char url[REDIS_URL_TEXT_BYTES];

	/* one line for each change of state, not one for each try */
	if (!d->redis_fault[0])
		log_warn("redis is away, trying again", F_MESSAGE_ID(LOG_ID_REDIS_AWAY),
			F_STR("redis", redis_url_text(&d->config->redis, url)),
			F_STR("why", why->msg));
	else if (is_refusal && !d->is_refusal_told)
		log_warn("redis does not let us in, trying again",
			F_MESSAGE_ID(LOG_ID_REDIS_REFUSES), F_STR("why", why->msg));
	d->is_refusal_told = d->is_refusal_told || is_refusal;
	snprintf(d->redis_fault, sizeof d->redis_fault, "%s", why->msg);
}

static void
on_link_up(void *arg)
{
	struct link *link = arg;
	struct daemon *d = link->daemon;

	link->is_up = true;
	switch ((enum link_role)(link - d->links)) {
	case LINK_READER:
		fetch_on_up(d->fetch);
		break;
	case LINK_WRITER:
		commit_on_up(d->commit);
		lease_on_up(d->lease);
		reports_on_up(d->reports);
		admit_on_up(d->admit);
		aside_on_up(d->aside);
		delayed_on_up(d->delayed);
		claim_on_up(d->claim);
		break;
	default:
		control_on_up(d->control);
		break;
	}
	daemon_note_back(d);
	daemon_poke(d);
}

static void
on_link_down(void *arg, const struct stint_err *why, int64_t retry_ms)
{
	struct link *link = arg;
	struct daemon *d = link->daemon;

	(void)retry_ms;
	link->is_up = false;
	tell_down(d, why);
	d->has_groups = false; /* asked for again before all is said to be well */
	switch ((enum link_role)(link - d->links)) {
	case LINK_READER:
		fetch_on_down(d->fetch);
		break;
	case LINK_WRITER:
		commit_on_down(d->commit);
		lease_on_down(d->lease);
		claim_on_down(d->claim);
		break;
	default: /* control finds out by its read */
		break;
	}
	if (d->links[LINK_READER].is_up)
		fetch_on_up(d->fetch);
	daemon_poke(d);
}

static const struct redis_conn_ops link_ops = {
	.on_up = on_link_up, .on_down = on_link_down};

void
daemon_unblock(struct daemon *d)
{
	if (!fetch_is_blocked(d->fetch))
		return;
	redis_unblock(d->links[LINK_READER].conn, d->links[LINK_WRITER].conn,
		lease_timeout_ms(d->config->lease_ms));
	/* It may overtake the very read that it is to end, on another connection. */
	loop_timer_set(&d->unblock_timer, stint_at_ms(UNBLOCK_AGAIN_MS));
}

void
daemon_unblock_again(void *arg)
{
	struct daemon *d = arg;

	if (fetch_should_end(d->fetch))
		daemon_unblock(d);
}

size_t
daemon_string_limit(const struct config *config)
{
	int64_t limit = config->default_payload_limit_bytes;
	const struct handler_conf *h;

	for (h = config->handlers; h; h = h->hh.next)
		limit = h->payload_limit_bytes > limit ? h->payload_limit_bytes : limit;
	return (size_t)limit;
}

int
daemon_link_open(struct daemon *d, enum link_role role)
{
	static const char *const names[LINK_COUNT] = {"reader", "writer", "control"};
	struct link *link = &d->links[role];
	char name[DAEMON_NAME_BYTES + 16];
	const struct redis_conn_opts opts = {.base = d->loop.base,
		.url = &d->config->redis,
		.name = name,
		.connect_timeout_ms = lease_timeout_ms(d->config->lease_ms),
		.retry_max_ms = lease_retry_max_ms(d->config->lease_ms),
		.string_limit_bytes = daemon_string_limit(d->config),
		.seed = (uint64_t)stint_now_us() ^ (uintptr_t)link,
		.ops = &link_ops,
		.arg = link};

	snprintf(name, sizeof name, "stint:%s:%s", d->name, names[role]);
	link->daemon = d;
	return redis_conn_new(&opts, &link->conn);
}
