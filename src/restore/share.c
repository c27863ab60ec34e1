/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * share.c - memory that many children will share is made of huge pages
 *
 * A fork copies an entry for each page, some 80 ns, and the end of each child
 * costs as much again; of a huge page it is one entry for 512 pages. So before
 * the pages of a parent are read in, the kernel is asked for huge ones
 * (MADV_COLLAPSE, Linux 6.1, which leaves no flag on the mapping), where all
 * of one will be there and several children will have it too. Whoever writes
 * to such memory gets a copy of 4 KiB, as ever. If the kernel has no huge
 * page to give, the pages stay small: nothing depends on it.
 */
#include "restore/pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23		/* Linux 5.14 */
#endif
#define HUGE 512			/* pages in a huge one */
#define SEVERAL 4			/* children */
#define ASKED 64			/* children that are looked at, at most */

static bool never(void)
{
	CPT_AUTO(buf) struct cpt_buf buf = { 0 };
	struct cpt_err ignored;

	return cpt_read_at(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", &buf, &ignored) ||
	       strstr(buf.data, "[never]");
}

static bool slot_of(const Cpt__Pages *p, uint64_t index, uint64_t *slot)
{
	size_t from = 0, to = p ? p->n_index : 0;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (p->index[mid] + p->count[mid] <= index)
			from = mid + 1;
		else
			to = mid;
	}
	if (!p || from == p->n_index || p->index[from] > index)
		return false;
	*slot = p->slot[from] + (index - p->index[from]);
	return true;
}

/* Pages at its beginning, its middle and its end will do: most children have all, or nothing of it. */
static bool shares(const Cpt__Pages *parent, const Cpt__Pages *child, uint64_t index)
{
	for (uint64_t i = index; i < index + HUGE; i += HUGE / 2 - 1) {
		uint64_t mine, theirs;

		if (!slot_of(parent, i, &mine) || !slot_of(child, i, &theirs) || mine != theirs)
			return false;
	}
	return true;
}

static bool shared_by_several(const struct cpt_rtask *t, const Cpt__Pages *own, uint64_t index)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CPT_MIN(t->nchildren, (unsigned)ASKED) && n < SEVERAL; i++)
		n += t->children[i]->mm_img && shares(own, t->children[i]->mm_img->pages, index);
	return n >= SEVERAL;
}

static void ask(struct cpt_batch *b, uint64_t from, uint64_t to)
{
	/* the kernel joins only where there is a page; the others it clears, which is quicker than one by one */
	for (uint64_t i = from; i < to; i += HUGE)
		CPT_TRY(b, madvise, CPT_NUM(i * CPT_PAGE), CPT_NUM(CPT_PAGE), CPT_NUM(MADV_POPULATE_WRITE));
	if (from < to)
		CPT_TRY(b, madvise, CPT_NUM(from * CPT_PAGE), CPT_NUM((to - from) * CPT_PAGE), CPT_NUM(MADV_COLLAPSE));
}

/* All of [@from, @to) has pages. */
static void ask_within(const struct cpt_rtask *t, struct cpt_batch *b, const Cpt__Pages *own, uint64_t from, uint64_t to)
{
	uint64_t first;

	from = (from + HUGE - 1) / HUGE * HUGE;
	for (first = from; from + HUGE <= to; from += HUGE)
		if (!shared_by_several(t, own, from)) {
			ask(b, first, from);
			first = from + HUGE;
		}
	ask(b, first, from);
}

static bool wanted(const struct cpt_rtask *t, const Cpt__Vma *v)
{
	return t->nchildren >= SEVERAL && v->kind == CPT__VMA_KIND__VMA_ANON && v->end - v->start >= HUGE * CPT_PAGE &&
	       !(v->advice & (1ULL << MADV_HUGEPAGE | 1ULL << MADV_NOHUGEPAGE)) &&
	       !(t->img->misc && t->img->misc->thp_disable) && !never();
}

void cpt_huge_shared(const struct cpt_rtask *t, struct cpt_batch *b, const struct cpt_cursor *own, const Cpt__Vma *v)
{
	struct cpt_cursor c = *own;
	struct cpt_piece a;
	uint64_t from = 0, to = 0;

	if (!wanted(t, v))
		return;
	for (; cpt_next_piece(&c, v->start / CPT_PAGE, v->end / CPT_PAGE, &a); cpt_pass(&c, &a, a.count)) {
		if (a.index != to) {
			ask_within(t, b, own->pages, from, to);
			from = a.index;
		}
		to = a.index + a.count;
	}
	ask_within(t, b, own->pages, from, to);
}
