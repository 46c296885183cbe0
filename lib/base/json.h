/*
 * json.h - writes JSON into a buffer; reading is jansson's
 *
 *	json_open(&b);                          {
 *	json_str(&b, "status", "ok", 2);        "status":"ok"
 *	json_int(&b, "attempt", 1);             ,"attempt":1
 *	json_close(&b);                         }
 *
 * The writer holds no state but the buffer: a comma is put when the last byte is
 * not an opening bracket (a colon, a new line, or none at all). So an array is
 * buf_char(&b, '['), values with key NULL or objects, buf_char(&b, ']'); and text
 * in front of the outermost object has to end in a new line.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include "lib/base/buf.h"

void json_open(struct buf *b);
void json_close(struct buf *b);
void json_key(struct buf *b, const char *key); /* then one value below with key NULL */

/* @s must be valid UTF-8; where that is not sure, it is one of the two below. */
void json_str(struct buf *b, const char *key, const char *s, size_t n);
void json_cstr(struct buf *b, const char *key, const char *s);
void json_int(struct buf *b, const char *key, int64_t v);

/* @s as a JSON string member when it is valid UTF-8, else member <key>_base64; so
 * @key is not NULL here. */
void json_bytes(struct buf *b, const char *key, const void *s, size_t n);

/* Like json_str, but each byte that is not part of valid UTF-8 becomes U+FFFD. */
void json_str_lossy(struct buf *b, const char *key, const char *s, size_t n);

bool json_is_utf8(const void *s, size_t n);

#endif
