/*
 * payload.c - see payload.h
 */
#include "daemon/ctl/payload.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "daemon/ctl/ctl.h"

enum {
	READ_BYTES = 256 * 1024,
	PAYLOAD_MAX_BYTES = 512 * 1024 * 1024, /* of any string in Redis */
};

/* Standard input to its end. */
static int
read_input(struct buf *ret)
{
	ssize_t n;
	char *at;

	do {
		at = buf_room(ret, READ_BYTES);
		if (!at)
			return ctl_say(EX_OSERR, "out of memory");
		n = read(STDIN_FILENO, at, READ_BYTES);
		if (n < 0 && errno != EINTR)
			return ctl_say(EX_IOERR,
				"cannot read the payload from standard input: %s",
				strerror(errno));
		ret->len += n > 0 ? (size_t)n : 0;
		if (ret->len > PAYLOAD_MAX_BYTES)
			return ctl_say(EX_USAGE,
				"PAYLOAD: expected at most 512MiB on standard input");
	} while (n != 0);
	return 0;
}

int
payload_read(const char *arg, struct buf *input, struct bytes *ret)
{
	int code;

	if (strcmp(arg, "-") != 0) {
		*ret = (struct bytes){arg, strlen(arg)};
		return 0;
	}
	code = read_input(input);
	*ret = (struct bytes){input->data, input->len};
	return code;
}
