/*
 * model_script.c - the daemon's own Lua scripts, in a Lua like Redis'
 *
 * Each is compiled once and kept over all schedules. cmsgpack packs lists of strings,
 * which is all that is asked of it, in a format of its own.
 */
#include <lua5.1/lauxlib.h>
#include <lua5.1/lua.h>
#include <lua5.1/lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/wire/scripts.h"
#include "tests/sim/sim.h"

enum { PACK_HEAD_BYTES = 4 };

static lua_State *lua;
static int compiled[SCRIPT_ALL_COUNT];

/* ---- replies to Lua, and back ---- */

static void
push_pair(lua_State *l, const char *name, const struct redis_reply *r)
{
	lua_createtable(l, 0, 1);
	lua_pushstring(l, name);
	lua_pushlstring(l, r->str, r->len);
	lua_rawset(l, -3);
}

static void
push_reply(lua_State *l, const struct redis_reply *r)
{
	luaL_checkstack(l, 8, "reply");
	switch (r->type) {
	case REDIS_INTEGER:
		lua_pushnumber(l, (lua_Number)r->integer);
		return;
	case REDIS_STRING:
		lua_pushlstring(l, r->str, r->len);
		return;
	case REDIS_STATUS:
		return push_pair(l, "ok", r);
	case REDIS_ERROR:
		return push_pair(l, "err", r);
	case REDIS_ARRAY:
		lua_createtable(l, (int)r->count, 0);
		for (size_t i = 0; i < r->count; i++) {
			push_reply(l, &r->items[i]);
			lua_rawseti(l, -2, (int)i + 1);
		}
		return;
	default:
		lua_pushboolean(l, 0);
	}
}

/* The value at the top, which goes. */
static void
take_reply(lua_State *l, struct arena *a, struct redis_reply *r)
{
	*r = (struct redis_reply){.type = REDIS_NIL};
	if (lua_isnumber(l, -1) && lua_type(l, -1) == LUA_TNUMBER) {
		r->type = REDIS_INTEGER;
		r->integer = (int64_t)lua_tonumber(l, -1);
	} else if (lua_isstring(l, -1)) {
		size_t n;
		const char *p = lua_tolstring(l, -1, &n);

		reply_bytes(r, arena_copy(a, p, n));
	} else if (lua_isboolean(l, -1) && lua_toboolean(l, -1)) {
		r->type = REDIS_INTEGER;
		r->integer = 1;
	} else if (lua_istable(l, -1)) {
		size_t n;

		lua_getfield(l, -1, "err");
		if (lua_isstring(l, -1)) {
			reply_bytes(
				r, arena_copy(a, lua_tostring(l, -1), lua_objlen(l, -1)));
			r->type = REDIS_ERROR;
			lua_pop(l, 2);
			return;
		}
		lua_pop(l, 1);
		n = lua_objlen(l, -1);
		reply_array(a, r, n);
		for (size_t i = 0; i < n; i++) {
			lua_rawgeti(l, -1, (int)i + 1);
			take_reply(l, a, &r->items[i]);
		}
	}
	lua_pop(l, 1);
}

/* ---- redis.call, redis.pcall ---- */

static void
call_model(lua_State *l, struct arena *arena, struct redis_reply *reply)
{
	const int argc = lua_gettop(l);
	struct bytes *argv = arena_alloc(arena, (size_t)argc * sizeof *argv);

	for (int i = 0; i < argc; i++) {
		if (lua_type(l, i + 1) == LUA_TNUMBER) {
			char text[32];

			snprintf(text, sizeof text, "%.17g", lua_tonumber(l, i + 1));
			argv[i] = arena_copy(arena, text, strlen(text));
			continue;
		}
		argv[i].p = lua_tolstring(l, i + 1, &argv[i].n);
		if (!argv[i].p) {
			fputs("sim: a script passes no string to redis.call\n", stderr);
			abort();
		}
	}
	model_call(&(struct call){
		.argv = argv, .argc = (size_t)argc, .reply = reply, .arena = arena});
}

static int
lua_redis_pcall(lua_State *l)
{
	struct arena arena = {0};
	struct redis_reply reply = {.type = REDIS_NIL};

	call_model(l, &arena, &reply);
	push_reply(l, &reply);
	arena_free(&arena);
	return 1;
}

static int
lua_redis_call(lua_State *l)
{
	lua_redis_pcall(l);
	if (lua_istable(l, -1)) {
		lua_getfield(l, -1, "err");
		if (lua_isstring(l, -1)) {
			lua_pop(l, 1);
			return lua_error(l);
		}
		lua_pop(l, 1);
	}
	return 1;
}

