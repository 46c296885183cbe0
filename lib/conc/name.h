/*
 * name.h - names of threads that belong together: "worker/0", "worker/1"
 */
#ifndef CONC_NAME_H
#define CONC_NAME_H

#include <stdio.h>

enum {
	NAME_BASE_BYTES = 10, /* the kernel's 15, less "/4095" */
	NAME_BUF_BYTES = NAME_BASE_BYTES + sizeof("/18446744073709551615"),
};

/* Fills and returns @buf; more of the name than the kernel takes is harmless. */
static inline const char *
name_numbered(char buf[NAME_BUF_BYTES], const char *base, size_t number)
{
	snprintf(buf, NAME_BUF_BYTES, "%.*s/%zu", (int)NAME_BASE_BYTES, base, number);
	return buf;
}

#endif
