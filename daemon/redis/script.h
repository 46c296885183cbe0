/*
 * script.h - calls scripts by their hash
 *
 * Redis forgets scripts when it restarts and on SCRIPT FLUSH. They are loaded
 * whenever a connection comes up, and again when a call answers NOSCRIPT (which
 * means that it was not executed).
 */
#ifndef REDIS_SCRIPT_H
#define REDIS_SCRIPT_H

#include <stdbool.h>
#include "daemon/redis/conn.h"
#include "lib/wire/scripts.h"

enum { SCRIPT_HASH_BYTES = 41 };

struct redis_scripts {
	bool is_loaded; /* set to false by whoever meets NOSCRIPT: they are loaded again
			 */
	char hash[SCRIPT_COUNT][SCRIPT_HASH_BYTES];
};

/* Write the commands that load all scripts: SCRIPT_COUNT replies. */
void redis_scripts_load(struct redis_batch *b);

/* Take the hashes from their replies; 0, or -EPROTO and @err. */
int redis_scripts_loaded(struct redis_scripts *s, const struct redis_reply *replies,
	size_t count, struct stint_err *err);

/* Begin EVALSHA: the keys and arguments (@keys + @args of them) follow. */
void redis_script_call(struct redis_batch *b, const struct redis_scripts *s,
	enum script script, size_t keys, size_t args);

#endif
