/*
 * plugins.h - the plugins of a configuration: sees that they can be loaded, and loads
 * those that run in the daemon
 */
#ifndef HANDLER_PLUGINS_H
#define HANDLER_PLUGINS_H

#include <stdbool.h>
#include "daemon/config/config.h"

/**
 * plugins_check() - try to load plugins, each in a process that ends then
 * @with_threads: also those of `isolation: thread`
 * @faults:       one line for each that cannot be loaded, as config_load() writes them
 *
 * Their constructors run, in those processes. Blocks: for 10 s for each at most. Thread:
 * the only one of the process. Return: 0; -EINVAL: there are faults; -ENOMEM.
 */
int plugins_check(const struct config *config, bool with_threads, struct buf *faults);

/**
 * plugins_load() - load those of `isolation: thread` into this process, for good
 *
 * Thread: the loop's; nobody else has seen @config yet. Return: as above.
 */
int plugins_load(struct config *config, struct buf *faults);

#endif
