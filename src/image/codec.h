/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * codec.h - blocks of bytes made smaller, and back
 *
 * A codec is a row in the table of codec.c and a file codec_<name>.c. What has
 * a state belongs to one thread at a time.
 */
#ifndef CPT_IMAGE_CODEC_H
#define CPT_IMAGE_CODEC_H

#include "base/base.h"

/* the numbers in an image are those of enum cpt_codec */
#define CPT_CODECS (CPT_CODEC_LZ4 + 1)

struct cpt_codec_ops {
	int least, most, usual;		/* levels */
	void *(*pack_open)(int level);
	/* returns the length, 0 when it needs more than @room */
	size_t (*pack)(void *state, const void *from, size_t size, void *to, size_t room);
	void (*pack_close)(void *state);
	void *(*unpack_open)(void);
	/* true: all of @from was used and gave exactly @want bytes; whatever @from is, @to is not left */
	bool (*unpack)(void *state, const void *from, size_t size, void *to, size_t want);
	void (*unpack_close)(void *state);
};

extern const struct cpt_codec_ops cpt_codec_zlib, cpt_codec_zstd, cpt_codec_lz4;

/** cpt_codec_name - "zstd"; NULL: there is no such codec */
const char *cpt_codec_name(unsigned codec);
/** cpt_codec_ops - NULL: there is no such codec, or cptool was built without it */
const struct cpt_codec_ops *cpt_codec_ops(unsigned codec);
/** cpt_codec_check - can it be written at this level (0: the usual one)? */
int cpt_codec_check(enum cpt_codec codec, int level, struct cpt_err *err) CPT_CHECKED;

#endif
