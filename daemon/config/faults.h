/*
 * faults.h - what is wrong with a configuration, gathered and then told in order
 *
 * Faults are found in the order of the work, but read in the order of the file:
 * they are kept until the end, sorted by place, and printed one per line.
 *
 * A fault must not give a secret away. Texts come from here or from the table of
 * keys; what the file says is quoted by faults_got() alone, which knows what to
 * keep back.
 */
#ifndef CONFIG_FAULTS_H
#define CONFIG_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stint/api.h>
#include "daemon/config/yaml.h"
#include "lib/base/buf.h"

struct fault {
	int line; /* from 1; 0: the file as a whole */
	int column;
	size_t order; /* of discovery: keeps faults of one place in that order */
	char *text;
};

/* Zeroed: no faults. */
struct faults {
	struct fault *items;
	size_t count;
	size_t cap;
	bool failed; /* out of memory; like struct buf, asked once at the end */
};

/* At a place in the file; line 0 for the file as a whole. */
void faults_add(struct faults *f, int line, int column, const char *fmt, ...)
	STINT_PRINTF(4, 5);

/* At a node, its key path in front: "handlers.resize.timeout: ...". */
void faults_at(struct faults *f, const struct yaml_tree *node, const char *fmt, ...)
	STINT_PRINTF(3, 4);

/* What the node holds, for "got %s": `"soon"`, `0`, `nothing`, `a list`. One line,
 * cut when long; a text that looks like a URL or an address is not shown. */
enum { FAULTS_GOT_BYTES = 192 };
const char *faults_got(const struct yaml_tree *node, char out[FAULTS_GOT_BYTES]);

/* Append "FILE:LINE:COL: text\n" for each, in order of place. */
void faults_print(struct faults *f, const char *file, struct buf *out);

void faults_fini(struct faults *f); /* a cleanup() handler */

#endif
