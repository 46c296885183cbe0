/*
 * reply.h - a plugin's reply, from the side of the one who calls the plugin
 *
 *	struct stint_reply reply;
 *	reply_init(&reply, limit_bytes);
 *	reply_settle(&reply, plugin->run(ctx, &job, &reply));
 *	... reply.end, reply.output or reply.error
 *	reply_fini(&reply);
 */
#ifndef PLUGIN_REPLY_H
#define PLUGIN_REPLY_H

#include <stint/plugin.h>
#include "lib/base/buf.h"

enum { REPLY_TEXT_BYTES = 512 };

enum reply_end {
	REPLY_OK,
	REPLY_ERROR, /* may be retried */
	REPLY_FAIL,  /* for good */
	REPLY_OVER,  /* the output is more than the limit; for good, too */
};

struct stint_reply {
	enum reply_end end;
	struct buf output;            /* when it is ok */
	char error[REPLY_TEXT_BYTES]; /* of REPLY_ERROR and REPLY_FAIL */
	size_t limit_bytes;           /* of the output */
	/* Set by the caller after reply_init(); NULL: nobody wants to know. Called in the
	 * plugin's thread, when something has changed. */
	void (*on_progress)(void *arg, int percent, const char *note);
	void *arg;
	int percent; /* as it was told last; -1: never */
	char note[REPLY_TEXT_BYTES];
};

void reply_init(struct stint_reply *reply, size_t limit_bytes);

/* What it comes to, with what the function has returned. */
void reply_settle(struct stint_reply *reply, int returned);

void reply_fini(struct stint_reply *reply);

#endif
