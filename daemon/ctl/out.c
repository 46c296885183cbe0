/*
 * out.c - see out.h
 */
#include "daemon/ctl/out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/ctl/ctl.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"

enum { CELL_BYTES = 160 }; /* an id fits; of an error the rest is cut off */

/* Why the first large write failed; small ones fail in out_finish(). */
static int write_errno;

static void
put(const char *p, size_t n)
{
	if (n > 0 && fwrite(p, 1, n, stdout) != n && write_errno == 0)
		write_errno = errno;
}

int
out_json(const json_t *doc)
{
	cleanup(freep) char *text = json_dumps(doc, JSON_COMPACT);

	if (!text)
		return ctl_say(EX_OSERR, "out of memory");
	put(text, strlen(text));
	put("\n", 1);
	return EXIT_OK;
}

int
out_text(const struct buf *text)
{
	if (text->failed)
		return ctl_say(EX_OSERR, "out of memory");
	put(text->data, text->len);
	put("\n", 1);
	return EXIT_OK;
}

int
out_row(const json_t *row, size_t index)
{
	cleanup(freep) char *text = json_dumps(row, JSON_COMPACT);

	if (!text)
		return ctl_say(EX_OSERR, "out of memory");
	put(index == 0 ? "[" : ",", 1);
	put(text, strlen(text));
	return EXIT_OK;
}

void
out_rows_end(size_t count)
{
	if (count == 0)
		put("[", 1);
	put("]\n", 2);
}

json_t *
out_harmless(struct bytes text)
{
	const bool is_utf8 = json_is_utf8(text.p, text.n);
	cleanup(buf_fini) struct buf clean = {0};

	for (size_t i = 0; i < text.n; i++) {
		const unsigned char c = (unsigned char)text.p[i];

		buf_char(&clean,
			c < ' ' || c == 0x7f || (c > 0x7f && !is_utf8) ? '?' : (char)c);
	}
	return clean.failed ? NULL : json_stringn(clean.len ? clean.data : "", clean.len);
}

/* Not in the midst of a character. */
static void
cut_text(char out[CELL_BYTES], const char *text)
{
	const size_t n = strlen(text);
	size_t end = n;

	if (n >= CELL_BYTES) {
		end = CELL_BYTES - 1;
		while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
			end--;
	}
	memcpy(out, text, end);
	out[end] = '\0';
}

static const char *
cell(const json_t *row, const char *column, char out[CELL_BYTES])
{
	const json_t *value = json_object_get(row, column);

	if (json_is_integer(value))
		snprintf(out, CELL_BYTES, "%" JSON_INTEGER_FORMAT,
			json_integer_value(value));
	else if (json_is_boolean(value))
		cut_text(out, json_is_true(value) ? "yes" : "no");
	else
		cut_text(out, json_string_value(value));
	return out;
}

/* Of what stands left: less than none, as printf() has it. */
static int
column_width(const json_t *rows, const char *column)
{
	const bool is_right =
		json_is_integer(json_object_get(json_array_get(rows, 0), column));
	size_t width = strlen(column), i;
	char text[CELL_BYTES];
	const json_t *row;

	json_array_foreach(rows, i, row)
	{
		const size_t n = strlen(cell(row, column, text));

		width = n > width ? n : width;
	}
	return is_right ? (int)width : -(int)width;
}

/* Numbers stand right, words left; the last of those needs no blanks behind it. */
static void
put_cell(const char *text, int width, bool is_first, bool is_last)
{
	printf("%s%*s", is_first ? "" : "  ", is_last && width < 0 ? 0 : width, text);
}

void
out_table(const json_t *rows, const char *const *columns, size_t count)
{
	int widths[count];
	char text[CELL_BYTES];
	const json_t *row;
	size_t i, c;

	for (c = 0; c < count; c++) {
		widths[c] = column_width(rows, columns[c]);
		put_cell(columns[c], widths[c], c == 0, c + 1 == count);
	}
	putchar('\n');
	json_array_foreach(rows, i, row)
	{
		for (c = 0; c < count; c++)
			put_cell(cell(row, columns[c], text), widths[c], c == 0,
				c + 1 == count);
		putchar('\n');
	}
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* False when @s is not base64. */
static bool
decode_base64(const char *s, size_t n, struct buf *ret)
{
	unsigned bits = 0, held = 0;

	while (n > 0 && s[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++) {
		const int value = base64_value(s[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (unsigned)value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			buf_char(ret, (char)(bits >> held & 0xff));
		}
	}
	return true;
}

/* Output is a string, or base64 when it is not UTF-8; it may be left out. */
static int
put_output(const json_t *result, const char *id)
{
	const json_t *plain = json_object_get(result, "output");
	const json_t *coded = json_object_get(result, "output_base64");
	cleanup(buf_fini) struct buf decoded = {0};

	put(json_string_value(plain), json_string_length(plain));
	if (!decode_base64(json_string_value(coded), json_string_length(coded), &decoded))
		return ctl_say(EX_UNAVAILABLE, "%s: output_base64 is not base64", id);
	if (decoded.failed)
		return ctl_say(EX_OSERR, "out of memory");
	put(decoded.data, decoded.len);
	return 0;
}

/* The error, and on lines of its own the tail of standard error. */
static int
put_failure(const json_t *result, const char *id, const char *status)
{
	const char *error = json_string_value(json_object_get(result, "error"));
	const json_t *tail = json_object_get(result, "stderr");
	const size_t n = json_string_length(tail);

	ctl_say(EXIT_JOB_FAILED, "%s: %s%s%s", id, status, error ? ": " : "",
		error ? error : "");
	if (n > 0) {
		fwrite(json_string_value(tail), 1, n, stderr);
		if (json_string_value(tail)[n - 1] != '\n')
			putc('\n', stderr);
	}
	return EXIT_JOB_FAILED;
}

int
out_result(const struct buf *text, const char *id, bool is_json)
{
	/* Output may hold any byte, NUL too. */
	cleanup(json_decrefp) json_t *result =
		json_loadb(text->data, text->len, JSON_ALLOW_NUL, NULL);
	const char *status = json_string_value(json_object_get(result, "status"));
	const bool is_ok = status && strcmp(status, "ok") == 0;
	int code;

	if (!status)
		return ctl_say(
			EX_UNAVAILABLE, "what is stored for %s is not a result", id);
	if (is_json) {
		put(text->data, text->len);
		put("\n", 1);
		return is_ok ? EXIT_OK : EXIT_JOB_FAILED;
	}
	code = put_output(result, id);
	if (code != 0)
		return code;
	return is_ok ? EXIT_OK : put_failure(result, id, status);
}

int
out_finish(int code)
{
	const bool had_error = ferror(stdout);

	errno = write_errno;
	if (fclose(stdout) == 0 && !had_error)
		return code;
	return ctl_say(EX_IOERR, "cannot write to standard output%s%s", errno ? ": " : "",
		errno ? strerror(errno) : "");
}
