/*
 * reply.h - bytes from Redis become the replies of one batch after the other
 *
 *	reply_begin(r, 2);                   two commands were sent
 *	reply_feed(r, bytes, n);
 *	if (reply_read(r, &err) == 1)        both replies are there
 *		use(reply_list(r), 2);
 *	reply_end(r);                        their memory is used again
 *
 * hiredis' redisReader does the parsing; the trees grow in an arena that belongs
 * to the reader. What the server announces is checked before memory is taken for
 * it: an array has at most REPLY_ITEMS_MAX items, arrays nest at most
 * REPLY_DEPTH_MAX deep, and a single string, which must be whole before it can be
 * parsed, has at most REPLY_UNPARSED_MAX bytes.
 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stint/err.h>
#include "daemon/redis/conn.h"

enum {
	REPLY_ITEMS_MAX = 256 * 1024, /* far above any COUNT that is asked for */
	REPLY_DEPTH_MAX = 8, /* what hiredis 0.14 can hold; EXEC of XREADGROUP has 6 */
	REPLY_UNPARSED_MAX = 1024 * 1024 * 1024, /* Redis' own limit is half of it */
};

struct reply_reader;

/* Strings over @string_limit_bytes are counted, not kept. 0 or -ENOMEM. */
int reply_reader_new(size_t string_limit_bytes, struct reply_reader **ret);
void reply_reader_set_string_limit(struct reply_reader *r, size_t limit_bytes);
void reply_reader_free(struct reply_reader *r); /* takes NULL */

/* For a new connection: forget all bytes and replies. 0 or -ENOMEM. */
int reply_reader_reset(struct reply_reader *r);

/* The next replies are those of a batch of @count commands. 0, or -EIO: no memory. */
int reply_begin(struct reply_reader *r, size_t count, struct stint_err *err);

/* -EIO: no memory; -EPROTO: more than can be a reply. */
int reply_feed(struct reply_reader *r, const char *p, size_t n, struct stint_err *err);

/**
 * reply_read() - parse what was fed
 *
 * Return: 1 the batch has all its replies; 0 more bytes are needed; -EPROTO these
 * are not replies, or too large ones; -EIO no memory. After an error, reset.
 */
int reply_read(struct reply_reader *r, struct stint_err *err);

/* The batch's replies so far; they stay where they are until reply_end(). */
const struct redis_reply *reply_list(const struct reply_reader *r);
size_t reply_count(const struct reply_reader *r);

/* Have bytes been fed that were not needed yet? */
bool reply_has_rest(const struct reply_reader *r);

void reply_end(struct reply_reader *r);

#endif
