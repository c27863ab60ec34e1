/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* codec_lz4.c - LZ4 blocks; from level 2 on by its thorough and slow compressor */
#include "image/codec.h"

#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>

struct packer {
	int level;
	void *memory;
};

static void *pack_open(int level)
{
	struct packer *p = cpt_calloc(1, sizeof(*p));

	p->level = level;
	p->memory = cpt_malloc((size_t)(level > 1 ? LZ4_sizeofStateHC() : LZ4_sizeofState()));
	return p;
}

static size_t pack(void *state, const void *from, size_t size, void *to, size_t room)
{
	struct packer *p = state;
	int n = p->level > 1 ?
		LZ4_compress_HC_extStateHC(p->memory, from, to, (int)size, (int)room, p->level) :
		LZ4_compress_fast_extState(p->memory, from, to, (int)size, (int)room, 1);

	return n > 0 ? (size_t)n : 0;
}

static void pack_close(void *state)
{
	struct packer *p = state;

	free(p->memory);
	free(p);
}

static void *unpack_open(void)
{
	return NULL;
}

static bool unpack(void *state, const void *from, size_t size, void *to, size_t want)
{
	return LZ4_decompress_safe(from, to, (int)size, (int)want) == (int)want;
}

static void unpack_close(void *state)
{
}

const struct cpt_codec_ops cpt_codec_lz4 = {
	.least = 1, .most = LZ4HC_CLEVEL_MAX, .usual = 1,
	.pack_open = pack_open, .pack = pack, .pack_close = pack_close,
	.unpack_open = unpack_open, .unpack = unpack, .unpack_close = unpack_close,
};
