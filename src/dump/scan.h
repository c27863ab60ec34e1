/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scan.h - PAGEMAP_SCAN: ranges of pages of a certain kind (Documentation/admin-guide/mm/pagemap.rst) */
#ifndef CPT_DUMP_SCAN_H
#define CPT_DUMP_SCAN_H

#include "base/base.h"

enum cpt_scan {
	CPT_SCAN_CONTENT,	/* private pages with a content of their own; looks at what each page is (14 ms for a GiB) */
	CPT_SCAN_ANON,		/* the same where no file can lie behind them (0.6 ms) */
	CPT_SCAN_CHANGED,	/* of these, what was written since it was protected */
	CPT_SCAN_PROTECT,	/* the same, and it is protected again */
	CPT_SCAN_PROTECT_ALL,	/* all of these, whether they were written or not */
	CPT_SCAN_HUGE,		/* what is in huge pages */
	CPT_SCAN_WRITTEN,	/* whatever was written since, holes as well: the quickest (0.3 ms) */
};
typedef int (*cpt_scan_found)(void *arg, uint64_t start, uint64_t end, struct cpt_err *err);

/** cpt_scan - call @found for each range in [start, end), ascending; stops when that fails */
int cpt_scan(int pagemap, uint64_t start, uint64_t end, enum cpt_scan what, cpt_scan_found found,
	     void *arg, struct cpt_err *err) CPT_CHECKED;

/** cpt_scan_watched - is the mapping at @start under asynchronous write protection? */
bool cpt_scan_watched(int pagemap, uint64_t start);

#endif
