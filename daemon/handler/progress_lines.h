/*
 * progress_lines.h - what a command writes on its descriptor 4: lines of progress
 *
 * "<percent> <note>", see lib/wire/progress.h. Only the newest counts, so the rest is
 * passed over; a line that is none is ignored, one that is too long is cut off.
 */
#ifndef HANDLER_PROGRESS_LINES_H
#define HANDLER_PROGRESS_LINES_H

#include <stdbool.h>
#include "lib/wire/progress.h"

/* More of a line is not looked at; three bytes may become one of a note's characters. */
enum { PROGRESS_LINE_BYTES = 512 };

/* A zeroed one has read nothing. */
struct progress_lines {
	size_t len; /* of what has come of a line that is not whole yet */
	char line[PROGRESS_LINE_BYTES];
};

/**
 * progress_lines_take() - the next bytes that were read
 *
 * Return: has a line of progress ended in them? @ret is the last one then; else it is as
 * it was.
 */
bool progress_lines_take(
	struct progress_lines *l, const char *p, size_t n, struct progress *ret);

#endif
