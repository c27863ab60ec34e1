/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* known.c - the pagemap of a process, kept for its children to be compared with */
#include "dump/memory.h"

#include <stdlib.h>

struct cpt_known_run *cpt_known_add(struct cpt_known *k, uint64_t vpn, const uint64_t *entry, size_t n)
{
	struct cpt_known_run *r;

	CPT_GROW(k->runs, k->n, k->cap);
	r = &k->runs[k->n++];
	r->vpn = vpn;
	r->n = n;
	r->entry = cpt_malloc(n * 8);
	r->slot = cpt_malloc(n * 8);
	memcpy(r->entry, entry, n * 8);
	memset(r->slot, 0xff, n * 8);
	return r;
}

const struct cpt_known_run *cpt_known_find(const struct cpt_known *k, uint64_t vpn)
{
	size_t lo = 0, hi = k->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (k->runs[mid].vpn + k->runs[mid].n <= vpn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < k->n && k->runs[lo].vpn <= vpn ? &k->runs[lo] : NULL;
}

void cpt_known_free(struct cpt_known *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++) {
		free(k->runs[i].entry);
		free(k->runs[i].slot);
	}
	free(k->runs);
	k->runs = NULL;
	k->n = k->cap = 0;
}
