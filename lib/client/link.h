/*
 * link.h - the connection of a client: commands out, replies in, errors as ours
 *
 *	r = link_send(c, err, "GET %b", key->data, key->len);
 *	if (r == 0)
 *		r = link_receive(c, &reply, err);
 *
 * Every command of lib/client goes this way. link_receive() turns lost connections
 * and error replies into the errors of client.h, so that what comes back belongs to
 * a command that was done. The readers of replies below take any reply, NULL too: a
 * proxy, or a server of another make, must not crash its clients.
 */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include <stdbool.h>
#include <hiredis/hiredis.h>
#include "lib/client/client.h"

struct client {
	redisContext *redis;
	char *prefix;
	struct buf key; /* of the command being made */
	char where[REDIS_URL_TEXT_BYTES]; /* for messages */
};

/* The key of a queue, in the client's one buffer: good until the next key is made,
 * as a command that is sent takes a copy. */
const struct buf *link_key(struct client *c, const char *queue, const char *kind);
const struct buf *link_key_named(
	struct client *c, const char *queue, const char *kind, const char *name);

/* One command, @fmt in hiredis' words: %s, and %b for bytes and their length. */
int link_send(struct client *c, struct stint_err *err, const char *fmt, ...);

/* One command, or a part of one, as resp.h writes it. */
int link_send_buf(struct client *c, const struct buf *b, struct stint_err *err);

/* The reply to what was sent; an error reply is an error / is a reply like others. */
int link_receive(struct client *c, redisReply **ret, struct stint_err *err);
int link_receive_any(struct client *c, redisReply **ret, struct stint_err *err);

void link_reply_freep(redisReply **reply); /* a cleanup() handler */

bool link_is_string(const redisReply *reply);

/* The n-th item of an array; NULL: not there. */
const redisReply *link_item(const redisReply *array, size_t n);

/* The value of a name in an array of names and values; NULL: not there. */
const redisReply *link_member(const redisReply *map, const char *name);

/* 0 when it is not a number. */
int64_t link_integer(const redisReply *reply);

int link_no_memory(struct stint_err *err);

#endif
