/*
 * track.h - what the library has made and not freed yet, for the leak check
 *
 * Whatever has a maker and a free function embeds a struct track, adds it as the last
 * step of making and removes it as the first step of freeing. While nobody watches
 * that costs a few stores and one relaxed load; then nothing is listed, and what was
 * made then never will be.
 */
#ifndef CONC_TRACK_H
#define CONC_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct track {
	const char *kind;  /* "channel": a literal */
	const char *name;  /* given by the user, owned by the object; NULL: none */
	const char *where; /* STINT_WHERE of the maker; NULL: part of something else */

	bool is_listed; /* never changes after track_add() */
	/* under the lock of track.c, if listed */
	uint64_t number; /* in order of making */
	TAILQ_ENTRY(track) in_list;
};

/* A track says it all in one line of at most this many bytes, the end included. */
enum { TRACK_TEXT_BYTES = 256 };

/**
 * track_add() - remember what was made and where, and list it if somebody watches
 * @where: NULL: it is part of something that is listed itself, and never listed
 *
 * The texts are not copied: they live as long as the object. Thread: any.
 */
void track_add(struct track *t, const char *kind, const char *name, const char *where);

/* Not listed any more. Thread: any, once; the memory of @t may go afterwards. */
void track_remove(struct track *t);

/* 'task "fetch" made at main.c:12', cut when too long. Returns @text. */
const char *track_text(const struct track *t, char text[TRACK_TEXT_BYTES]);

/* Tell on standard error that @t is used wrongly: one line, "stint: ...: @what".
 * For misuse whose error result is easily dropped. No locks held: it may block. The
 * second one is for who has only its text, as it may be gone without the lock. */
void track_tell(const struct track *t, const char *what);
void track_tell_text(const char *text, const char *what);

#endif
