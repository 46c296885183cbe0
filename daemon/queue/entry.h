/*
 * entry.h - stream entries in a reply, as jobs
 */
#ifndef QUEUE_ENTRY_H
#define QUEUE_ENTRY_H

#include <stdbool.h>
#include "daemon/redis/conn.h"
#include "lib/wire/job.h"

/**
 * entry_job() - one entry [id, [field, value, ...]] as a job
 * @ret_job: the caller's; NULL with 0: the entry was deleted, there is nothing to do
 *
 * Return: 0; -EPROTO: this is no entry; -ENOMEM.
 */
int entry_job(const struct redis_reply *entry, struct job **ret_job);

#endif
