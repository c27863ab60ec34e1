/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * huge.c - memory that was brought in page by page gets huge pages again
 *
 * Where the program asked for them (MADV_HUGEPAGE), and where this host gives
 * them to all, as it would have when the memory was read at once. The kernel
 * would do so by itself in the course of minutes.
 */
#include "restore/lazy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25		/* Linux 6.1 */
#endif

bool cpt_huge_for_all(void)
{
	CPT_AUTO(buf) struct cpt_buf buf = { 0 };
	struct cpt_err ignored;

	return !cpt_read_at(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", &buf, &ignored) &&
	       strstr(buf.data, "[always]");
}

/* Holes of a mapping stay what they are, since the kernel joins only where there is a page. */
static void join(int pidfd, const struct cpt_area *a)
{
	struct iovec v = { (void *)(uintptr_t)(a->page * CPT_PAGE), a->count * CPT_PAGE };

	if (syscall(SYS_process_madvise, pidfd, &v, 1UL, MADV_COLLAPSE, 0u) < 0)
		cpt_debug("huge pages: %s", strerror(errno));	/* no memory for them, or an older kernel */
}

void cpt_huge_again(int pidfd, const struct cpt_lazy_mm *m, const struct cpt_layout *l, bool all)
{
	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < m->nranges; k++) {
			const struct cpt_lazy_range *g = &m->ranges[k];

			if ((all || g->huge) && l->v[i].number >= g->number && l->v[i].number - g->number < g->count)
				join(pidfd, &l->v[i]);
		}
}
