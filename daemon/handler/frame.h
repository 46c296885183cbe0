/*
 * frame.h - what the daemon and a worker process say to each other over two pipes
 *
 * A frame is a RESP array of bulk strings, "*2\r\n$5\r\nREADY\r\n$1\r\n1\r\n", the verb
 * first. Who reads one cannot trust it: all limits are checked as soon as the number
 * that breaks them is there, before any memory is reserved for what it announces.
 */
#ifndef HANDLER_FRAME_H
#define HANDLER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "lib/wire/job.h"

enum {
	FRAME_STRINGS_MAX = 64,
	FRAME_BYTES_MAX = 64 << 20, /* all of it, heads included */
};

struct frame {
	size_t count;                           /* of strings that are there as a whole */
	struct bytes string[FRAME_STRINGS_MAX]; /* in the bytes that were parsed */
	size_t next_bytes; /* of the string that is not yet there, as announced */
	size_t need_bytes; /* of the whole frame, as far as is known */
};

/**
 * frame_parse() - look at the first frame in @n bytes
 *
 * Takes a few steps per string, however long they are, so it may be asked again as more
 * arrives. Return: the bytes of the frame; 0: it is not there as a whole, @ret says what
 * is, and need_bytes is more than @n; -EPROTO: malformed; -EMSGSIZE: over a limit.
 */
ssize_t frame_parse(const char *p, size_t n, struct frame *ret);

/* Is this the verb of a frame that has one? */
bool frame_is(const struct frame *f, const char *verb);

#endif
