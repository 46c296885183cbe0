/*
 * url.h - where a Redis is: redis://[user][:password]@host[:port][/db] and
 * unix://[user][:password@]/path/to/socket[?db=0]
 *
 * Percent escapes are decoded in user, password and path. IPv6 hosts stand in
 * brackets. What later issues bring (rediss, redis+sentinel) is refused by name.
 */
#ifndef WIRE_URL_H
#define WIRE_URL_H

#include <stint/err.h>

struct redis_url {
	char *host;     /* NULL: a unix socket */
	int port;       /* 6379 when left out */
	char *path;     /* of the unix socket; NULL: TCP */
	char *user;     /* NULL: none (AUTH with the password alone) */
	char *password; /* NULL: no AUTH */
	int db;         /* 0 = no SELECT */
};

/* Parse @text into @ret (zeroed by this function). -EINVAL with @err saying what is
 * expected, or -ENOMEM; the password never appears in @err. */
int redis_url_parse(const char *text, struct redis_url *ret, struct stint_err *err);

/* "redis://localhost:6379/0", without user and password, for logs; static bound. */
enum { REDIS_URL_TEXT_BYTES = 300 };
const char *redis_url_text(const struct redis_url *u, char out[REDIS_URL_TEXT_BYTES]);

/* Overwrite user and password of every URL in @text with '*', of any scheme and also of
 * one that is no good: all up to the last '@', as redis_url_parse() would take it. For
 * what is shown to people, and for arguments of a process. */
void redis_url_mask(char *text);

/* A deep copy; 0 or -ENOMEM. */
int redis_url_copy(const struct redis_url *u, struct redis_url *ret);

/* Do both name the same server, user and database? (a reload asks) */
int redis_url_equal(const struct redis_url *a, const struct redis_url *b);

/* Free what it holds (the password is wiped first); fine for a zeroed struct. */
void redis_url_fini(struct redis_url *u);

#endif
