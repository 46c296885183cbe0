/*
 * url.c - where a Redis is
 *
 *	redis://user:password@host:port/db
 *	        `-- userinfo -'
 *
 * Passwords are often pasted unescaped, so userinfo goes to the *last* '@': in a
 * redis URL nothing behind it may hold one. And when it is forgotten, a password
 * stands where the port should: an error quotes nothing of the text but a port of
 * up to five digits.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include "lib/base/cleanup.h"
#include "lib/base/units.h"
#include "lib/wire/url.h"

enum {
	PORT_DEFAULT = 6379,
	PORT_MAX = 65535,
	PORT_QUOTED_MAX = 5, /* digits; what is longer was not meant to be a port */
	HOST_MAX = 253,      /* of a DNS name */
	PATH_MAX_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
};

#define LETTERS_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* A part of the text. */
struct part {
	const char *p;
	size_t n;
};

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* @part with its percent escapes decoded, as a new string in *ret, which the caller
 * frees in case of an error, too: it may hold a piece of a password. */
static int
decode(struct part part, const char *what, char **ret, struct stint_err *err)
{
	const char *p = part.p, *end = part.p + part.n;
	char *to = *ret = calloc(1, part.n + 1);

	if (!to)
		return stint_err_set(err, -ENOMEM, "%s: out of memory", what);
	while (p < end) {
		int high, low;

		if (*p != '%') {
			*to++ = *p++;
			continue;
		}
		high = end - p > 2 ? hex_value(p[1]) : -1;
		low = high >= 0 ? hex_value(p[2]) : -1;
		if (low < 0)
			return stint_err_set(err, -EINVAL,
				"%s: expected two hexadecimal digits after each %%",
				what);
		if (high == 0 && low == 0)
			return stint_err_set(err, -EINVAL,
				"%s: expected text without NUL, got %%00", what);
		*to++ = (char)(high << 4 | low);
		p += 3;
	}
	return 0;
}

static int
parse_db(struct part db, struct redis_url *u, struct stint_err *err)
{
	int64_t v;

	if (units_parse_int(db.p, db.n, 0, INT_MAX, &v) < 0)
		return stint_err_set(err, -EINVAL, "db: expected a whole number from 0");
	u->db = (int)v;
	return 0;
}

static int
parse_port(struct part port, struct redis_url *u, struct stint_err *err)
{
	int64_t v;
	int r;

	r = units_parse_int(port.p, port.n, 1, PORT_MAX, &v);
	if (r == -ERANGE && port.n <= PORT_QUOTED_MAX)
		return stint_err_set(err, -EINVAL, "port: expected 1..65535, got %.*s",
			(int)port.n, port.p);
	if (r < 0)
		return stint_err_set(err, -EINVAL, "port: expected 1..65535, got %s",
			port.n > 0 ? "something else" : "nothing");
	u->port = (int)v;
	return 0;
}

/* "user", "user:password", ":password". A lone ":" is a template that was filled
 * with nothing: no AUTH. "user:" is a user with an empty password. */
static int
parse_userinfo(struct part info, struct redis_url *u, struct stint_err *err)
{
	const char *colon = memchr(info.p, ':', info.n);
	struct part user = info, password = {0};
	int r = 0;

	if (colon) {
		user.n = (size_t)(colon - info.p);
		password = (struct part){colon + 1, info.n - user.n - 1};
	}
	if (user.n > 0)
		r = decode(user, "user", &u->user, err);
	if (r == 0 && colon && (user.n > 0 || password.n > 0))
		r = decode(password, "password", &u->password, err);
	return r;
}

/* "host", "host:port", "[v6]", "[v6]:port"; @ret_rest is what stands behind. */
static int
parse_host(const char *text, struct redis_url *u, const char **ret_rest,
	struct stint_err *err)
{
	bool is_v6 = *text == '[';
	struct part host = {text, strspn(text, LETTERS_DIGITS ".-_")};
	const char *rest = text + host.n;

	if (is_v6) {
		host = (struct part){text + 1, strspn(text + 1, LETTERS_DIGITS ":.%_-")};
		rest = text + 1 + host.n;
	}
	if (host.n == 0 || host.n > HOST_MAX || (is_v6 && *rest++ != ']'))
		return stint_err_set(err, -EINVAL,
			"host: expected a name or an address, IPv6 in brackets");
	*ret_rest = rest;
	return decode(host, "host", &u->host, err);
}

static int
parse_tcp(const char *text, struct redis_url *u, struct stint_err *err)
{
	const char *at = strrchr(text, '@'), *rest = text;
	int r;

	if (at) {
		r = parse_userinfo((struct part){text, (size_t)(at - text)}, u, err);
		if (r < 0)
			return r;
		text = at + 1;
	}
	r = parse_host(text, u, &rest, err);
	if (r < 0)
		return r;
	u->port = PORT_DEFAULT;
	if (*rest == ':') {
		struct part port = {rest + 1, strcspn(rest + 1, "/")};

		r = parse_port(port, u, err);
		if (r < 0)
			return r;
		rest = port.p + port.n;
	}
	if (*rest == '\0' || strcmp(rest, "/") == 0)
		return 0;
	if (*rest != '/')
		return stint_err_set(
			err, -EINVAL, "host: expected :port or /db after it");
	return parse_db((struct part){rest + 1, strlen(rest + 1)}, u, err);
}

