/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pages.h - runs of pages, walked mapping by mapping (pages.c, mm.c) */
#ifndef CPT_RESTORE_PAGES_H
#define CPT_RESTORE_PAGES_H

#include "restore/engine.h"

/* a walk over a Pages message, ascending */
struct cpt_cursor {
	const Cpt__Pages *pages;	/* may be NULL */
	size_t i;
	uint64_t done;			/* pages of run i already passed */
};

struct cpt_piece {
	uint64_t index, count, slot;
};

/** cpt_next_piece - the next piece that overlaps pages [from, to), cut to it; false when there is none. Does not pass it. */
bool cpt_next_piece(struct cpt_cursor *c, uint64_t from, uint64_t to, struct cpt_piece *ret);
/** cpt_pass - go on behind the first @count pages of a piece */
void cpt_pass(struct cpt_cursor *c, const struct cpt_piece *piece, uint64_t count);
/** cpt_private_vma - does this mapping have pages of its own in the image? */
bool cpt_private_vma(const Cpt__Vma *v);
/** cpt_all_pages - calls that read all pages of a fresh mapping */
void cpt_all_pages(struct cpt_restore *r, struct cpt_batch *b, struct cpt_cursor *own, const Cpt__Vma *v);
/** cpt_changed_pages - calls that turn the pages of @base into those of @own */
void cpt_changed_pages(struct cpt_restore *r, struct cpt_batch *b, struct cpt_cursor *own,
		       struct cpt_cursor *base, const Cpt__Vma *v);

/** cpt_huge_shared - before the pages of a fresh mapping are read: huge pages for what several children will share (share.c) */
void cpt_huge_shared(const struct cpt_rtask *t, struct cpt_batch *b, const struct cpt_cursor *own, const Cpt__Vma *v);

#endif
