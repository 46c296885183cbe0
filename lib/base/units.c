/*
 * units.c - time spans and sizes as people write them
 *
 * Whole numbers throughout: "0.1s" is 100 ms to the digit, which floating point
 * would not promise. Numbers saturate while they are read, so that a text which
 * is both too large and malformed is called malformed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/base/units.h"

enum {
	FRACTION_DIGITS = 9,       /* finer than a ms even of a week */
	FRACTION_ONE = 1000000000, /* 10 ^ FRACTION_DIGITS */
};

struct unit {
	const char *name;
	int64_t factor;
};

static const int64_t US_MAX = SPAN_MAX_MS * 1000;

#define US_S INT64_C(1000000)

/* in µs */
static const struct unit span_units[] = {
	{"us", 1},
	{"ms", 1000},
	{"s", US_S},
	{"sec", US_S},
	{"second", US_S},
	{"seconds", US_S},
	{"m", 60 * US_S},
	{"min", 60 * US_S},
	{"minute", 60 * US_S},
	{"minutes", 60 * US_S},
	{"h", 3600 * US_S},
	{"hr", 3600 * US_S},
	{"hour", 3600 * US_S},
	{"hours", 3600 * US_S},
	{"d", 86400 * US_S},
	{"day", 86400 * US_S},
	{"days", 86400 * US_S},
	{"w", 7 * 86400 * US_S},
	{"week", 7 * 86400 * US_S},
	{"weeks", 7 * 86400 * US_S},
};

static const struct unit size_units[] = {
	{"", 1},
	{"B", 1},
	{"K", 1 << 10},
	{"KB", 1 << 10},
	{"KiB", 1 << 10},
	{"M", 1 << 20},
	{"MB", 1 << 20},
	{"MiB", 1 << 20},
	{"G", 1 << 30},
	{"GB", 1 << 30},
	{"GiB", 1 << 30},
};

/* What is left of the text. */
struct scan {
	const char *p;
	const char *end;
};

static bool
at_digit(const struct scan *s)
{
	return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

static void
skip_blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
		s->p++;
}

/* Digits as a number, UINT64_MAX when they do not fit; false: there are none. */
static bool
scan_digits(struct scan *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!at_digit(s))
		return false;
	for (; at_digit(s); s->p++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*s->p - '0'), &v))
			v = UINT64_MAX;
	*ret = v;
	return true;
}

/* The digits behind a point in units of 1 / FRACTION_ONE, rounded up. */
static bool
scan_fraction(struct scan *s, int64_t *ret)
{
	int64_t v = 0, place = FRACTION_ONE, rest = 0;

	if (!at_digit(s))
		return false;
	for (; at_digit(s); s->p++) {
		place /= 10;
		v += place * (*s->p - '0');
		if (place == 0 && *s->p != '0')
			rest = 1;
	}
	*ret = v + rest;
	return true;
}

/* The letters that follow, looked up; NULL: no such unit. */
static const struct unit *
scan_unit(struct scan *s, const struct unit *units, size_t count)
{
	const char *name = s->p;
	size_t n;

	while (s->p < s->end && ((*s->p | 0x20) >= 'a' && (*s->p | 0x20) <= 'z'))
		s->p++;
	n = (size_t)(s->p - name);
	for (size_t i = 0; i < count; i++)
		if (strlen(units[i].name) == n && memcmp(units[i].name, name, n) == 0)
			return &units[i];
	return NULL;
}

/* @whole + @fraction of a unit; INT64_MAX when that does not fit. */
static int64_t
scale(uint64_t whole, int64_t fraction, int64_t factor)
{
	__int128 v = (__int128)whole * factor;

	v += ((__int128)fraction * factor + FRACTION_ONE - 1) / FRACTION_ONE;
	return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

/* One "1.5h" in µs. A number without a unit is seconds, but only on its own: in
 * "1h 30" nobody can tell. */
static bool
scan_part(struct scan *s, bool is_first, int64_t *ret_us)
{
	const struct unit *unit;
	uint64_t whole = 0;
	int64_t fraction = 0, factor = US_S;
	bool has_whole = scan_digits(s, &whole);

	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (!scan_fraction(s, &fraction))
			return false;
	} else if (!has_whole) {
		return false;
	}
	skip_blanks(s);
	if (!is_first || s->p < s->end) {
		unit = scan_unit(s, span_units, ARRAY_LEN(span_units));
		if (!unit)
			return false;
		factor = unit->factor;
	}
	*ret_us = scale(whole, fraction, factor);
	return true;
}

