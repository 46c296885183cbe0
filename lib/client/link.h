/*
 * link.h - the connection of a client: commands out, replies in, errors as ours
 *
 *	r = link_command(c, &reply, err, "GET %b", key->data, key->len);
 *
 * Every command of lib/client goes this way. Lost connections and error replies
 * come back as the errors of client.h, so a reply belongs to a command that was
 * done. The readers of replies at the end take any reply, NULL too: a proxy, or a
 * server of another make, must not crash its clients.
 */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include <stdbool.h>
#include <hiredis/hiredis.h>
#include "lib/client/client.h"
#include "lib/wire/resp.h"
#include "lib/wire/scripts.h"

struct client {
	redisContext *redis;
	char *prefix;
	struct buf key;                   /* of the command being made */
	char where[REDIS_URL_TEXT_BYTES]; /* for messages */
};

/* The key of a queue, in the client's one buffer: good until the next key is made,
 * as a command takes a copy. When there is no memory for it, the command says so. */
const struct buf *link_key(struct client *c, const char *queue, const char *kind);
const struct buf *link_key_named(
	struct client *c, const char *queue, const char *kind, const char *name);

/**
 * link_command() - one command and its reply
 * @ret: free it with link_reply_freep()
 * @fmt: in hiredis' words: %s, and %b for bytes and their length
 */
int link_command(
	struct client *c, redisReply **ret, struct stint_err *err, const char *fmt, ...);

/* Begin a call of a script: its keys and then its arguments are to follow, so many as
 * told here. Then link_exchange(): sends @command, gives its memory back, and reads the
 * reply. */
void link_eval(struct buf *command, enum script script, size_t keys, size_t args);
void link_add_key(struct buf *command, const struct buf *key);
int link_exchange(
	struct client *c, redisReply **ret, struct buf *command, struct stint_err *err);

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
