/*
 * diff.c - what a reload would have to change but cannot
 *
 * Where Redis is and what the keys are called is built into every connection and
 * every name that the daemon holds, and promises were made by the lease; the table
 * marks these keys.
 */
#include <string.h>
#include "daemon/config/config.h"
#include "daemon/config/schema.h"

static bool
has_new_password(const struct config *a, const struct config *b)
{
	const char *x = a->redis.password, *y = b->redis.password;

	return x && y ? strcmp(x, y) != 0 : x != y;
}

static const void *
field_of(const struct schema_key *row, const struct config *c)
{
	return (const char *)c + row->offset;
}

/* A new password is the file's fault where there is one, else the URL's. Types that
 * are always reloadable need no comparison. */
static bool
differs(const struct schema_key *row, const struct config *a, const struct config *b)
{
	bool has_file = a->password_file || b->password_file;

	switch (row->type) {
	case KEY_URL:
		return !redis_url_equal(&a->redis, &b->redis) ||
		       (!has_file && has_new_password(a, b));
	case KEY_PASSWORD_FILE:
		return has_file && has_new_password(a, b);
	case KEY_NAME:
		return strcmp(*(char *const *)field_of(row, a),
			       *(char *const *)field_of(row, b)) != 0;
	case KEY_SPAN:
		return *(const int64_t *)field_of(row, a) !=
		       *(const int64_t *)field_of(row, b);
	default:
		return false;
	}
}

void
config_needs_restart(
	const struct config *now, const struct config *wanted, struct buf *names)
{
	const char *comma = "";

	for (size_t i = 0; i < schema_key_count; i++) {
		const struct schema_key *row = &schema_keys[i];

		if (!(row->flags & KEY_NEEDS_RESTART) || !differs(row, now, wanted))
			continue;
		buf_fmt(names, "%s%s", comma, row->path);
		comma = ", ";
	}
}
