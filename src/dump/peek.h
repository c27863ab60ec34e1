/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peek.h - pages of the kernel's memory, read by a BPF program
 *
 * The program runs when it is asked to and not otherwise; an address behind
 * which there is nothing is found out by the kernel, and harms nobody. Needs
 * Linux 5.14, CAP_BPF and CAP_PERFMON, and no lockdown.
 */
#ifndef CPT_DUMP_PEEK_H
#define CPT_DUMP_PEEK_H

#include "base/base.h"

#define CPT_PEEK_PAGES 128		/* read at once */

struct cpt_peek;

/** cpt_peek_open - NULL: not to be had here */
struct cpt_peek *cpt_peek_open(void);
void cpt_peek_free(struct cpt_peek *p);

/**
 * cpt_peek - read @n pages, one after the other; @address: where each begins in the kernel's memory, not 0
 * @found: may be NULL; else whether the kernel has a page there
 * Fails when the program can't be run; when a page is not there, only without @found.
 */
int cpt_peek(struct cpt_peek *p, const uint64_t *address, unsigned n, bool *found) CPT_CHECKED;
/** cpt_peek_page - what was read as page @i the last time */
const uint64_t *cpt_peek_page(const struct cpt_peek *p, unsigned i);

#endif
