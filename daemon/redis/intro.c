/*
 * intro.c - what makes a connected socket "up"
 *
 *	AUTH [user] password    SELECT db    PING    CLIENT SETNAME name    CLIENT ID
 *
 * in one batch. The first three must succeed: an error to one of them (WRONGPASS,
 * NOAUTH, LOADING, MASTERDOWN ...) ends the try, and its text is told to people.
 * The others are a courtesy that old servers and strict ACLs may deny.
 */
#include <errno.h>
#include <string.h>
#include "daemon/redis/conn_priv.h"

enum {
	INTRO_BYTES = 8 << 10, /* all of it: a password has at most 4 KiB */
};

/* The commands that must succeed, in the order in which they are sent. */
static size_t
required_names(const struct redis_conn *c, const char *ret[3])
{
	size_t n = 0;

	if (c->url.password)
		ret[n++] = "AUTH";
	if (c->url.db != 0)
		ret[n++] = "SELECT";
	ret[n++] = "PING";
	return n;
}

/*
 * Redis quotes the arguments of a command that it does not know (AUTH may have been
 * renamed, or this is no Redis): cut short, so that a search for the password alone
 * would miss it.
 */
static bool
may_tell_password(const struct redis_conn *c, const char *text)
{
	return c->url.password &&
	       (strstr(text, c->url.password) || strstr(text, "unknown command"));
}

static const char *
first_error(const struct redis_conn *c, const struct redis_reply *replies, size_t count,
	const char **ret_command)
{
	const char *names[3];
	size_t n = required_names(c, names);

	for (size_t i = 0; i < n && i < count; i++) {
		if (replies[i].type != REDIS_ERROR)
			continue;
		*ret_command = names[i];
		return may_tell_password(c, replies[i].str)
			       ? "refused, in words that may hold the password"
			       : replies[i].str;
	}
	return NULL;
}

static void
on_introduced(void *conn, int status, const struct redis_reply *replies, size_t count)
{
	struct redis_conn *c = conn;
	const char *names[3], *command, *text;
	const struct redis_reply *pong;

	if (status < 0) { /* no memory; conn_lose() forgets one that was cut off */
		conn_lose(c, status, "introduction: %s", strerror(-status));
		return;
	}
	text = first_error(c, replies, count, &command);
	if (text) {
		conn_lose(c, -EACCES, "%s: %s", command, text);
		return;
	}
	pong = &replies[required_names(c, names) - 1];
	if (pong->type != REDIS_STATUS || strcmp(pong->str, "PONG") != 0) {
		conn_lose(c, -EPROTO, "PING: the answer is not that of a Redis");
		return;
	}
	if (replies[count - 1].type == REDIS_INTEGER)
		c->client_id = replies[count - 1].integer;
	c->state = CONN_UP;
	reconnect_up(&c->reconnect);
	c->addr_next--; /* this address works: it is the first of the next try */
	if (c->ops.on_up)
		c->ops.on_up(c->arg);
}

void
intro_start(struct redis_conn *c)
{
	struct redis_batch b;

	redis_batch_begin(c, &b);
	if (c->url.password) {
		buf_room(&c->out, INTRO_BYTES); /* for buf_wipe(); AUTH is the first */
		redis_cmd(&b, c->url.user ? 3 : 2);
		redis_str(&b, "AUTH");
		if (c->url.user)
			redis_str(&b, c->url.user);
		redis_str(&b, c->url.password);
	}
	if (c->url.db != 0) {
		redis_cmd(&b, 2);
		redis_str(&b, "SELECT");
		redis_int(&b, c->url.db);
	}
	redis_cmd(&b, 1);
	redis_str(&b, "PING");
	if (c->name) {
		redis_cmd(&b, 3);
		redis_str(&b, "CLIENT");
		redis_str(&b, "SETNAME");
		redis_str(&b, c->name);
	}
	redis_cmd(&b, 2);
	redis_str(&b, "CLIENT");
	redis_str(&b, "ID");
	batch_enqueue(&b, c->try_until_ms, on_introduced, c);
}

/* "max number of clients reached", "protected mode": an error, then the end. */
void
intro_lost(struct redis_conn *c)
{
	const char *command, *text;

	if (!c->is_reading)
		return;
	text = first_error(c, reply_list(c->reader), reply_count(c->reader), &command);
	if (text)
		stint_err_set(&c->why, -EACCES, "%s: %s", command, text);
}
