/*
 * progress.h - how far a running job has come, as its handler tells it
 */
#ifndef WIRE_PROGRESS_H
#define WIRE_PROGRESS_H

#include <stdbool.h>
#include "lib/wire/job.h"

enum {
	PROGRESS_MAX = 100,
	PROGRESS_NOTE_BYTES = 256, /* a NUL included */
};

struct progress {
	int percent;                    /* 0 ... PROGRESS_MAX */
	char note[PROGRESS_NOTE_BYTES]; /* one line of UTF-8, perhaps empty */
};

/**
 * progress_set() - take what a handler has told
 * @percent: digits, perhaps a fraction, which is dropped, and a percent sign; what is
 *           above PROGRESS_MAX counts as that
 * @note:    any bytes: control characters become blanks, what is not UTF-8 becomes
 *           U+FFFD, what is too long is cut off at a whole character; blanks around
 *           it go
 *
 * Return: false: the percentage is not of that form (a sign, a word, nothing), @ret is
 * as it was.
 */
bool progress_set(struct progress *ret, struct bytes percent, struct bytes note);

/* The same of one line, "<percent> <note>" or "<percent>", without its line end. */
bool progress_set_line(struct progress *ret, struct bytes line);

#endif
