/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hash.h - XXH3-64 of bytes in memory, in pieces, in a file */
#ifndef CPT_IMAGE_HASH_H
#define CPT_IMAGE_HASH_H

#include "base/base.h"

/** struct cpt_hash - a hash in the making */
struct cpt_hash {
	char state[640] __attribute__((aligned(64)));
};

uint64_t cpt_hash(const void *data, size_t size);
uint64_t cpt_hash_seeded(const void *data, size_t size, uint64_t seed);

void cpt_hash_begin(struct cpt_hash *h);
void cpt_hash_add(struct cpt_hash *h, const void *data, size_t size);
uint64_t cpt_hash_end(const struct cpt_hash *h);

/* what cpt_hash_file reads at once: stays in the cache between read and hash */
#define CPT_HASH_CHUNK (256 * 1024)

/**
 * cpt_hash_file - hash a range of a file
 * @chunk: CPT_HASH_CHUNK bytes to work in, or @length if that is less
 *
 * Returns 0, or an errno: ENODATA when the file ends before. No error text, so
 * that threads can share the message.
 */
int cpt_hash_file(int fd, uint64_t offset, uint64_t length, char *chunk, uint64_t *ret);

#endif
