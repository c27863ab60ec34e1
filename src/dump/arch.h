/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arch.h - what a machine's page tables look like
 *
 * Each table is a page of 512 entries of 8 bytes; level 0 is the lowest. All
 * memory stands in one piece in the kernel's address space (the direct map).
 */
#ifndef CPT_DUMP_ARCH_H
#define CPT_DUMP_ARCH_H

#include "base/base.h"

enum cpt_entry {
	CPT_ENTRY_NONE,			/* nothing was ever there */
	CPT_ENTRY_TABLE,		/* the next lower table */
	CPT_ENTRY_PAGE,			/* a page, or a huge one */
	CPT_ENTRY_OTHER,		/* swapped out, being moved, … */
};

/** cpt_arch_levels - how many levels of tables there are below one that the kernel has at @top; 0: not known */
unsigned cpt_arch_levels(uint64_t top);
/** cpt_arch_entry - *@frame: of the page or table that an entry of level @level leads to */
enum cpt_entry cpt_arch_entry(uint64_t entry, unsigned level, uint64_t *frame);
/** cpt_arch_direct - the @k-th place where the direct map may begin, of one that holds the page at @address; 0: there are no more */
uint64_t cpt_arch_direct(uint64_t address, unsigned k);

/*
 * What is kept of an entry of level 0: the bits that are the same wherever the page is mapped.
 * CPT_ARCH_UNLIKE agrees with no entry.
 */
#define CPT_ARCH_UNLIKE 0x000ffffffffff000ULL
/** cpt_arch_keep - for entries that lead to a page, or to nothing */
uint64_t cpt_arch_keep(uint64_t entry);
/** cpt_arch_agree - how many entries, from the first on, lead to the same page as those kept, or to nothing as those */
size_t cpt_arch_agree(const uint64_t *entry, const uint64_t *kept, size_t n);

#endif
