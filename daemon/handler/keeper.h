/*
 * keeper.h - the process that runs the commands of one worker slot, one at a time, or
 * one process of a `worker` handler, which is "the job" here then
 *
 * What the daemon and a keeper say to each other, over SOCK_SEQPACKET:
 *
 *	keeper -> daemon   int: 0, I am there, or the errno that kept me from it
 *	daemon -> keeper   struct keeper_msg START, stdout, stderr, 4[, stdin]; or,
 *	                   with is_worker, stdout, stderr, 3, 4[, memory of struct
 *	                   keeper_pulse]; the block behind it, what is left of it in
 *	                   further messages
 *	daemon -> keeper   struct keeper_msg TERM, KILL, RETIRE or RENEW, any time
 *	keeper -> daemon   struct keeper_reply: the main process and all that was below
 *	                   it are gone
 *
 * The block is the directory ("": the daemon's own), then the arguments, then the
 * environment, each ended by a NUL, then supplementary groups. There is no answer to
 * START: a command that cannot be executed is one that ended at once.
 *
 * End of file on the socket, from either side, says that the other is gone: a keeper
 * kills what it runs and exits; the daemon sees it only when nothing is left of the
 * keeper's processes (the zygote holds the socket open until then).
 */
#ifndef HANDLER_KEEPER_H
#define HANDLER_KEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/resource.h>
#include "daemon/handler/cgroup.h"
#include "daemon/handler/confine.h"
#include "daemon/handler/usage.h"

/* Where a command tells its progress. */
enum { KEEPER_PROGRESS_FD = 4 };

/* TERM: SIGTERM to the job's process group and to the children that left it.
 * KILL: SIGKILL to everything. RETIRE: it was asked to end; KILL after the grace.
 * RENEW: the process has another job, and all of its processor time for it.
 * They mean nothing when no job runs. */
enum keeper_verb { KEEPER_START, KEEPER_TERM, KEEPER_KILL, KEEPER_RETIRE, KEEPER_RENEW };

struct keeper_msg {
	enum keeper_verb verb;
	uint32_t argc; /* START: how many strings in the block */
	uint32_t envc;
	size_t block_bytes;
	bool is_worker;         /* START */
	int64_t idle_ms;        /* START with a pulse: how long it may be idle */
	int64_t grace_ms;       /* START with a pulse, RETIRE: until KILL */
	struct confine confine; /* START */
};

/**
 * struct keeper_pulse - memory that says since when a process has been idle
 *
 * So that it can be ended without a thread that watches, and without a message per job:
 * the daemon writes the time (stint_now_ms()) when a job has ended, and swaps it for
 * KEEPER_BUSY before it gives it another; the keeper swaps a time that is long ago for
 * KEEPER_ENDED, then sends TERM, and KILL after the grace. Who finds another value than
 * he knew has lost; so a process is never ended while it has a job.
 */
struct keeper_pulse {
	_Atomic int64_t idle_since_ms;
};
enum { KEEPER_BUSY = -1, KEEPER_ENDED = -2 };

/* How far a start got. */
enum keeper_stage {
	KEEPER_DONE,      /* it ran */
	KEEPER_FORK,      /* no process */
	KEEPER_GROUP,     /* no control group */
	KEEPER_CONFINE,   /* a limit, or the account: which one says keeper_reply */
	KEEPER_DIRECTORY, /* no such directory */
	KEEPER_EXEC,      /* no such program */
};

struct keeper_reply {
	enum keeper_stage failed_at;
	enum confine_step step; /* with KEEPER_CONFINE */
	int error;              /* errno; 0 when it ran */
	int status;             /* as of waitpid(2), when it ran */
	struct usage usage;
};

/* Bytes of the block in one message: far below what a socket buffer holds. */
enum { KEEPER_CHUNK_BYTES = 65536 };

/**
 * keeper_main() - be a keeper, in a process just forked
 * @sock:   the keeper's end
 * @files:  RLIMIT_NOFILE for the commands
 * @cgroup: where the groups of jobs are made; without a root, nowhere
 */
noreturn void keeper_main(
	int sock, const struct rlimit *files, const struct cgroup *cgroup);

#endif
