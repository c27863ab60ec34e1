/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scratch.c - an address range that is free in cptool and in every task to be restored
 *
 * It is mapped here, shared, the batch code is put at its start, and every
 * process made from this one inherits it: nothing has to be injected into
 * anybody, and a batch is written where it will run. One runs at a time, and
 * one more in the upper half (tree.c).
 */
#include "restore/engine.h"

#include "base/procfs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SCRATCH_SIZE (256UL << 20)	/* never touched pages cost nothing */
#define LOWEST (1UL << 32)
#define HIGHEST 0x7ff000000000UL
#define MARGIN (16UL << 20)		/* stacks grow */

struct range {
	uint64_t start, end;
};

static int by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct range *)a)->start, y = ((const struct range *)b)->start;

	return (x > y) - (x < y);
}

static int own_ranges(struct range **v, size_t *n, size_t *cap, struct cpt_err *err)
{
	CPT_AUTO(buf) struct cpt_buf buf = { NULL, 0, 0 };
	struct cpt_vma m;
	char *text;
	int got;

	if (cpt_read_at(AT_FDCWD, "/proc/self/maps", &buf, err))
		return -1;
	text = buf.data;
	while ((got = cpt_parse_smaps(&text, &m, err)) > 0) {
		CPT_GROW(*v, *n, *cap);
		(*v)[(*n)++] = (struct range){ m.start, m.end };
	}
	return got;
}

static uint64_t find_gap(struct range *v, size_t n, size_t size)
{
	uint64_t at = LOWEST;

	qsort(v, n, sizeof(*v), by_start);
	for (size_t i = 0; i < n; i++) {
		if (v[i].start >= at + size + MARGIN)
			return at;
		at = CPT_MAX(at, v[i].end + MARGIN);
	}
	return at + size + MARGIN < HIGHEST ? at : 0;
}

int cpt_restore_scratch(struct cpt_restore *r, struct cpt_err *err)
{
	CPT_AUTO(mem) struct range *v = NULL;
	size_t n = 0, cap = 0, stage;

	if (cpt_own_vdso(&r->vdso, err) || own_ranges(&v, &n, &cap, err))
		return -1;
	for (unsigned i = 0; i < r->nmms; i++)
		for (size_t k = 0; k < r->mms[i]->n_vmas; k++) {
			CPT_GROW(v, n, cap);
			v[n++] = (struct range){ r->mms[i]->vmas[k]->start, r->mms[i]->vmas[k]->end };
		}
	stage = r->vdso.block_end - r->vdso.block;
	r->scratch_size = SCRATCH_SIZE;
	r->scratch = find_gap(v, n, r->scratch_size + stage);
	if (!r->scratch)
		return cpt_fail(err, CPT_UNSUPPORTED, "no range of %lu MiB is free in all address spaces", SCRATCH_SIZE >> 20);
	r->stage = r->scratch + r->scratch_size;
	if (mmap((void *)(uintptr_t)r->scratch, r->scratch_size, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) {
		r->scratch = 0;
		return cpt_fail_sys(err, "map scratch memory");
	}
	memcpy((void *)(uintptr_t)r->scratch, cpt_arch_code, (size_t)(cpt_arch_code_end - cpt_arch_code));
	return 0;
}

void cpt_restore_scratch_free(struct cpt_restore *r)
{
	if (r->scratch)
		munmap((void *)(uintptr_t)r->scratch, r->scratch_size);
	r->scratch = 0;
}
