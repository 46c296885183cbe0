/*
 * script.c - SCRIPT LOAD and EVALSHA
 */
#include "daemon/redis/script.h"

#include <errno.h>
#include <string.h>

void
redis_scripts_load(struct redis_batch *b)
{
	for (size_t i = 0; i < SCRIPT_COUNT; i++) {
		redis_cmd(b, 3);
		redis_str(b, "SCRIPT");
		redis_str(b, "LOAD");
		redis_bulk(b, script_texts[i].text, script_texts[i].len);
	}
}

int
redis_scripts_loaded(struct redis_scripts *s, const struct redis_reply *replies,
	size_t count, struct stint_err *err)
{
	for (size_t i = 0; i < SCRIPT_COUNT; i++) {
		const struct redis_reply *r = i < count ? &replies[i] : NULL;

		if (!r || r->type != REDIS_STRING || !r->str ||
			r->len >= SCRIPT_HASH_BYTES)
			return stint_err_set(err, -EPROTO, "SCRIPT LOAD %s: %s",
				script_texts[i].name,
				r && r->type == REDIS_ERROR ? r->str
							    : "unexpected answer");
		memcpy(s->hash[i], r->str, r->len + 1);
	}
	return 0;
}

void
redis_script_call(struct redis_batch *b, const struct redis_scripts *s,
	enum script script, size_t keys, size_t args)
{
	redis_cmd(b, 3 + keys + args);
	redis_str(b, "EVALSHA");
	redis_str(b, s->hash[script]);
	redis_int(b, (int64_t)keys);
}
