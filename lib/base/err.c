/*
 * err.c - an error with a sentence for people
 *
 * The sentence is first put together on the stack and then copied, so that the
 * arguments may point into the very message that is being replaced. What is
 * quoted in it may come from a job or a file: control characters become blanks,
 * since a message is one line wherever it is shown.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <stint/err.h>

enum {
	CONTEXT_BYTES = STINT_ERR_MSG_BYTES + 1, /* store() looks at what it cuts off */
	TEXT_BYTES = CONTEXT_BYTES + 2 + STINT_ERR_MSG_BYTES, /* context, ": ", reason */
};

static void
store(struct stint_err *err, int code, const char text[TEXT_BYTES])
{
	size_t n = strlen(text);

	if (n >= sizeof err->msg) {
		n = sizeof err->msg - 1;
		while (n > 0 && (text[n] & 0xc0) == 0x80) /* inside a UTF-8 character */
			n--;
	}
	for (size_t i = 0; i < n; i++)
		err->msg[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
	err->msg[n] = '\0';
	err->code = code;
}

int
stint_err_set(struct stint_err *err, int code, const char *fmt, ...)
{
	char text[TEXT_BYTES] = "";
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	store(err, code, text);
	return code;
}

int
stint_err_wrap(struct stint_err *err, int code, const char *fmt, ...)
{
	char text[TEXT_BYTES] = "", reason[STINT_ERR_MSG_BYTES];
	const char *below;
	size_t used;
	va_list ap;

	if (!err)
		return code;
	below = err->msg[0] ? err->msg : strerror_r(-code, reason, sizeof reason);
	va_start(ap, fmt);
	vsnprintf(text, CONTEXT_BYTES, fmt, ap);
	va_end(ap);
	used = strlen(text);
	snprintf(text + used, sizeof text - used, ": %s", below);
	store(err, code, text);
	return code;
}
