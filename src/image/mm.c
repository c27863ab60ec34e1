/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mm.c - is this address space sane? */
#include "image/kinds.h"

#include <sys/mman.h>

#define ADDRESS_MAX 0x7ffffffff000ULL

static int check_vma(const Cpt__Vma *v, uint64_t after, struct cpt_err *err)
{
	const unsigned known = MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE;

	if (v->start < after || v->end <= v->start || v->end > ADDRESS_MAX || (v->start | v->end) & (CPT_PAGE - 1))
		return cpt_fail(err, CPT_BAD_IMAGE, "mapping %#llx-%#llx is out of order",
				(unsigned long long)v->start, (unsigned long long)v->end);
	if (v->prot & ~(unsigned)(PROT_READ | PROT_WRITE | PROT_EXEC) || v->flags & ~known)
		return cpt_fail(err, CPT_BAD_IMAGE, "mapping %#llx has unknown flags %#x/%#x",
				(unsigned long long)v->start, v->prot, v->flags);
	if (v->offset & (CPT_PAGE - 1) || v->offset > INT64_MAX - (v->end - v->start))
		return cpt_fail(err, CPT_BAD_IMAGE, "mapping %#llx has offset %#llx",
				(unsigned long long)v->start, (unsigned long long)v->offset);
	if (v->advice >> 32)
		return cpt_fail(err, CPT_BAD_IMAGE, "mapping %#llx has unknown advice", (unsigned long long)v->start);
	return 0;
}

int cpt_check_mm(const Cpt__Mm *m, struct cpt_err *err)
{
	uint64_t after = CPT_PAGE;

	for (size_t i = 0; i < m->n_vmas; i++) {
		if (check_vma(m->vmas[i], after, err))
			return -1;
		after = m->vmas[i]->end;
	}
	if (m->auxv.len > 16 * CPT_PAGE || m->auxv.len % 8)
		return cpt_fail(err, CPT_BAD_IMAGE, "the auxiliary vector has %zu bytes", m->auxv.len);
	return 0;
}
