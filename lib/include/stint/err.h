/*
 * stint/err.h - an error with a sentence for people
 *
 * Functions of stint return 0 or a negative errno value. Where a number is not
 * enough, the last parameter is a struct stint_err that the function fills at
 * the place where the error happened; callers put their own context in front:
 *
 *	r = config_open(path, err);
 *	if (r < 0)
 *		return stint_err_wrap(err, r, "reload");
 *
 * gives "reload: cannot open /etc/stint/stint.yaml: Permission denied".
 * Nothing is ever allocated, so an out-of-memory error can be told, too.
 */
#ifndef STINT_ERR_H
#define STINT_ERR_H

#include <stint/api.h>

STINT_BEGIN_DECLS

enum { STINT_ERR_MSG_BYTES = 256 };

struct stint_err {
	int code;                      /* negative errno value, 0 = no error */
	char msg[STINT_ERR_MSG_BYTES]; /* one line, terminated, cut when too long */
};

/**
 * stint_err_set() - record an error at its origin
 * @err:  where to; NULL is allowed, then only @code is passed on
 * @code: negative errno value
 * @fmt:  what went wrong, in printf's words; no final full stop, no new line
 *
 * Thread: any; @err is the caller's.
 * Return: @code, so that it can stand in a return statement.
 */
STINT_API int stint_err_set(struct stint_err *err, int code, const char *fmt, ...)
	STINT_PRINTF(3, 4);

/**
 * stint_err_wrap() - put context in front of an error that was set below
 * @err:  as set by the callee; when it holds no text yet, strerror's is used
 * @code: what the callee returned
 * @fmt:  the context; ": " is put between it and the old text
 *
 * Thread: any; @err is the caller's. Return: @code.
 * Source: Go, fmt.Errorf with %w; differs: one line, and no chain to be searched.
 */
STINT_API int stint_err_wrap(struct stint_err *err, int code, const char *fmt, ...)
	STINT_PRINTF(3, 4);

STINT_END_DECLS

#endif
