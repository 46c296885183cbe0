/*
 * serve.h - jobs from descriptor 3, answers to descriptor 4, one after the other
 */
#ifndef HOST_SERVE_H
#define HOST_SERVE_H

#include <stint/err.h>
#include <stint/plugin.h>

/**
 * serve() - READY, then each job that comes, until end of file on 3
 *
 * Return: 0: end of file; -errno: the daemon is gone, or what it says is no frame.
 */
int serve(stint_plugin_fn run, struct stint_err *err);

#endif
