/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hash.c - xxhash behind a face of our own: its inlined form is the fast one */
#include "image/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(XXH3_state_t) <= sizeof(struct cpt_hash), "room for the state");

uint64_t cpt_hash(const void *data, size_t size)
{
	return XXH3_64bits(data, size);
}

uint64_t cpt_hash_seeded(const void *data, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, size, seed);
}

void cpt_hash_begin(struct cpt_hash *h)
{
	XXH3_64bits_reset((XXH3_state_t *)h->state);
}

void cpt_hash_add(struct cpt_hash *h, const void *data, size_t size)
{
	XXH3_64bits_update((XXH3_state_t *)h->state, data, size);
}

uint64_t cpt_hash_end(const struct cpt_hash *h)
{
	return XXH3_64bits_digest((const XXH3_state_t *)h->state);
}

int cpt_hash_file(int fd, uint64_t offset, uint64_t length, char *chunk, uint64_t *ret)
{
	struct cpt_hash h;

	cpt_hash_begin(&h);
	for (uint64_t done = 0; done < length; done += CPT_HASH_CHUNK) {
		size_t n = CPT_MIN(length - done, (uint64_t)CPT_HASH_CHUNK);

		if (cpt_pread_all(fd, chunk, n, (off_t)(offset + done)))
			return errno ? errno : ENODATA;
		cpt_hash_add(&h, chunk, n);
	}
	*ret = cpt_hash_end(&h);
	return 0;
}
