/*
 * payload.h - the payload of a job, from an argument or standard input
 */
#ifndef CTL_PAYLOAD_H
#define CTL_PAYLOAD_H

#include "lib/base/buf.h"
#include "lib/wire/job.h"

/**
 * payload_read() - what PAYLOAD on the command line stands for
 * @arg:   itself, or "-": standard input to its end
 * @input: where standard input is read to
 * @ret:   points into @arg or @input
 *
 * Return: 0, or an exit code after a message.
 */
int payload_read(const char *arg, struct buf *input, struct bytes *ret);

#endif
