/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* codec_zstd.c - Zstandard: one frame a block */
#include "image/codec.h"

#include <stdlib.h>
#include <zstd.h>

static void *pack_open(int level)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();

	if (!c || ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)))
		abort();	/* no memory: as cpt_malloc does */
	return c;
}

static size_t pack(void *state, const void *from, size_t size, void *to, size_t room)
{
	size_t n = ZSTD_compress2(state, to, room, from, size);

	return ZSTD_isError(n) ? 0 : n;
}

static void pack_close(void *state)
{
	ZSTD_freeCCtx(state);
}

static void *unpack_open(void)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();

	if (!d)
		abort();
	return d;
}

static bool unpack(void *state, const void *from, size_t size, void *to, size_t want)
{
	return ZSTD_decompressDCtx(state, to, want, from, size) == want;
}

static void unpack_close(void *state)
{
	ZSTD_freeDCtx(state);
}

const struct cpt_codec_ops cpt_codec_zstd = {
	.least = 1, .most = 22, .usual = 3,
	.pack_open = pack_open, .pack = pack, .pack_close = pack_close,
	.unpack_open = unpack_open, .unpack = unpack, .unpack_close = unpack_close,
};
