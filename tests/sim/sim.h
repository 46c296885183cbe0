/*
 * sim.h - a few daemons, one Redis, one clock, and everything between them by the will
 * of one seed
 *
 *	sim.c       arguments, seeds, families of schedules
 *	world.c     nodes: daemons that live in this process; the clock; randomness
 *	steps.c     what may happen next, and makes it happen
 *	faults.c    what goes wrong, and what people do: submit, cancel, pause ...
 *	reload.c    another configuration
 *	scenarios.c what has gone wrong once
 *	mutants.c   faults that must be found
 *	jobs.c      the jobs: what was submitted, run, recorded
 *	check.c     the invariants
 *	check_run.c those of a job that is about to run
 *	trouble.c   what goes wrong for which daemon, when, and what that explains
 *	fake_*.c    in place of daemon/redis/, core/loop.c, core/workers.c, obs/log.c
 *	short_lines.c  in place of core/lanes.c
 *
 * One thread, no real time, no descriptor: a schedule depends on its seed alone.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include "daemon/daemon_priv.h"
#include "tests/sim/model.h"

/* ---- nodes ---- */

enum {
	NODES_MAX = 24,
	ALIVE_MAX = 3,
	TIMERS_MAX = 32,
	HOSTS = 2,
	TROUBLES_MAX = 48,
	QUEUES_MAX = 3
};

struct sim_job;

struct trouble {
	int64_t begin_ms, end_ms;
};

struct node {
	int number;
	int host;
	bool is_alive;
	bool is_frozen;
	bool was_frozen;      /* at any time: what it does late is excused */
	int64_t cut_until_ms; /* its network is */
	bool is_draining;     /* told to stop while things went wrong */
	bool has_stopped;     /* it left its loop */
	struct trouble troubles[TROUBLES_MAX]; /* one after the other */
	size_t trouble_count;
	bool is_hurried; /* told to stop twice */
	struct daemon daemon;
	struct loop_timer *timers[TIMERS_MAX];
	size_t timer_count;
	struct loop_watch *watch; /* on the workers' outcomes */
	struct redis_conn *conns[LINK_COUNT];
	size_t conn_count;
	struct workers *workers;
};

struct world {
	struct node *nodes[NODES_MAX];
	size_t node_count; /* dead ones, too: their names are known */
	struct config *config;
	const char *
		queues[QUEUES_MAX]; /* those that jobs are for: not all are read always */
	size_t queue_count;
	int64_t now_ms; /* monotonic; the wall clock runs along */
	uint64_t random;
	bool is_redis_down;
	bool is_quiet; /* the end: nothing goes wrong any more */
	bool has_faults;
	int64_t flushed_unix_ms; /* Redis lost all then; 0: never */
	bool has_limits;         /* most jobs are of a handler that has one */
	bool has_reloads;
	bool is_traced;
	bool has_failed;
	uint64_t seed;
	long steps;
	struct session *sessions; /* of Redis; see fake_conn.h */
	int64_t next_client_id;
};

extern struct world world;

void world_begin(uint64_t seed, struct config *config);
void world_end(void);
struct node *world_start_node(void);
void world_kill_node(struct node *n);
size_t world_alive_count(void);
void world_set_clock(int64_t now_ms);

/* 0 ... @n - 1 */
uint32_t sim_random(uint32_t n);
/* In one of @n cases. */
bool sim_chance(uint32_t n);

/* One line of the trace, when there is one. */
void sim_trace(const char *fmt, ...) STINT_PRINTF(1, 2);
/* An invariant does not hold: told once, the schedule ends. */
void sim_fail(const char *fmt, ...) STINT_PRINTF(1, 2);

/* ---- steps.c ---- */

/* Something that may happen now happens. False: nothing is left but waiting, and the
 * clock stands still because @may_wait is false. */
bool step(void);

/* ---- faults.c ---- */

void faults_begin(int family);
/* Perhaps something that the daemons do not do themselves. */
void faults_step(void);
/* No more of that: all is mended, somebody is there. */
void faults_end(void);

/* A message to all daemons. @id: NULL: not for one job. */
void people_say(const char *queue, const char *command, const char *id);
void people_cancel(struct sim_job *job);
/* It forgets its scripts, as all that ends does. */
void redis_stop(void);
void redis_start(void);
/* SIGTERM, or the second one. */
void sim_drain(struct node *n);

/* ---- trouble.c ---- */

