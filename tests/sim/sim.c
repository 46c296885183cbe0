/*
 * sim.c - thousands of schedules, each from one number
 *
 *	sim [--list] [--family NAME] [--seed N] [--count N] [--trace]
 *
 * Prints one line per family (and per scenario); a schedule that breaks an invariant is
 * named, with what it was that broke, and the same seed with --trace shows how it came to
 * that. The last family are deliberate faults, each of which must break some.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "tests/sim/sim.h"

enum {
	STEPS_MIN = 30,
	STEPS_MORE = 250,
	SETTLE_MS = 300000, /* of the scripted clock */
	SETTLE_STEPS = 100000,
	STOP_MS = 60000,
	KEEP_BYTES = 64 << 20,
	FAILURES_MAX = 5, /* these will do */
	SCENARIO_SEEDS = 300,
	MUTANT_SEEDS = 300,
};

static const char *const families[] = {"calm", "cuts", "outages", "deaths", "freezes",
	"drains", "refusals", "flushes", "all", "limits", "reloads"};

enum { FAMILIES = ARRAY_LEN(families) };

#define MUTANTS "mutants"

/* Few enough to be loaded once; what they differ in is what schedules are made of. */
static const char *const config_texts[] = {
	"redis: { url: redis://localhost }\n"
	"concurrency: 2\n"
	"queues: [a]\n"
	"lease: 4s\n"
	"max_deliveries: 3\n"
	"shutdown_timeout: 1s\n"
	"results: { ttl: 1d }\n"
	"handlers:\n"
	"  h: { command: [/bin/true], timeout: 3s, retries: 1, backoff: 100ms,"
	" kill_grace: 500ms }\n"
	"  few: { command: [/bin/true], timeout: 2s, retries: 1, backoff: 100ms,"
	" kill_grace: 500ms, concurrency: 1 }\n",

	"redis: { url: redis://localhost }\n"
	"concurrency: 1\n"
	"queues: [a, b]\n"
	"lease: 2s\n"
	"max_deliveries: 2\n"
	"shutdown_timeout: 0s\n"
	"unknown_handler: 1s\n"
	"results: { ttl: 1d }\n"
	"handlers:\n"
	"  h: { command: [/bin/true], timeout: 10s, retries: 2, backoff: 1s,"
	" kill_grace: 5s }\n"
	"  few: { command: [/bin/true], concurrency: 1 }\n",

	"redis: { url: redis://localhost }\n"
	"concurrency: 3\n"
	"queues: { a: 2 }\n"
	"lease: 6s\n"
	"dead_letters: { max_count: 2 }\n"
	"shutdown_timeout: 5s\n"
	"results: { ttl: 1d }\n"
	"handlers:\n"
	"  h: { command: [/bin/true], timeout: 1s, backoff: 10ms, kill_grace: 1s }\n"
	"  few: { command: [/bin/true], timeout: 1s, retries: 2, backoff: 10ms,"
	" concurrency: 2 }\n",
};

static struct config *configs[ARRAY_LEN(config_texts)];

static void
load_configs(void)
{
	for (size_t i = 0; i < ARRAY_LEN(config_texts); i++) {
		struct buf faults = {0};

		if (config_load("sim", config_texts[i], &configs[i], &faults) < 0) {
			fprintf(stderr, "sim: %s\n", buf_cstr(&faults));
			exit(1);
		}
		buf_fini(&faults);
	}
}

static void
drain_all(void)
{
	const int64_t until_ms = world.now_ms + STOP_MS;

	for (size_t i = 0; i < world.node_count; i++)
		if (world.nodes[i]->is_alive &&
			world.nodes[i]->daemon.drain.state == DRAIN_RUNNING)
			sim_drain(world.nodes[i]);
	while (world_alive_count() > 0 && world.now_ms < until_ms && step())
		;
	if (!world.has_failed && world_alive_count() > 0)
		sim_fail("does not stop");
}

static void
settle(void)
{
	const int64_t until_ms = world.now_ms + SETTLE_MS;
	const long steps = world.steps + SETTLE_STEPS;

	while (!check_is_settled() && world.now_ms < until_ms && world.steps < steps) {
		if (world_alive_count() == 0)
			world_start_node(); /* the last one had been told to stop */
		if (!step())
			return;
	}
	check_end();
	if (!world.has_failed && sim_chance(4))
		drain_all();
}

