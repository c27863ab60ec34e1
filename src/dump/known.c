/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* known.c - the pagemap of a process, kept for its children to be compared with */
#include "dump/memory.h"

#include <fcntl.h>
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

/* ---- when pages move ------------------------------------------------- */

#define TRIES 8

/* the parent's entries as they are now; true if they are what was known, which they become */
static int take_over(const struct cpt_task *parent, int pagemap, uint64_t vpn, size_t n, bool *same, struct cpt_err *err)
{
	CPT_AUTO(mem) uint64_t *now = cpt_malloc(n * 8);

	if (cpt_pread_all(pagemap, now, n * 8, (off_t)(vpn * 8)))
		return cpt_fail_sys(err, "read the parent's pagemap");
	*same = true;
	for (size_t i = 0; i < n; i++) {
		const struct cpt_known_run *k = cpt_known_find(parent->known, vpn + i);
		uint64_t *was = k ? &k->entry[vpn + i - k->vpn] : NULL;

		if (!was || !((*was ^ now[i]) & (PM_PRESENT | PM_PFN)))
			continue;
		*was = now[i];
		*same = false;
	}
	return 0;
}

int cpt_known_refresh(const struct cpt_task *parent, int pagemap, uint64_t vpn, uint64_t *entry, size_t n,
		      struct cpt_err *err)
{
	CPT_AUTO(fd) int other = cpt_pagemap_open(parent, parent->twin);
	bool same = false;

	if (other < 0)
		return cpt_fail_sys(err, "open the parent's pagemap");
	for (int i = 0; i < TRIES && !same; i++) {
		if (cpt_pread_all(pagemap, entry, n * 8, (off_t)(vpn * 8)))
			return cpt_fail_sys(err, "read pagemap");
		if (take_over(parent, other, vpn, n, &same, err))
			return -1;
	}
	return same ? 0 : cpt_fail(err, CPT_SYSTEM, "pages keep moving between frames; try again later");
}
