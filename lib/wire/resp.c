/*
 * resp.c - writes Redis commands into a buffer
 *
 * Several arguments per job, hundreds of thousands of jobs a second: an argument
 * asks for room once, and its length is written without printf.
 */
#include <string.h>
#include "lib/wire/resp.h"

enum {
	HEAD_BYTES = 1 + BUF_INT_BYTES + 2, /* "$", a length, "\r\n" */
};

/* "*3\r\n" or "$5\r\n" at @to; where to go on. */
static char *
put_head(char *to, char type, size_t n)
{
	*to++ = type;
	to += buf_print_int(to, (int64_t)n);
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

void
resp_cmd(struct buf *b, size_t argc)
{
	char *to = buf_room(b, HEAD_BYTES);

	if (to)
		b->len = (size_t)(put_head(to, '*', argc) - b->data);
}

static char *
put_bytes(char *to, const void *p, size_t n)
{
	if (n > 0) /* else p may be NULL */
		memcpy(to, p, n);
	return to + n;
}

void
resp_joined(struct buf *b, const void *p, size_t n, const void *q, size_t m)
{
	char *to = buf_room(b, HEAD_BYTES + n + m + 2);

	if (!to)
		return;
	to = put_head(to, '$', n + m);
	to = put_bytes(to, p, n);
	to = put_bytes(to, q, m);
	*to++ = '\r';
	*to++ = '\n';
	b->len = (size_t)(to - b->data);
}

void
resp_bulk(struct buf *b, const void *p, size_t n)
{
	resp_joined(b, p, n, NULL, 0);
}

void
resp_str(struct buf *b, const char *s)
{
	resp_bulk(b, s, strlen(s));
}

void
resp_int(struct buf *b, int64_t v)
{
	char digits[BUF_INT_BYTES];

	resp_bulk(b, digits, buf_print_int(digits, v));
}
