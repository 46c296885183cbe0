/*
 * plugin_load.h - opens a plugin and sees that it fits
 *
 * For stint-host, and for the daemon where it runs a plugin in its own threads.
 */
#ifndef HANDLER_PLUGIN_LOAD_H
#define HANDLER_PLUGIN_LOAD_H

#include <stint/err.h>
#include <stint/plugin.h>

/**
 * plugin_load() - dlopen(3) the file and look at its STINT_PLUGIN()
 *
 * It is never closed: its threads may outlast the job that made them. Its constructors
 * run here, in the caller's thread. Return: 0; -ENOEXEC and a line that says what to do.
 */
int plugin_load(const char *path, stint_plugin_fn *ret, struct stint_err *err);

#endif
