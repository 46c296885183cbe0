/*
 * file.h - a small file, whole
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include <stdint.h>
#include "lib/base/buf.h"

/**
 * file_read() - what @path holds, at most @max_bytes of it
 * @out:        empty; filled without reallocation, so that a secret can be wiped
 * @ret_bytes:  with -EFBIG, the file's size; 0 when it is not known
 *
 * Return: 0; -EFBIG; or -errno of open(2) and read(2), -EISDIR for a directory.
 */
int file_read(const char *path, size_t max_bytes, struct buf *out, int64_t *ret_bytes);

#endif
