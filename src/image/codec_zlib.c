/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* codec_zlib.c - zlib, raw deflate: the hash of the record makes its own checksum needless */
#include "image/codec.h"

#include <stdlib.h>
#include <zlib.h>

#define RAW (-MAX_WBITS)
#define MEMORY 8			/* zlib's own default */

static void *pack_open(int level)
{
	z_stream *z = cpt_calloc(1, sizeof(*z));

	if (deflateInit2(z, level, Z_DEFLATED, RAW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();	/* no memory: as cpt_malloc does */
	return z;
}

static void feed(z_stream *z, const void *from, size_t size, void *to, size_t room)
{
	z->next_in = (Bytef *)(uintptr_t)from;
	z->avail_in = (uInt)size;
	z->next_out = to;
	z->avail_out = (uInt)room;
}

static size_t pack(void *state, const void *from, size_t size, void *to, size_t room)
{
	z_stream *z = state;

	if (deflateReset(z) != Z_OK)
		return 0;
	feed(z, from, size, to, room);
	return deflate(z, Z_FINISH) == Z_STREAM_END ? z->total_out : 0;
}

static void pack_close(void *state)
{
	deflateEnd(state);
	free(state);
}

static void *unpack_open(void)
{
	z_stream *z = cpt_calloc(1, sizeof(*z));

	if (inflateInit2(z, RAW) != Z_OK)
		abort();
	return z;
}

static bool unpack(void *state, const void *from, size_t size, void *to, size_t want)
{
	z_stream *z = state;

	if (inflateReset(z) != Z_OK)
		return false;
	feed(z, from, size, to, want);
	return inflate(z, Z_FINISH) == Z_STREAM_END && z->total_out == want && !z->avail_in;
}

static void unpack_close(void *state)
{
	inflateEnd(state);
	free(state);
}

const struct cpt_codec_ops cpt_codec_zlib = {
	.least = 1, .most = 9, .usual = 6,
	.pack_open = pack_open, .pack = pack, .pack_close = pack_close,
	.unpack_open = unpack_open, .unpack = unpack, .unpack_close = unpack_close,
};