static void
begin_at_random(int family)
{
	long steps;

	faults_begin(family);
	steps = STEPS_MIN + sim_random(STEPS_MORE);
	for (long i = 0; i < steps && !world.has_failed; i++) {
		faults_step();
		step();
	}
}

/* Of a family, or, beyond those, a scenario. Does it hold? */
static bool
run_schedule(int family, uint64_t seed)
{
	world_begin(seed, configs[seed % ARRAY_LEN(configs)]);
	if (family < FAMILIES)
		begin_at_random(family);
	else
		scenarios[family - FAMILIES].begin();
	if (!world.has_failed) {
		faults_end();
		settle();
	}
	world_end();
	return !world.has_failed;
}

/* NULL: there is none any more. */
static const char *
name_of(int family)
{
	return family < FAMILIES ? families[family] : scenarios[family - FAMILIES].name;
}

/* How many of them fail. */
static long
run_family(int family, uint64_t first, long count)
{
	long failed = 0;

	for (long i = 0; i < count && failed < FAILURES_MAX; i++) {
		const uint64_t seed = first + (uint64_t)i;

		if (run_schedule(family, seed))
			continue;
		failed++;
		printf("    step by step: sim --family %s --seed %" PRIu64 " --trace\n",
			name_of(family), seed);
	}
	printf("%s: %s\n", name_of(family), failed ? "FAILED" : "ok");
	return failed;
}

/* Of all families and scenarios in turn: what each finds is another matter. */
static bool
is_found_out(uint64_t first)
{
	for (uint64_t seed = first; seed < first + MUTANT_SEEDS; seed++)
		for (int i = 0; name_of(i); i++)
			if (!run_schedule(i, seed))
				return true;
	return false;
}

/* How many of them are not. */
static long
run_mutants(uint64_t first)
{
	long failed = 0;

	for (size_t i = 0; mutants[i]; i++) {
		bool is_found;

		mutant_set(mutants[i]);
		script_end();
		script_init();
		is_found = is_found_out(first);
		failed += !is_found;
		printf("without %s: %s\n", mutants[i], is_found ? "ok" : "FAILED");
	}
	mutant_set(NULL);
	script_end();
	script_init();
	return failed;
}

/* ---- arguments ---- */

struct wish {
	uint64_t seed;
	long count;
	const char *family; /* NULL: all */
	bool is_list;
};

static bool
take_value(struct wish *w, const char *name, const char *value)
{
	if (!strcmp(name, "--seed"))
		w->seed = strtoull(value, NULL, 10);
	else if (!strcmp(name, "--count"))
		w->count = strtol(value, NULL, 10);
	else if (!strcmp(name, "--family"))
		w->family = value;
	else
		return false;
	return true;
}

static bool
take_args(struct wish *w, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--trace")) {
			world.is_traced = true;
			w->count = 1;
		} else if (!strcmp(argv[i], "--list")) {
			w->is_list = true;
		} else if (i + 1 == argc || !take_value(w, argv[i], argv[i + 1])) {
			return false;
		} else {
			i++;
		}
	}
	return true;
}

static long
run_wish(const struct wish *w)
{
	long failed = 0;

	for (int i = 0; name_of(i); i++)
		if (w->is_list)
			puts(name_of(i));
		else if (!w->family || !strcmp(w->family, name_of(i)))
			failed += run_family(i, w->seed,
				i < FAMILIES || w->count < SCENARIO_SEEDS
					? w->count
					: SCENARIO_SEEDS);
	if (w->is_list)
		puts(MUTANTS);
	else if (!w->family || !strcmp(w->family, MUTANTS))
		failed += run_mutants(w->seed);
	return failed;
}

int
main(int argc, char **argv)
{
	struct wish wish = {.seed = 1, .count = 100};
	long failed;

	if (!take_args(&wish, argc, argv)) {
		fputs("usage: sim [--list] [--family NAME] [--seed N] [--count N] "
		      "[--trace]\n",
			stderr);
		return 64;
	}
	/* memory goes round and round: none of it back to the kernel */
	mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	setvbuf(stdout, NULL, _IOLBF, 0);
	script_init();
	load_configs();
	failed = run_wish(&wish);
	for (size_t i = 0; i < ARRAY_LEN(configs); i++)
		config_unref(configs[i]);
	model_end();
	return failed > 0;
}
