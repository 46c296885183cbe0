/*
 * debug.c - what STINT_DEBUG in the environment asks for
 */
#include "lib/conc/debug.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
is_word(const char *at, size_t length, const char *word)
{
	return length == strlen(word) && strncmp(at, word, length) == 0;
}

/* The next word of a list, its length in @ret_length; NULL: there is none. */
static const char *
next_word(const char **list, size_t *ret_length)
{
	const char *at = *list;

	if (!at || !*at)
		return NULL;
	*ret_length = strcspn(at, ",");
	*list = at + *ret_length + (at[*ret_length] == ',');
	return at;
}

bool
debug_has(const char *word)
{
	const char *list = secure_getenv("STINT_DEBUG"), *at;
	size_t length;

	while ((at = next_word(&list, &length)))
		if (is_word(at, length, word))
			return true;
	return false;
}

/* Who has mistyped a word would take silence for a good sign. */
__attribute__((constructor)) static void
debug_tell_unknown(void)
{
	const char *list = secure_getenv("STINT_DEBUG"), *at;
	size_t length;

	while ((at = next_word(&list, &length)))
		if (length > 0 && !is_word(at, length, DEBUG_LEAKS) &&
			!is_word(at, length, DEBUG_DEADLOCK))
			fprintf(stderr,
				"stint: STINT_DEBUG: \"%.*s\" is unknown, there are "
				"\"" DEBUG_LEAKS "\" and \"" DEBUG_DEADLOCK "\"\n",
				(int)length, at);
}
