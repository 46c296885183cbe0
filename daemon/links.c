/*
 * links.c - the daemon's two connections: they come and go, and a blocked read is ended
 */
#include "daemon/daemon_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stint/clock.h>
#include "daemon/obs/log.h"

enum {
	CONNECT_TIMEOUT_MS = 5000,
	UNBLOCK_TIMEOUT_MS = 5000,
};

/* Connected is not enough: a replica lets us in, too, and refuses every write. */
void
daemon_note_back(struct daemon *d)
{
	if (!d->redis_fault[0] || !d->reader.is_up || !d->writer.is_up || !d->has_groups)
		return;
	log_info("redis is back");
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
		log_warn("redis is away, trying again",
			F_STR("redis", redis_url_text(&d->config->redis, url)),
			F_STR("why", why->msg));
	else if (is_refusal && !d->is_refusal_told)
		log_warn(
			"redis does not let us in, trying again", F_STR("why", why->msg));
	d->is_refusal_told = d->is_refusal_told || is_refusal;
	snprintf(d->redis_fault, sizeof d->redis_fault, "%s", why->msg);
}

static void
on_link_up(void *arg)
{
	struct link *link = arg;
	struct daemon *d = link->daemon;

	link->is_up = true;
	if (link == &d->reader)
		fetch_on_up(d->fetch);
	else
		commit_on_up(d->commit);
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
	if (link == &d->reader)
		fetch_on_down(d->fetch);
	else
		commit_on_down(d->commit);
	if (d->reader.is_up)
		fetch_on_up(d->fetch);
	daemon_poke(d);
}

static const struct redis_conn_ops link_ops = {
	.on_up = on_link_up, .on_down = on_link_down};

static void
on_unblocked(void *arg, int status, const struct redis_reply *replies, size_t count)
{
	/* Whether it was blocked, or may be unblocked at all (ACL), does not matter: the
	 * read ends by itself soon. */
	(void)arg;
	(void)status;
	(void)replies;
	(void)count;
}

/* CLIENT UNBLOCK and not a closed connection: that could lose entries. */
void
daemon_unblock(void *arg)
{
	struct daemon *d = arg;
	const int64_t id = redis_conn_client_id(d->reader.conn);
	struct redis_batch b;

	if (!fetch_is_blocked(d->fetch) || id == 0 || !redis_conn_is_up(d->writer.conn))
		return;
	redis_batch_begin(d->writer.conn, &b);
	redis_cmd(&b, 3);
	redis_str(&b, "CLIENT");
	redis_str(&b, "UNBLOCK");
	redis_int(&b, id);
	redis_batch_send(&b, UNBLOCK_TIMEOUT_MS, on_unblocked, NULL);
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
daemon_link_open(struct daemon *d, struct link *link, const char *role)
{
	char name[DAEMON_NAME_BYTES + 16];
	uint64_t seed = (uint64_t)stint_now_us() ^ (uintptr_t)link;
	const struct redis_conn_opts opts = {.base = d->loop.base,
		.url = &d->config->redis,
		.name = name,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.string_limit_bytes = daemon_string_limit(d->config),
		.seed = seed,
		.ops = &link_ops,
		.arg = link};

	snprintf(name, sizeof name, "stint:%s:%s", d->name, role);
	link->daemon = d;
	return redis_conn_new(&opts, &link->conn);
}
