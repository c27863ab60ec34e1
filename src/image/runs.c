/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runs.c - are runs of pages sane? Used by memory, shared memory and files alike */
#include "image/kinds.h"

#define INDEX_END (1ULL << 52)		/* pages; address or file offset 2^64 */

int cpt_check_pages(const Cpt__Pages *m, struct cpt_err *err)
{
	uint64_t end = 0;

	if (m->n_index != m->n_count || m->n_index != m->n_slot)
		return cpt_fail(err, CPT_BAD_IMAGE, "%zu page runs, %zu lengths, %zu slots",
				m->n_index, m->n_count, m->n_slot);
	for (size_t i = 0; i < m->n_index; i++) {
		if (!m->count[i] || m->index[i] < end || m->index[i] >= INDEX_END ||
		    m->count[i] > INDEX_END - m->index[i])
			return cpt_fail(err, CPT_BAD_IMAGE,
					"page run %zu is empty, out of order or out of range", i);
		end = m->index[i] + m->count[i];
	}
	return 0;
}
