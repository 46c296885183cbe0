/*
 * out.h - what stintctl prints on standard output
 *
 * Write errors are not looked at here: they stick to the stream, and out_finish()
 * asks for them once, at the end.
 */
#ifndef CTL_OUT_H
#define CTL_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>
#include "lib/base/buf.h"
#include "lib/wire/job.h"

/* One JSON document and a new line; NULL: there was no memory for it. EXIT_OK, or
 * EX_OSERR after a message. */
int out_json(const json_t *doc);

/* The same for one that is text already. EXIT_OK, or EX_OSERR when @text has failed. */
int out_text(const struct buf *text);

/* One JSON array, printed row by row: @index of the first is 0. Then the end of it, with
 * how many there were. */
int out_row(const json_t *row, size_t index);
void out_rows_end(size_t count);

/**
 * out_table() - objects as a table with a heading
 * @rows:    an array; each has all of @columns: strings, integers, booleans
 * @columns: the members to show, in order
 */
void out_table(const json_t *rows, const char *const *columns, size_t count);

/* Bytes that anybody may have written as a string that a terminal can be given: what is
 * not text is "?". NULL: no memory. */
json_t *out_harmless(struct bytes text);

/**
 * out_result() - a job's result: its output, bytes as they are, on standard output,
 * its error and the tail of its standard error on standard error
 * @text:    the result as it is stored, which is all that is printed with @is_json
 *
 * Return: the exit code.
 */
int out_result(const struct buf *text, const char *id, bool is_json);

/* Close standard output. Return: @code, or EX_IOERR after a message. */
int out_finish(int code);

#endif
