/*
 * buf.h - a growable byte buffer
 *
 * Appending never fails visibly: when memory runs out the buffer turns `failed`
 * and ignores what follows, and the writer asks once, at the end:
 *
 *	struct buf b = {0};
 *	buf_str(&b, "id=");
 *	buf_int(&b, id);
 *	if (b.failed) ...
 *	buf_fini(&b);
 *
 * A zeroed struct is an empty buffer. Not terminated, unless buf_cstr() is used.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stint/api.h>

struct buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

/* Make room for @more bytes; NULL (and failed) when there is no memory. The
 * caller writes at the returned place and adds what it wrote to b->len. */
char *buf_room(struct buf *b, size_t more);

void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_int(struct buf *b, int64_t v);
void buf_fmt(struct buf *b, const char *fmt, ...) STINT_PRINTF(2, 3);

/* Write @v in decimal to @out, no NUL; how many bytes that took. For those who
 * build in place what buf_int() would append. */
enum { BUF_INT_BYTES = 20 }; /* "-9223372036854775808" */
size_t buf_print_int(char out[BUF_INT_BYTES], int64_t v);

/* Drop the first @n bytes. */
void buf_shift(struct buf *b, size_t n);

/* Forget the content and a failure, keep the memory (at most keep_bytes of it). */
void buf_reset(struct buf *b, size_t keep_bytes);

/* The content as a C string, still the buffer's; "" when it failed. */
const char *buf_cstr(struct buf *b);

/* Free; a cleanup() handler, fine for a zeroed buffer. */
void buf_fini(struct buf *b);

/* Likewise, and overwrite it first: for what holds a secret. What it left behind when it
 * grew is not reached, so make room for all of it at once. */
void buf_wipe(struct buf *b);

#endif
