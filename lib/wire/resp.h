/*
 * resp.h - writes Redis commands (RESP2 arrays of bulk strings) into a buffer
 *
 *	resp_cmd(&b, 3);
 *	resp_str(&b, "SET");
 *	resp_bulk(&b, key, key_len);
 *	resp_int(&b, 42);
 *
 * Reading replies is hiredis' (daemon/redis/, lib/client/).
 */
#ifndef WIRE_RESP_H
#define WIRE_RESP_H

#include <stdint.h>
#include "lib/base/buf.h"

void resp_cmd(struct buf *b, size_t argc);
void resp_bulk(struct buf *b, const void *p, size_t n);
/* Two pieces as one argument. */
void resp_joined(struct buf *b, const void *p, size_t n, const void *q, size_t m);
void resp_str(struct buf *b, const char *s);
void resp_int(struct buf *b, int64_t v);

#endif