int
units_parse_span(const char *s, size_t n, int64_t *ret_ms)
{
	struct scan scan = {s, s + n};
	int64_t total_us = 0, part_us;
	bool is_first = true;

	skip_blanks(&scan);
	do {
		if (!scan_part(&scan, is_first, &part_us))
			return -EINVAL;
		if (__builtin_add_overflow(total_us, part_us, &total_us))
			total_us = INT64_MAX;
		is_first = false;
		skip_blanks(&scan);
	} while (scan.p < scan.end);
	if (total_us > US_MAX)
		return -ERANGE;
	*ret_ms = (total_us + 999) / 1000;
	return 0;
}

int
units_parse_size(const char *s, size_t n, int64_t *ret_bytes)
{
	struct scan scan = {s, s + n};
	const struct unit *unit;
	uint64_t number;
	int64_t bytes;

	skip_blanks(&scan);
	if (!scan_digits(&scan, &number))
		return -EINVAL;
	skip_blanks(&scan);
	unit = scan_unit(&scan, size_units, ARRAY_LEN(size_units));
	skip_blanks(&scan);
	if (!unit || scan.p < scan.end)
		return -EINVAL;
	if (__builtin_mul_overflow(number, unit->factor, &bytes))
		return -ERANGE;
	*ret_bytes = bytes;
	return 0;
}

int
units_parse_int(const char *s, size_t n, int64_t min, int64_t max, int64_t *ret)
{
	struct scan scan = {s, s + n};
	bool is_negative = n > 0 && *s == '-';
	uint64_t magnitude;
	__int128 v;

	if (is_negative)
		scan.p++;
	if (!scan_digits(&scan, &magnitude) || scan.p < scan.end)
		return -EINVAL;
	v = is_negative ? -(__int128)magnitude : (__int128)magnitude;
	if (v < min || v > max)
		return -ERANGE;
	*ret = (int64_t)v;
	return 0;
}

/* "1.5s", or "250ms" below a second; @ms is what whole minutes left over. */
static void
format_seconds(int64_t ms, char out[UNITS_TEXT_BYTES])
{
	int64_t s = ms / 1000, rest = ms % 1000;
	int digits = 3;

	if (rest == 0) {
		snprintf(out, UNITS_TEXT_BYTES, "%" PRId64 "s", s);
		return;
	}
	if (s == 0) {
		snprintf(out, UNITS_TEXT_BYTES, "%" PRId64 "ms", rest);
		return;
	}
	for (; rest % 10 == 0; rest /= 10)
		digits--;
	snprintf(out, UNITS_TEXT_BYTES, "%" PRId64 ".%0*" PRId64 "s", s, digits, rest);
}

const char *
units_format_span(int64_t ms, char out[UNITS_TEXT_BYTES])
{
	static const struct unit units[] = {
		{"w", 7 * 86400000},
		{"d", 86400000},
		{"h", 3600000},
		{"min", 60000},
	};
	char seconds[UNITS_TEXT_BYTES];
	size_t used = 0;

	if (ms < 0 || ms > SPAN_MAX_MS) { /* not a span, but something must be shown */
		snprintf(out, UNITS_TEXT_BYTES, "%" PRId64 "ms", ms);
		return out;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (ms < units[i].factor)
			continue;
		used += (size_t)snprintf(out + used, UNITS_TEXT_BYTES - used,
			"%s%" PRId64 "%s", used > 0 ? " " : "", ms / units[i].factor,
			units[i].name);
		ms %= units[i].factor;
	}
	if (used > 0 && ms == 0)
		return out;
	format_seconds(ms, seconds);
	snprintf(out + used, UNITS_TEXT_BYTES - used, "%s%s", used > 0 ? " " : "",
		seconds);
	return out;
}

const char *
units_format_size(int64_t bytes, char out[UNITS_TEXT_BYTES])
{
	static const struct unit units[] = {
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"", 1},
	};
	const struct unit *u = units;

	while (bytes % u->factor != 0 || (bytes == 0 && u->factor > 1))
		u++;
	snprintf(out, UNITS_TEXT_BYTES, "%" PRId64 "%s", bytes / u->factor, u->name);
	return out;
}
