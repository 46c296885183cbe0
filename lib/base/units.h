/*
 * units.h - time spans and sizes as people write them
 *
 * Time spans follow systemd.time(7): "500ms", "30s", "5min", "1h 30min"; a bare
 * number is seconds and may have a fraction ("1.5"). Units: us, ms, s (sec,
 * second, seconds), m (min, minute, minutes), h (hr, hour, hours), d (day, days),
 * w (week, weeks). Sizes: "1024", "64KiB", "1MiB", "2GiB", and K, M, G for the
 * same (powers of 1024), also with B.
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* The longest time span taken: 100 years. */
#define SPAN_MAX_MS (INT64_C(100) * 366 * 24 * 3600 * 1000)

/**
 * units_parse_span() - a time span in ms
 * @s, @n: the text, not terminated
 *
 * What is finer than 1 ms rounds up, so that only 0 gives 0. Each part may have a
 * fraction; blanks may stand around numbers and units. A number without a unit
 * stands alone: "1h 30" is refused, nobody can tell 30 of what. Empty, signed,
 * NaN, infinite, unknown units, trailing rubbish: -EINVAL; beyond SPAN_MAX_MS:
 * -ERANGE.
 */
int units_parse_span(const char *s, size_t n, int64_t *ret_ms);

/* A size in bytes, a whole number of its unit; -EINVAL, or -ERANGE when it does not
 * fit int64_t. */
int units_parse_size(const char *s, size_t n, int64_t *ret_bytes);

/* A whole decimal number in [min, max], no sign but '-', no blanks; -EINVAL, -ERANGE. */
int units_parse_int(const char *s, size_t n, int64_t min, int64_t max, int64_t *ret);

enum { UNITS_TEXT_BYTES = 32 };

/* "1h 30min", "1.5s", "250ms" / "64MiB"; the shortest exact form. Returns @out. */
const char *units_format_span(int64_t ms, char out[UNITS_TEXT_BYTES]);
const char *units_format_size(int64_t bytes, char out[UNITS_TEXT_BYTES]);

#endif
