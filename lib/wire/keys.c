/*
 * keys.c - the names of all Redis keys, and the alphabets that names are made of
 */
#include <string.h>
#include "lib/wire/keys.h"

void
keys_add(struct buf *b, const char *prefix, const char *queue, const char *kind)
{
	buf_str(b, prefix);
	buf_add(b, ":{", 2);
	buf_str(b, queue);
	buf_add(b, "}:", 2);
	buf_str(b, kind);
}

void
keys_add_named(struct buf *b, const char *prefix, const char *queue, const char *kind,
	const char *name, size_t name_len)
{
	keys_add(b, prefix, queue, kind);
	buf_char(b, ':');
	buf_add(b, name, name_len);
}

/* Not isalnum(): names must not depend on a locale. */
static bool
is_name(const char *s, size_t n, size_t max, char extra)
{
	if (n == 0 || n > max)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i], lower = (char)(c | 0x20);
		bool is_alnum = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');

		if (!is_alnum && c != '_' && c != '.' && c != '-' && c != extra)
			return false;
	}
	return true;
}

bool
keys_is_queue_name(const char *s, size_t n)
{
	return is_name(s, n, QUEUE_NAME_MAX, '-');
}

bool
keys_is_job_id(const char *s, size_t n)
{
	return is_name(s, n, JOB_ID_MAX, ':');
}
