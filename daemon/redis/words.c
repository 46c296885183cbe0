/*
 * words.c - commands, argument by argument, into a batch
 */
#include "daemon/redis/conn.h"

#include "lib/wire/resp.h"

void
redis_cmd(struct redis_batch *b, size_t argc)
{
	resp_cmd(b->out, argc);
	b->commands++;
}

void
redis_bulk(struct redis_batch *b, const void *p, size_t n)
{
	resp_bulk(b->out, p, n);
}

void
redis_key(struct redis_batch *b, const struct buf *key)
{
	resp_bulk(b->out, key->data, key->len);
}

void
redis_key_of(struct redis_batch *b, const struct buf *stem, const void *name, size_t n)
{
	resp_joined(b->out, stem->data, stem->len, name, n);
}

void
redis_str(struct redis_batch *b, const char *s)
{
	resp_str(b->out, s);
}

void
redis_int(struct redis_batch *b, int64_t v)
{
	resp_int(b->out, v);
}
