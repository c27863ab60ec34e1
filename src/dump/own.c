/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* own.c - PAGEMAP_SCAN: which pages have a content of their own, in ranges */
#include "dump/memory.h"

#include <sys/ioctl.h>

/* include/uapi/linux/fs.h, Linux 6.7 */
struct page_region {
	uint64_t start, end, categories;
};
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_FILE (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_PFNZERO (1 << 5)

static int queue_region(struct cpt_dump *d, struct cpt_task *t, const struct page_region *r, struct cpt_err *err)
{
	uint64_t count = (r->end - r->start) / CPT_PAGE;

	cpt_pages_add(&d->memory->pages, r->start / CPT_PAGE, count, d->memory->next_slot);
	return cpt_queue_memory(d, t->pid, r->start, count, err);
}

int cpt_scan_own(struct cpt_dump *d, struct cpt_task *t, int pagemap, uint64_t start, uint64_t end,
		 struct cpt_err *err)
{
	static struct page_region found[1024];
	struct pm_scan_arg a = {
		.size = sizeof(a), .start = start, .end = end,
		.vec = (uintptr_t)found, .vec_len = CPT_COUNT(found),
		/* anonymous, not the zero page, and either there or swapped out */
		.category_inverted = PAGE_IS_FILE | PAGE_IS_PFNZERO,
		.category_mask = PAGE_IS_FILE | PAGE_IS_PFNZERO,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};

	while (a.start < end) {
		int n = ioctl(pagemap, PAGEMAP_SCAN, &a);

		if (n < 0)
			return cpt_fail_sys(err, "PAGEMAP_SCAN (Linux 6.7 or later is needed)");
		for (int i = 0; i < n; i++)
			if (queue_region(d, t, &found[i], err))
				return -1;
		/*
		 * Not walk_end: when the last part of the walk fills the array
		 * to the brim, the kernel (6.18) leaves there the end of the
		 * part before, and pages would be found twice.
		 */
		if ((size_t)n < CPT_COUNT(found))
			break;
		a.start = found[n - 1].end;
	}
	return 0;
}
