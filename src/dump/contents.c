/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* contents.c - pages with the same content, by a 128-bit hash */
#include "dump/memory.h"

#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

static struct cpt_content *find(const struct cpt_contents *c, const uint64_t hash[2])
{
	size_t at = hash[0] & c->mask;

	while (c->table[at].slot != UINT64_MAX &&
	       (c->table[at].hash[0] != hash[0] || c->table[at].hash[1] != hash[1]))
		at = (at + 1) & c->mask;
	return &c->table[at];
}

static void grow(struct cpt_contents *c)
{
	struct cpt_contents old = *c;
	size_t n = old.table ? 2 * (old.mask + 1) : 4096;

	if (!old.table && getrandom(&c->seed, sizeof(c->seed), 0) != sizeof(c->seed))
		abort();
	c->mask = n - 1;
	c->table = cpt_malloc(n * sizeof(*c->table));
	memset(c->table, 0xff, n * sizeof(*c->table));
	for (size_t i = 0; old.table && i <= old.mask; i++)
		if (old.table[i].slot != UINT64_MAX)
			*find(c, old.table[i].hash) = old.table[i];
	free(old.table);
}

uint64_t *cpt_content_slot(struct cpt_contents *c, const void *page)
{
	struct cpt_content *e;
	XXH128_hash_t h;

	if (!c->table || 2 * c->used > c->mask)
		grow(c);
	h = XXH3_128bits_withSeed(page, CPT_PAGE, c->seed);
	e = find(c, (const uint64_t[]){ h.low64, h.high64 });
	if (e->slot == UINT64_MAX) {
		c->used++;
		e->hash[0] = h.low64;
		e->hash[1] = h.high64;
	}
	return &e->slot;
}
