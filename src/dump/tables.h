/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tables.h - page tables of stopped processes, as they stand in the kernel
 *
 * To compare a child with its parent takes some 60 ns a page with pagemaps,
 * since the kernel looks at each page frame to fill in an entry. The tables
 * themselves are compared at the speed of memory. Only comparing is done with
 * them: what is stored, and what a page is, /proc/PID/pagemap tells. Nothing
 * of this is relied on untested: a parent's entries count only where its
 * pagemap says the same of each of them.
 *
 * CPT_BPF=0 does without, and the image is the same.
 */
#ifndef CPT_DUMP_TABLES_H
#define CPT_DUMP_TABLES_H

#include "dump/engine.h"

struct cpt_tables;

/** cpt_tables_open - NULL: not to be had here, or not as they were expected */
struct cpt_tables *cpt_tables_open(struct cpt_dump *d);
void cpt_tables_free(struct cpt_tables *k);

/* entries of a parent; private to tables.c */
struct cpt_kept {
	struct cpt_kept_table {
		uint64_t vpn;		/* of its first entry */
		uint64_t huge;		/* its first frame, if it is one huge page; 0: it is not */
		uint64_t *entry;	/* else 512, less the bits that differ between those who share a page */
	} *v;				/* ascending */
	size_t n, cap;
};
void cpt_kept_free(struct cpt_kept *p);

/**
 * cpt_tables_keep - of a stopped process: those entries of [@vpn, @vpn + @n) that say the same as its pagemap's, @entry
 * In ascending order. Never fails; there may be nothing that can be kept.
 */
void cpt_tables_keep(struct cpt_tables *k, const struct cpt_task *t, struct cpt_kept *kept, uint64_t vpn,
		     const uint64_t *entry, size_t n);

/**
 * cpt_tables_compare - walk over pages [@vpn, @end) of a stopped process
 * @found: called for ranges of pages, ascending; with @empty there is nothing behind them, and never was;
 *	else they have to be looked at.
 * All other pages are the same as in the process of which @kept was kept, or nothing in both.
 * Fails only with @found. Whoever calls sees to it afterwards that the process has not ended meanwhile.
 */
int cpt_tables_compare(struct cpt_tables *k, const struct cpt_task *t, const struct cpt_kept *kept, uint64_t vpn, uint64_t end,
		       int (*found)(void *arg, uint64_t vpn, uint64_t end, bool empty, struct cpt_err *err),
		       void *arg, struct cpt_err *err) CPT_CHECKED;

#endif
