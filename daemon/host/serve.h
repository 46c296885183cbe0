/*
 * serve.h - jobs from descriptor 3, answers to descriptor 4, one after the other
 */
#ifndef HOST_SERVE_H
#define HOST_SERVE_H

#include <stint/err.h>
#include <stint/plugin.h>

/* Exit codes. */
enum {
	HOST_USAGE = 64,
	HOST_LOST = 70,   /* the daemon is gone, or says what is no frame */
	HOST_FAULTY = 78, /* the plugin cannot be loaded */
};

/**
 * serve() - READY, then each job that comes, until end of file on 3
 *
 * Return: 0: end of file; -errno: the daemon is gone, or what it says is no frame.
 */
int serve(stint_plugin_fn run, struct stint_err *err);

#endif
