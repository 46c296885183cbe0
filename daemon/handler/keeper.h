/*
 * keeper.h - the process that runs the commands of one worker slot, one at a time
 *
 * What the daemon and a keeper say to each other, over SOCK_SEQPACKET:
 *
 *	keeper -> daemon   int: 0, I am there, or the errno that kept me from it
 *	daemon -> keeper   struct keeper_msg START, stdout, stderr[, stdin]; the block
 *	                   behind it, what is left of it in further messages
 *	daemon -> keeper   struct keeper_msg TERM or KILL, any time
 *	keeper -> daemon   struct keeper_reply: the main process and all that was below
 *	                   it are gone
 *
 * The block is the directory ("": the daemon's own), then the arguments, then the
 * environment, each ended by a NUL. There is no answer to START: a command that
 * cannot be executed is one that ended at once.
 *
 * End of file on the socket, from either side, says that the other is gone: a keeper
 * kills what it runs and exits; the daemon sees it only when nothing is left of the
 * keeper's processes (the zygote holds the socket open until then).
 */
#ifndef HANDLER_KEEPER_H
#define HANDLER_KEEPER_H

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/resource.h>

/* TERM: SIGTERM to the job's process group and to the children that left it.
 * KILL: SIGKILL to everything. Both mean nothing when no job runs. */
enum keeper_verb { KEEPER_START, KEEPER_TERM, KEEPER_KILL };

struct keeper_msg {
	enum keeper_verb verb;
	uint32_t argc; /* START: how many strings in the block */
	uint32_t envc;
	size_t block_bytes;
};

/* How far a start got. */
enum keeper_stage {
	KEEPER_DONE,      /* it ran */
	KEEPER_FORK,      /* no process */
	KEEPER_DIRECTORY, /* no such directory */
	KEEPER_EXEC,      /* no such program */
};

struct keeper_reply {
	enum keeper_stage failed_at;
	int error;  /* errno; 0 when it ran */
	int status; /* as of waitpid(2), when it ran */
};

/* Bytes of the block in one message: far below what a socket buffer holds. */
enum { KEEPER_CHUNK_BYTES = 65536 };

/**
 * keeper_main() - be a keeper, in a process just forked
 * @sock:  the keeper's end
 * @files: RLIMIT_NOFILE for the commands
 */
noreturn void keeper_main(int sock, const struct rlimit *files);

#endif
