/*
 * fault.h - what an error reply asks for
 *
 * Redis refuses commands for reasons that have nothing to do with the job at hand;
 * these are states to wait out. The first word of the reply tells which.
 */
#ifndef QUEUE_FAULT_H
#define QUEUE_FAULT_H

#include "daemon/redis/conn.h"

enum fault {
	FAULT_NONE,         /* not an error */
	FAULT_NOSCRIPT,     /* not executed: load the scripts, send again */
	FAULT_NOGROUP,      /* stream or group are gone: make them, go on */
	FAULT_WAIT,         /* LOADING, BUSY, MASTERDOWN ...: the same again, later */
	FAULT_REFUSED,      /* OOM, MISCONF, NOREPLICAS: writes are refused for now */
	FAULT_WRONG_SERVER, /* READONLY, MOVED ...: connect anew, look who is the master
			     */
	FAULT_SETUP, /* NOAUTH, NOPERM, WRONGTYPE ...: somebody must mend something */
	FAULT_OTHER,
};

enum fault fault_of(const struct redis_reply *r);

#endif