/* Something has just gone wrong for it; for all that live. */
void trouble_note(struct node *n);
void trouble_note_all(void);
/* The clock is about to move: what is wrong now is so until then. */
void trouble_pass(int64_t until_ms);

/* Was anything wrong for it since then, or shortly before? */
bool trouble_since(const struct node *n, int64_t since_ms);
/* Was so much wrong since it renewed a job that it could not renew it again in time? */
bool trouble_explains(const struct node *n, int64_t renewed_ms);

/* ---- reload.c ---- */

/* SIGHUP, with a random configuration, or (@is_all) one with all queues and handlers. */
void reload(struct node *n, bool is_all);

/* ---- scenarios.c: how a schedule begins that has shown a fault once ---- */

struct scenario {
	const char *name; /* NULL: the end */
	void (*begin)(void);
};

extern const struct scenario scenarios[];

/* ---- mutants.c ---- */

extern const char *const mutants[]; /* to the NULL */

/* It is in force until another one is, or NULL: none. Scripts are to be loaded anew. */
void mutant_set(const char *name);
bool mutant_is_set(void);

/* What takes the place of what the daemon has; the text is the caller's to free. */
int64_t mutant_retry_max_ms(int64_t retry_max_ms);
char *mutant_script(const char *name, const char *text);

/* ---- jobs.c ---- */

enum { JOBS_MAX = 24, RUNS_MAX = 512, RESULT_BYTES = 1024 };

struct sim_job {
	const char *queue; /* its name */
	char id[48];
	bool has_own_id;
	bool is_malformed;
	bool has_reply;
	int retries;         /* it has at most; -1: as the handler */
	int64_t due_unix_ms; /* not before; moved by retries */
	int64_t first_due_unix_ms;
	int64_t submitted_unix_ms;
	int64_t cancelled_unix_ms; /* the last time; 0: never */
	int submissions;
	int runs;
	bool is_late; /* finished by somebody who did not hold it any more */
	bool is_lost; /* with all that Redis had, and not submitted again since */
	bool was_lost;
	int results;
	int replies;
	char result[RESULT_BYTES];
};

/* An execution. */
struct sim_run {
	struct sim_job *job;
	struct node *node;
	char entry[ENTRY_ID_BYTES];
	int attempt;
	int64_t begin_ms;
	bool is_over;
	bool is_stale; /* Redis has lost its entry */
	enum job_status status;
};

struct jobs {
	struct sim_job all[JOBS_MAX];
	size_t count;
	struct sim_run runs[RUNS_MAX];
	size_t run_count;
};

extern struct jobs jobs;

void jobs_begin(void);
struct sim_job *jobs_find(struct bytes queue, struct bytes id);
/* A random new one (or one that was there) goes into the stream. */
void jobs_submit(void);
/* One without features but a delay, if it is not 0. */
struct sim_job *jobs_submit_plain(const char *queue, int64_t delay_ms);
/* Redis has lost all of them, and what they came to. */
void jobs_lose(void);
/* One command of a client that is no daemon. */
void jobs_command(const struct bytes *argv, size_t argc, struct redis_reply *reply,
	struct arena *arena);

/* ---- check.c ---- */

void check_begin(void);
/* After each command that wrote. */
void check_state(void);
/* The key of a queue: kind, and name if it has one; NULL: there is none of that type. */
struct object *sim_object(
	const char *queue, const char *kind, const char *name, enum object_type type);

/* ---- check_run.c ---- */

/* A worker is about to run it; NULL: this is wrong, and told. */
struct sim_run *check_run(struct node *n, const struct attempt *a);
/* It could not renew its lease in time, and is about to end it. */
void check_ended_by_lease(const struct node *n, const struct attempt *a);
/* It has stopped, and says that all is well. */
void check_left(const struct node *n);
/* All should be done: what is not? True: nothing. */
bool check_is_settled(void);
void check_end(void);

/* ---- fake_workers.c ---- */

/* A job waits and a worker is free; a run has come to its end; outcomes wait. */
bool workers_can_begin(const struct workers *w);
bool workers_can_end(const struct workers *w);
bool workers_have_outcomes(const struct workers *w);
void workers_begin_one(struct workers *w);
void workers_end_one(struct workers *w);
/* A run is about to tell of its progress. */
bool workers_can_tell(const struct workers *w);
void workers_tell_one(struct workers *w);
int64_t workers_next_ms(const struct workers *w);

#endif
