/*
 * buf.c - a growable byte buffer
 *
 * Capacity doubles, so that appending n bytes one by one costs O(n) in all. Once a
 * buffer has failed it stays so until it is reset: what was appended after a gap
 * would be worse than nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/buf.h"

enum {
	CAP_FIRST = 64, /* a short key or command fits without a second allocation */
};

static bool
grow(struct buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : CAP_FIRST, need;
	char *data;

	if (__builtin_add_overflow(b->len, more, &need))
		return false;
	while (cap < need)
		if (__builtin_mul_overflow(cap, (size_t)2, &cap))
			return false;
	data = realloc(b->data, cap);
	if (!data)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

char *
buf_room(struct buf *b, size_t more)
{
	if (b->failed)
		return NULL;
	if ((!b->data || b->cap - b->len < more) && !grow(b, more)) {
		b->failed = true;
		return NULL;
	}
	return b->data + b->len;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	char *to = buf_room(b, n);

	if (!to || n == 0) /* p may be NULL then, which memcpy() does not like */
		return;
	memcpy(to, p, n);
	b->len += n;
}

void
buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_char(struct buf *b, char c)
{
	char *to = buf_room(b, 1);

	if (!to)
		return;
	*to = c;
	b->len++;
}

size_t
buf_print_int(char out[BUF_INT_BYTES], int64_t v)
{
	char digits[BUF_INT_BYTES], *end = digits + sizeof digits, *p = end;
	uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (v < 0)
		*--p = '-';
	memcpy(out, p, (size_t)(end - p));
	return (size_t)(end - p);
}

void
buf_int(struct buf *b, int64_t v)
{
	char *to = buf_room(b, BUF_INT_BYTES);

	if (to)
		b->len += buf_print_int(to, v);
}

void
buf_fmt(struct buf *b, const char *fmt, ...)
{
	char *to = buf_room(b, 1); /* what room there is: usually enough */
	size_t room, need;
	va_list ap;
	int n;

	if (!to)
		return;
	room = b->cap - b->len;
	va_start(ap, fmt);
	n = vsnprintf(to, room, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	need = (size_t)n + 1; /* printf insists on its NUL */
	if (need > room) {
		to = buf_room(b, need);
		if (!to)
			return;
		va_start(ap, fmt);
		vsnprintf(to, need, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

void
buf_shift(struct buf *b, size_t n)
{
	if (n >= b->len) {
		b->len = 0;
		return;
	}
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
}

void
buf_reset(struct buf *b, size_t keep_bytes)
{
	char *data;

	b->len = 0;
	b->failed = false;
	if (b->cap <= keep_bytes)
		return;
	if (keep_bytes == 0) {
		buf_fini(b);
		return;
	}
	data = realloc(b->data, keep_bytes);
	if (!data) /* it did not shrink: the old block is as good */
		return;
	b->data = data;
	b->cap = keep_bytes;
}

const char *
buf_cstr(struct buf *b)
{
	char *end = buf_room(b, 1);

	if (!end)
		return "";
	*end = '\0';
	return b->data;
}

void
buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

void
buf_wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_fini(b);
}
