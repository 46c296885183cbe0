/*
 * bar.c - progress on a terminal, or in lines; see bar.h
 */
#include "daemon/ctl/bar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <jansson.h>
#include "daemon/ctl/ctl.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

enum {
	USUAL_COLUMNS = 80,
	BAR_COLUMNS = 30,     /* between the brackets, where there is room ... */
	BAR_COLUMNS_MIN = 10, /* ... or at least; less than that is no bar */
	PERCENT_COLUMNS = 5,  /* " 100%" */
};

/* From the first column, and what was there behind it goes. */
#define LINE_BEGIN "\r"
#define LINE_END   "\033[K"

static bool
is_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static int
columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return USUAL_COLUMNS;
	return size.ws_col;
}

/* As much of the note as there is room for. A character of three bytes and more may be
 * two columns wide. */
static void
add_note(struct buf *line, const char *note, int room)
{
	size_t n;

	for (const char *p = note; *p; p += n) {
		const unsigned char c = (unsigned char)*p;

		n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		room -= n > 2 ? 2 : 1;
		if (room < 0)
			return;
		buf_add(line, p, n);
	}
}

static void
draw(struct bar *bar, const struct progress *progress)
{
	cleanup(buf_fini) struct buf line = {0};
	const int all = columns() - 1; /* in the last one some terminals go on below */
	int width = all / 3 < BAR_COLUMNS ? all / 3 : BAR_COLUMNS;

	buf_str(&line, LINE_BEGIN);
	if (width < BAR_COLUMNS_MIN) {
		width = 0;
	} else {
		buf_char(&line, '[');
		for (int i = 0; i < width; i++)
			buf_char(&line,
				i < width * progress->percent / PROGRESS_MAX ? '#' : '-');
		buf_char(&line, ']');
		width += 2;
	}
	buf_fmt(&line, "%4d%%", progress->percent);
	buf_char(&line, ' ');
	add_note(&line, progress->note, all - width - PERCENT_COLUMNS - 1);
	buf_str(&line, LINE_END);
	if (line.failed)
		return;
	/* in one piece, or it would flicker */
	fwrite(line.data, 1, line.len, stderr);
	fflush(stderr);
	bar->is_line_open = true;
}

static void
tell_json(const struct bar *bar, const struct progress *progress)
{
	cleanup(json_decrefp) json_t *doc = json_pack("{s:s, s:i, s:s}", "id", bar->id,
		"percent", progress->percent, "note", progress->note);
	cleanup(freep) char *text = json_dumps(doc, JSON_COMPACT);

	if (text)
		fprintf(stderr, "%s\n", text);
}

static bool
is_same(const struct progress *a, const struct progress *b)
{
	return a->percent == b->percent && strcmp(a->note, b->note) == 0;
}

void
bar_show(void *arg, const struct progress *progress)
{
	struct bar *bar = arg;

	if (bar->has_shown && is_same(&bar->shown, progress))
		return;
	bar->has_shown = true;
	bar->shown = *progress;
	if (bar->is_json)
		tell_json(bar, progress);
	else if (is_terminal())
		draw(bar, progress);
	else
		ctl_say(0, "%s: %d%%%s%s", bar->id, progress->percent,
			*progress->note ? ": " : "", progress->note);
}

void
bar_close(struct bar *bar)
{
	if (!bar->is_line_open)
		return;
	fputs(LINE_BEGIN LINE_END, stderr);
	bar->is_line_open = false;
}
