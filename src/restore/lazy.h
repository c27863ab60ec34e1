/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lazy.h - memory that comes after its processes run (restore --lazy)
 *
 * lazy.c decides which pages come later, takes them out of what the engine
 * makes, and registers their ranges with a userfaultfd of each process.
 * pager.c is the process that brings them in, pager_guard.c the one that ends
 * the group should that die. layout.c knows where pages stand by now.
 */
#ifndef CPT_RESTORE_LAZY_H
#define CPT_RESTORE_LAZY_H

#include "restore/pages.h"

#include "base/lazy.h"

/*
 * The pages of an address space that come later have numbers, from 0 on
 * through all its lazy ranges: whatever the program does with its mappings,
 * a page keeps its number, and the number its slot.
 */
struct cpt_lazy_run {
	uint64_t number, count, slot;
};

struct cpt_lazy_range {
	uint64_t page, count;		/* address / 4096 at the time of the dump */
	uint64_t number;		/* of its first page, whether that is in the image or not */
	bool huge;			/* MADV_HUGEPAGE */
};

/* an address space as the image has it */
struct cpt_lazy_mm {
	struct cpt_rtask *task;
	int uffd;			/* or -1 */
	struct cpt_lazy_range *ranges;	/* ascending */
	size_t nranges, cap_ranges;
	struct cpt_lazy_run *runs;	/* ascending by number */
	size_t nruns, cap_runs;
	uint64_t numbers;		/* all are below this */
	uint64_t pages;			/* that are in the image */
};

/* ---- layout.c: where the pages stand now ------------------------------ */

struct cpt_area {
	uint64_t page, count;		/* address / 4096 */
	uint64_t number;
};

struct cpt_layout {
	struct cpt_area *v;
	size_t n, cap;
};

void cpt_layout_add(struct cpt_layout *l, uint64_t page, uint64_t count, uint64_t number);
/** cpt_layout_at - the area with this page, or NULL */
const struct cpt_area *cpt_layout_at(const struct cpt_layout *l, uint64_t page);
/** cpt_layout_of - the area with this number, or NULL: it stands nowhere any more */
const struct cpt_area *cpt_layout_of(const struct cpt_layout *l, uint64_t number);
/** cpt_layout_move - pages [from, from + count) stand at @to now; what was there before is gone */
void cpt_layout_move(struct cpt_layout *l, uint64_t from, uint64_t to, uint64_t count);
/** cpt_layout_cut - pages [from, from + count) are gone */
void cpt_layout_cut(struct cpt_layout *l, uint64_t from, uint64_t count);
void cpt_layout_copy(struct cpt_layout *to, const struct cpt_layout *from);

/* ---- huge.c ------------------------------------------------------------ */

/** cpt_huge_for_all - does this host give huge pages to who did not ask for them? */
bool cpt_huge_for_all(void);
/** cpt_huge_again - ranges that had huge pages get them again; a wish. All their pages are in, nothing watches them any more. */
void cpt_huge_again(int pidfd, const struct cpt_lazy_mm *m, const struct cpt_layout *l, bool all);

/* ---- pager.c ---------------------------------------------------------- */

/**
 * cpt_pager_start - fork the process that brings the pages in; returns when it can
 *
 * It holds the image and the descriptors of r->lazy, which are closed here, and
 * ends when nothing is missing any more, or nobody is left to miss it.
 */
int cpt_pager_start(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;

/* ---- pager_guard.c ---------------------------------------------------- */

/* what the pager and its guard both see */
struct cpt_pager_shared {
	int done;			/* all is in, or the group has been seen to its end */
};

/**
 * cpt_pager_guard_start - a process with the same table of descriptors: none is closed while it lives
 * @pager: pidfd of the pager. Returns the guard's pid.
 */
pid_t cpt_pager_guard_start(const struct cpt_group *group, int pager, struct cpt_pager_shared *shared, struct cpt_err *err);
/** cpt_pager_end_group - kill the group; say why; return when none of its memory needs a page any more */
void cpt_pager_end_group(const struct cpt_group *group, const char *why);

#endif
