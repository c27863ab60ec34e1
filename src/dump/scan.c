/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scan.c - PAGEMAP_SCAN */
#include "dump/scan.h"

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
#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
#define PAGE_IS_WRITTEN (1 << 1)
#define PAGE_IS_FILE (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_PFNZERO (1 << 5)
#define PAGE_IS_HUGE (1 << 6)

static void choose(struct pm_scan_arg *a, enum cpt_scan what)
{
	if (what == CPT_SCAN_WRITTEN || what == CPT_SCAN_HUGE) {
		a->category_mask = a->return_mask = what == CPT_SCAN_HUGE ? PAGE_IS_HUGE : PAGE_IS_WRITTEN;
		return;
	}
	/* anonymous, not the zero page, and either there or swapped out; only the first takes a look at struct page */
	a->category_inverted = a->category_mask = PAGE_IS_PFNZERO | (what == CPT_SCAN_CONTENT ? PAGE_IS_FILE : 0);
	a->category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
	if (what == CPT_SCAN_CHANGED || what == CPT_SCAN_PROTECT)
		a->category_mask |= PAGE_IS_WRITTEN;
	if (what == CPT_SCAN_PROTECT || what == CPT_SCAN_PROTECT_ALL)
		a->flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC;
}

int cpt_scan(int pagemap, uint64_t start, uint64_t end, enum cpt_scan what, cpt_scan_found found,
	     void *arg, struct cpt_err *err)
{
	struct page_region regions[512];
	struct pm_scan_arg a = {
		.size = sizeof(a), .start = start, .end = end,
		.vec = (uintptr_t)regions, .vec_len = CPT_COUNT(regions),
	};

	choose(&a, what);
	while (a.start < end) {
		int n = ioctl(pagemap, PAGEMAP_SCAN, &a);

		if (n < 0)
			return cpt_fail_sys(err, "PAGEMAP_SCAN (Linux 6.7 or later is needed)");
		for (int i = 0; i < n; i++)
			if (found(arg, regions[i].start, regions[i].end, err))
				return -1;
		/*
		 * Not walk_end: when the last part of the walk fills the array
		 * to the brim, the kernel (6.18) leaves there the end of the
		 * part before, and pages would be found twice.
		 */
		if ((size_t)n < CPT_COUNT(regions))
			break;
		a.start = regions[n - 1].end;
	}
	return 0;
}

bool cpt_scan_watched(int pagemap, uint64_t start)
{
	struct page_region region;
	struct pm_scan_arg a = {
		.size = sizeof(a), .flags = PM_SCAN_CHECK_WPASYNC, .start = start, .end = start + CPT_PAGE,
		.vec = (uintptr_t)&region, .vec_len = 1,
	};

	/* the kernel refuses where a mapping is not; what it finds does not matter */
	choose(&a, CPT_SCAN_WRITTEN);
	return ioctl(pagemap, PAGEMAP_SCAN, &a) >= 0;
}
