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

/* One JSON document and a new line; NULL: there was no memory for it. EXIT_OK, or
 * EX_OSERR after a message. */
int out_json(const json_t *doc);

/**
 * out_table() - objects as a table with a heading
 * @rows:    an array; each has all of @columns, short strings or integers
 * @columns: the members to show, in order
 */
void out_table(const json_t *rows, const char *const *columns, size_t count);

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