/* The last "@/": userinfo ends there, the path begins with its slash. A text that
 * begins with a slash has no userinfo, and its path may hold any '@'. */
static const char *
find_path(const char *text)
{
	const char *path = NULL;

	if (*text == '/')
		return text;
	for (const char *p = strstr(text, "@/"); p; p = strstr(p + 1, "@/"))
		path = p + 1;
	return path;
}

static int
parse_unix(const char *text, struct redis_url *u, struct stint_err *err)
{
	const char *path = find_path(text), *query;
	int r;

	if (!path)
		return stint_err_set(err, -EINVAL,
			"path: expected an absolute path: unix:///run/redis.sock");
	if (path > text) {
		r = parse_userinfo(
			(struct part){text, (size_t)(path - 1 - text)}, u, err);
		if (r < 0)
			return r;
	}
	query = path + strcspn(path, "?");
	r = decode((struct part){path, (size_t)(query - path)}, "path", &u->path, err);
	if (r < 0)
		return r;
	if (strlen(u->path) > PATH_MAX_BYTES)
		return stint_err_set(err, -EINVAL,
			"path: expected at most %d bytes, got %zu", PATH_MAX_BYTES,
			strlen(u->path));
	if (*query == '\0')
		return 0;
	if (strncmp(query, "?db=", 4) != 0)
		return stint_err_set(
			err, -EINVAL, "path: expected nothing or ?db=N after it");
	return parse_db((struct part){query + 4, strlen(query + 4)}, u, err);
}

/* Text behind "<scheme>://", or NULL. */
static const char *
after_scheme(const char *text, const char *scheme)
{
	size_t n = strlen(scheme);

	if (strncasecmp(text, scheme, n) != 0 || strncmp(text + n, "://", 3) != 0)
		return NULL;
	return text + n + 3;
}

int
redis_url_parse(const char *text, struct redis_url *ret, struct stint_err *err)
{
	static const char *const later[] = {
		"rediss", "redis+sentinel", "rediss+sentinel"};
	cleanup(redis_url_fini) struct redis_url u = {0};
	const char *rest;
	int r;

	*ret = (struct redis_url){0};
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (after_scheme(text, later[i]))
			return stint_err_set(err, -EINVAL,
				"%s:// is not supported yet by this version", later[i]);
	if ((rest = after_scheme(text, "redis")))
		r = parse_tcp(rest, &u, err);
	else if ((rest = after_scheme(text, "unix")))
		r = parse_unix(rest, &u, err);
	else
		r = stint_err_set(err, -EINVAL,
			"expected redis://host:port/db or unix:///path?db=0");
	if (r < 0)
		return r;
	*ret = u;
	u = (struct redis_url){0};
	return 0;
}

const char *
redis_url_text(const struct redis_url *u, char out[REDIS_URL_TEXT_BYTES])
{
	bool is_v6 = u->host && strchr(u->host, ':');

	if (u->path)
		snprintf(out, REDIS_URL_TEXT_BYTES, "unix://%s?db=%d", u->path, u->db);
	else
		snprintf(out, REDIS_URL_TEXT_BYTES, "redis://%s%s%s:%d/%d",
			is_v6 ? "[" : "", u->host, is_v6 ? "]" : "", u->port, u->db);
	return out;
}

void
redis_url_mask(char *text)
{
	char *userinfo, *at;

	while ((userinfo = strstr(text, "://"))) {
		text = userinfo += strlen("://");
		at = NULL;
		/* "on @user_script:25." is how Redis ends what scripts say */
		for (char *p = userinfo; (p = strchr(p, '@')); p++)
			if (p == userinfo || p[-1] != ' ')
				at = p;
		if (at)
			memset(userinfo, '*', (size_t)(at - userinfo));
	}
}

static bool
copy_string(const char *s, char **ret)
{
	*ret = s ? strdup(s) : NULL;
	return *ret || !s;
}

int
redis_url_copy(const struct redis_url *u, struct redis_url *ret)
{
	struct redis_url copy = {.port = u->port, .db = u->db};

	if (!copy_string(u->host, &copy.host) || !copy_string(u->path, &copy.path) ||
		!copy_string(u->user, &copy.user) ||
		!copy_string(u->password, &copy.password)) {
		redis_url_fini(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

static bool
is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

int
redis_url_equal(const struct redis_url *a, const struct redis_url *b)
{
	return is_same(a->host, b->host) && a->port == b->port &&
	       is_same(a->path, b->path) && is_same(a->user, b->user) && a->db == b->db;
}

void
redis_url_fini(struct redis_url *u)
{
	if (u->password)
		explicit_bzero(u->password, strlen(u->password));
	free(u->host);
	free(u->path);
	free(u->user);
	free(u->password);
	*u = (struct redis_url){0};
}
