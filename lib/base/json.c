/*
 * json.c - writes JSON into a buffer
 *
 * Every result and every log line in JSON passes here, so text is copied in runs:
 * a table says which bytes need an escape, and what lies between two of them goes
 * over in one piece.
 */
#include <stdint.h>
#include <string.h>
#include "lib/base/json.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* What stands behind the backslash for a byte; 0: the byte stands for itself.
 * RFC 8259 section 7: quotation mark, reverse solidus and control characters. */
static const char escapes[256] = {
	[0 ... 0x07] = 'u',
	['\b'] = 'b',
	['\t'] = 't',
	['\n'] = 'n',
	[0x0b] = 'u',
	['\f'] = 'f',
	['\r'] = 'r',
	[0x0e ... 0x1f] = 'u',
	['"'] = '"',
	['\\'] = '\\',
};

/* The comma before the next member or element. A new line in front is the end of
 * an earlier text (a log line, a RESP header), not of an earlier member. */
static void
separate(struct buf *b)
{
	char last = b->len > 0 ? b->data[b->len - 1] : '\n';

	if (last != '{' && last != '[' && last != ':' && last != '\n')
		buf_char(b, ',');
}

static void
add_escape(struct buf *b, unsigned char c)
{
	static const char hex[16] = "0123456789abcdef";
	char text[6] = {'\\', escapes[c], '0', '0', hex[c >> 4], hex[c & 15]};

	buf_add(b, text, escapes[c] == 'u' ? 6 : 2);
}

static void
add_escaped(struct buf *b, const char *s, size_t n)
{
	const char *end, *run = s;

	if (n == 0) /* s may be NULL: an empty buffer's data */
		return;
	end = s + n;
	for (; s < end; s++) {
		if (!escapes[(unsigned char)*s])
			continue;
		buf_add(b, run, (size_t)(s - run));
		add_escape(b, (unsigned char)*s);
		run = s + 1;
	}
	buf_add(b, run, (size_t)(end - run));
}

/* Comma and "<key><suffix>": in front of a value, which may be without a key. */
static void
begin(struct buf *b, const char *key, const char *suffix)
{
	separate(b);
	if (!key)
		return;
	buf_char(b, '"');
	add_escaped(b, key, strlen(key));
	buf_str(b, suffix);
	buf_add(b, "\":", 2);
}

void
json_open(struct buf *b)
{
	separate(b);
	buf_char(b, '{');
}

void
json_close(struct buf *b)
{
	buf_char(b, '}');
}

void
json_key(struct buf *b, const char *key)
{
	begin(b, key, "");
}

void
json_str(struct buf *b, const char *key, const char *s, size_t n)
{
	begin(b, key, "");
	buf_char(b, '"');
	add_escaped(b, s, n);
	buf_char(b, '"');
}

void
json_cstr(struct buf *b, const char *key, const char *s)
{
	json_str(b, key, s, strlen(s));
}

void
json_int(struct buf *b, const char *key, int64_t v)
{
	begin(b, key, "");
	buf_int(b, v);
}

static bool
is_between(unsigned char c, unsigned char low, unsigned char high)
{
	return c >= low && c <= high;
}

/* Bytes of the character at @s, 0 when it is malformed. Unicode 15, table 3-7: the
 * second byte's range is what keeps out overlong forms, surrogates and all beyond
 * U+10FFFF. */
static size_t
utf8_len(const unsigned char *s, size_t n)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (is_between(s[0], 0xc2, 0xdf))
		len = 2;
	else if (is_between(s[0], 0xe0, 0xef))
		len = 3;
	else if (is_between(s[0], 0xf0, 0xf4))
		len = 4;
	else
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (n < len || !is_between(s[1], low, high))
		return 0;
	for (size_t i = 2; i < len; i++)
		if (!is_between(s[i], 0x80, 0xbf))
			return 0;
	return len;
}

/* How many bytes from @s on are valid. ASCII, by far the most, goes by words. */
static size_t
utf8_valid_len(const unsigned char *s, size_t n)
{
	size_t i = 0, len;
	uint64_t word;

	while (i < n) {
		if (n - i >= sizeof word) {
			memcpy(&word, s + i, sizeof word);
			if (!(word & UINT64_C(0x8080808080808080))) {
				i += sizeof word;
				continue;
			}
		}
		len = utf8_len(s + i, n - i);
		if (len == 0)
			break;
		i += len;
	}
	return i;
}

bool
json_is_utf8(const void *s, size_t n)
{
	return utf8_valid_len(s, n) == n;
}

void
json_str_lossy(struct buf *b, const char *key, const char *s, size_t n)
{
	begin(b, key, "");
	buf_char(b, '"');
	for (;;) {
		size_t valid = utf8_valid_len((const unsigned char *)s, n);

		add_escaped(b, s, valid);
		if (valid == n)
			break;
		buf_str(b, REPLACEMENT);
		s += valid + 1;
		n -= valid + 1;
	}
	buf_char(b, '"');
}

/* RFC 4648 section 4, with padding. */
static void
add_base64(struct buf *b, const unsigned char *s, size_t n)
{
	static const char digits[64] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *to = buf_room(b, n / 3 * 4 + 4);

	if (!to)
		return;
	for (; n > 0; to += 4) {
		size_t taken = n < 3 ? n : 3;
		unsigned int bits = (unsigned int)s[0] << 16;

		bits |= taken > 1 ? (unsigned int)s[1] << 8 : 0;
		bits |= taken > 2 ? s[2] : 0;
		to[0] = digits[bits >> 18];
		to[1] = digits[bits >> 12 & 63];
		to[2] = taken > 1 ? digits[bits >> 6 & 63] : '=';
		to[3] = taken > 2 ? digits[bits & 63] : '=';
		s += taken;
		n -= taken;
	}
	b->len = (size_t)(to - b->data);
}

void
json_bytes(struct buf *b, const char *key, const void *s, size_t n)
{
	if (json_is_utf8(s, n)) {
		json_str(b, key, s, n);
		return;
	}
	begin(b, key, "_base64");
	buf_char(b, '"');
	add_base64(b, s, n);
	buf_char(b, '"');
}
