/*
 * progress.c - makes sense of what handlers tell of their progress
 */
#include "lib/wire/progress.h"

#include <string.h>
#include "lib/base/json.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

enum { UTF8_MAX = 4 }; /* bytes of one character */

static bool
is_blank(char c)
{
	return (unsigned char)c <= ' ';
}

static size_t
skip_digits(struct bytes s, size_t at)
{
	while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
		at++;
	return at;
}

/* -1: it is none. */
static int
parse_percent(struct bytes s)
{
	const size_t whole = skip_digits(s, 0);
	size_t end = whole;
	int value = 0;

	if (whole == 0)
		return -1;
	if (end < s.n && s.p[end] == '.')
		end = skip_digits(s, end + 1);
	if (end < s.n && s.p[end] == '%')
		end++;
	if (end < s.n)
		return -1;
	for (size_t i = 0; i < whole && value < PROGRESS_MAX; i++)
		value = 10 * value + (s.p[i] - '0');
	return value < PROGRESS_MAX ? value : PROGRESS_MAX;
}

/* Bytes of the character that begins there; 0: none does. */
static size_t
character_bytes(const char *s, size_t n)
{
	for (size_t i = 1; i <= n && i <= UTF8_MAX; i++)
		if (json_is_utf8(s, i))
			return i;
	return 0;
}

static struct bytes
trim(struct bytes s)
{
	while (s.n > 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Those of ASCII, and those of Latin-1, which terminals obey as well. */
static bool
is_control(const char *s, size_t n)
{
	const unsigned char c = (unsigned char)s[0];

	if (n == 2)
		return c == 0xc2 && (unsigned char)s[1] < 0xa0;
	return n == 1 && (c < ' ' || c == 0x7f);
}

static void
set_note(char out[PROGRESS_NOTE_BYTES], struct bytes note)
{
	size_t len = 0, step;

	note = trim(note);
	for (size_t i = 0; i < note.n; i += step) {
		const size_t n = character_bytes(note.p + i, note.n - i);
		struct bytes one = {note.p + i, n};

		if (n == 0)
			one = (struct bytes){REPLACEMENT, strlen(REPLACEMENT)};
		else if (is_control(one.p, n))
			one = (struct bytes){" ", 1};
		if (len + one.n >= PROGRESS_NOTE_BYTES)
			break;
		memcpy(out + len, one.p, one.n);
		len += one.n;
		step = n > 0 ? n : 1;
	}
	out[len] = '\0';
}

bool
progress_set(struct progress *ret, struct bytes percent, struct bytes note)
{
	const int value = parse_percent(percent);

	if (value < 0)
		return false;
	ret->percent = value;
	set_note(ret->note, note);
	return true;
}

bool
progress_set_line(struct progress *ret, struct bytes line)
{
	const struct bytes all = trim(line);
	size_t n = 0;

	while (n < all.n && !is_blank(all.p[n]))
		n++;
	return progress_set(
		ret, (struct bytes){all.p, n}, (struct bytes){all.p + n, all.n - n});
}
