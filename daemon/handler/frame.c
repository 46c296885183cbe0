/*
 * frame.c - parses frames; see frame.h
 */
#include <errno.h>
#include <string.h>
#include "daemon/handler/frame.h"

/* "67108864", the limit, is the longest number that can be right. */
enum { DIGITS_MAX = 8 };

/* A line of a type and a number, "$123\r\n". Return: its bytes; 0: there is less than
 * that; -EPROTO. */
static ssize_t
parse_head(const char *p, size_t n, char type, size_t *ret)
{
	size_t at = 1, value = 0;

	if (n > 0 && p[0] != type)
		return -EPROTO;
	for (; at < n && p[at] >= '0' && p[at] <= '9'; at++) {
		if (at > DIGITS_MAX)
			return -EMSGSIZE;
		value = 10 * value + (size_t)(p[at] - '0');
	}
	if (at < n && (p[at] != '\r' || at == 1))
		return -EPROTO;
	if (at + 1 < n && p[at + 1] != '\n')
		return -EPROTO;
	if (at + 1 >= n)
		return 0;
	*ret = value;
	return (ssize_t)at + 2;
}

/* What follows the count. */
static ssize_t
parse_strings(const char *p, size_t n, size_t at, size_t count, struct frame *ret)
{
	while (ret->count < count) {
		size_t bytes = 0;
		ssize_t head = parse_head(p + at, n - at, '$', &bytes);

		if (head < 0)
			return head;
		if (head == 0) {
			ret->need_bytes = n + 1;
			return 0;
		}
		at += (size_t)head;
		if (at + bytes + 2 > FRAME_BYTES_MAX)
			return -EMSGSIZE;
		if (n - at < bytes + 2) {
			ret->next_bytes = bytes;
			ret->need_bytes = at + bytes + 2;
			return 0;
		}
		if (p[at + bytes] != '\r' || p[at + bytes + 1] != '\n')
			return -EPROTO;
		ret->string[ret->count++] = (struct bytes){p + at, bytes};
		at += bytes + 2;
	}
	return (ssize_t)at;
}

ssize_t
frame_parse(const char *p, size_t n, struct frame *ret)
{
	size_t count = 0;
	ssize_t head = parse_head(p, n, '*', &count);

	ret->count = 0;
	ret->next_bytes = 0;
	ret->need_bytes = n + 1;
	if (head <= 0)
		return head;
	if (count == 0)
		return -EPROTO;
	if (count > FRAME_STRINGS_MAX)
		return -EMSGSIZE;
	return parse_strings(p, n, (size_t)head, count, ret);
}

bool
frame_is(const struct frame *f, const char *verb)
{
	size_t n = strlen(verb);

	return f->string[0].n == n && memcmp(f->string[0].p, verb, n) == 0;
}
