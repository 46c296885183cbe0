/*
 * progress_lines.c - finds the newest line of progress in what a command has written
 *
 * From the end: whoever writes a million lines has one of them looked at for each read.
 */
#include "daemon/handler/progress_lines.h"

#include <string.h>

static void
keep(struct progress_lines *l, const char *p, size_t n)
{
	const size_t room = sizeof l->line - l->len;

	if (n > room)
		n = room;
	memcpy(l->line + l->len, p, n);
	l->len += n;
}

static struct bytes
cut(const char *p, size_t n)
{
	return (struct bytes){p, n < PROGRESS_LINE_BYTES ? n : PROGRESS_LINE_BYTES};
}

bool
progress_lines_take(
	struct progress_lines *l, const char *p, size_t n, struct progress *ret)
{
	const char *first = memchr(p, '\n', n), *end, *begin;
	bool is_found = false;

	if (!first) {
		keep(l, p, n);
		return false;
	}
	/* whole lines behind the first line end, the last one first */
	end = memrchr(p, '\n', n);
	for (const char *stop = end; !is_found && stop > first; stop = begin - 1) {
		begin = (const char *)memrchr(p, '\n', (size_t)(stop - p)) + 1;
		is_found = progress_set_line(ret, cut(begin, (size_t)(stop - begin)));
	}
	if (!is_found) {
		keep(l, p, (size_t)(first - p));
		is_found = progress_set_line(ret, cut(l->line, l->len));
	}
	l->len = 0;
	keep(l, end + 1, (size_t)(p + n - end - 1));
	return is_found;
}