/* ---- cmsgpack ---- */

static int
lua_pack(lua_State *l)
{
	const int count = (int)lua_objlen(l, 1);
	luaL_Buffer b;

	luaL_buffinit(l, &b);
	for (int i = 1; i <= count; i++) {
		uint32_t n;

		lua_rawgeti(l, 1, i);
		n = (uint32_t)lua_objlen(l, -1);
		lua_pop(l, 1); /* the buffer may use the stack */
		luaL_addlstring(&b, (const char *)&n, PACK_HEAD_BYTES);
		lua_rawgeti(l, 1, i);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	return 1;
}

static int
lua_unpack_list(lua_State *l)
{
	size_t len, at = 0;
	const char *p = luaL_checklstring(l, 1, &len);

	lua_newtable(l);
	for (int i = 1; at + PACK_HEAD_BYTES <= len; i++) {
		uint32_t n;

		memcpy(&n, p + at, PACK_HEAD_BYTES);
		at += PACK_HEAD_BYTES;
		lua_pushlstring(l, p + at, n);
		lua_rawseti(l, -2, i);
		at += n;
	}
	return 1;
}

/* ---- scripts ---- */

static int
compile(const struct script_text *script)
{
	char *text = mutant_script(script->name, script->text);

	if (luaL_loadbuffer(lua, text, strlen(text), script->name) != 0) {
		fprintf(stderr, "sim: %s\n", lua_tostring(lua, -1));
		abort();
	}
	free(text);
	return luaL_ref(lua, LUA_REGISTRYINDEX);
}

void
script_init(void)
{
	static const luaL_Reg redis[] = {
		{"call", lua_redis_call}, {"pcall", lua_redis_pcall}, {NULL, NULL}};
	static const luaL_Reg cmsgpack[] = {
		{"pack", lua_pack}, {"unpack", lua_unpack_list}, {NULL, NULL}};

	lua = luaL_newstate();
	if (!lua)
		abort();
	luaL_openlibs(lua);
	luaL_register(lua, "redis", redis);
	luaL_register(lua, "cmsgpack", cmsgpack);
	lua_settop(lua, 0);
	for (int i = 0; i < SCRIPT_ALL_COUNT; i++)
		compiled[i] = compile(&script_texts[i]);
}

void
script_end(void)
{
	if (lua)
		lua_close(lua);
	lua = NULL;
}

/* SCRIPT LOAD text: the hash is the script's number, in 40 digits. */
void
script_load(struct call *c)
{
	char hash[41];
	int i = 0;

	while (i < SCRIPT_ALL_COUNT &&
		(c->argv[2].n != script_texts[i].len ||
			memcmp(c->argv[2].p, script_texts[i].text, c->argv[2].n) != 0))
		i++;
	if (i == SCRIPT_ALL_COUNT)
		abort();
	model.scripts_loaded |= UINT64_C(1) << i;
	snprintf(hash, sizeof hash, "%040d", i);
	reply_bytes(c->reply, arena_copy(c->arena, hash, strlen(hash)));
}

static void
set_list(const char *name, const struct bytes *v, size_t n)
{
	lua_createtable(lua, (int)n, 0);
	for (size_t i = 0; i < n; i++) {
		lua_pushlstring(lua, v[i].p, v[i].n);
		lua_rawseti(lua, -2, (int)i + 1);
	}
	lua_setglobal(lua, name);
}

static void
run(struct call *c, int script, size_t keys)
{
	lua_rawgeti(lua, LUA_REGISTRYINDEX, compiled[script]);
	set_list("KEYS", c->argv + 3, keys);
	set_list("ARGV", c->argv + 3 + keys, c->argc - 3 - keys);
	model.in_script = true;
	model.script_has_written = false;
	if (lua_pcall(lua, 0, 1, 0) != 0 && lua_isstring(lua, -1)) {
		/* not an error of Redis': the script is wrong */
		fprintf(stderr, "sim: %s: %s\n", script_texts[script].name,
			lua_tostring(lua, -1));
		abort();
	}
	model.in_script = false;
	take_reply(lua, c->arena, c->reply);
}

/* EVALSHA hash keys key... arg... */
void
script_call(struct call *c)
{
	const int script = (int)bytes_int(c->argv[1]);

	if (script < 0 || script >= SCRIPT_ALL_COUNT ||
		!(model.scripts_loaded >> script & 1))
		return reply_error(c, "NOSCRIPT No matching script. Please use EVAL.");
	run(c, script, (size_t)bytes_int(c->argv[2]));
}
