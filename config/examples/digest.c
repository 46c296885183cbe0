/*
 * digest.c - an example of a plugin: the checksum of a payload (FNV-1a, 64 bits)
 *
 *	cc -shared -fPIC -O2 -o digest.so digest.c $(pkg-config --cflags stint)
 *
 *	handlers:
 *	  digest:
 *	    plugin: digest.so
 */
#include <inttypes.h>
#include <stint/plugin.h>

#define CHUNK_BYTES ((size_t)1 << 20) /* takes about a millisecond */

static uint64_t
fnv1a(uint64_t hash, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static int
digest(struct stint_ctx *ctx, const struct stint_job *job, struct stint_reply *reply)
{
	const unsigned char *payload = (const unsigned char *)job->payload;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (job->payload_len == 0)
		return stint_reply_fail(reply, "empty payload"); /* no retry would help */
	for (size_t at = 0; at < job->payload_len; at += CHUNK_BYTES) {
		size_t left = job->payload_len - at;

		if (stint_ctx_err(ctx) < 0)
			return stint_ctx_err(ctx); /* nobody waits for it any more */
		hash = fnv1a(hash, payload + at, left < CHUNK_BYTES ? left : CHUNK_BYTES);
	}
	return stint_reply_printf(reply, "%016" PRIx64 "\n", hash);
}
STINT_PLUGIN(digest);
