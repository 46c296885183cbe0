/*
 * bar.h - shows the progress of a job while somebody waits for it, on standard error
 *
 *	struct bar bar = {.id = id, .is_json = o->is_json};
 *
 *	w.on_progress = bar_show;
 *	w.arg = &bar;
 *	r = client_wait(c, &w, &result, &err);
 *	bar_close(&bar);
 *
 * On a terminal it is one line that changes, "[####----]  50% half done", and is gone
 * after bar_close(). Elsewhere each change is a line of its own; with is_json, on a
 * terminal too, a JSON object.
 */
#ifndef CTL_BAR_H
#define CTL_BAR_H

#include <stdbool.h>
#include "lib/wire/progress.h"

struct bar {
	const char *id; /* of the job */
	bool is_json;

	/* the rest is bar.c's */
	bool has_shown;
	bool is_line_open; /* on a terminal */
	struct progress shown;
};

/* @arg: the bar. What was shown last is not shown again. */
void bar_show(void *arg, const struct progress *progress);

/* To be called before anything else is printed. */
void bar_close(struct bar *bar);

#endif
