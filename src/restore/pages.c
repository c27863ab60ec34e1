/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pages.c - calls that bring pages of the image into a task, and which pages
 * a parent holds while its children are born
 */
#include "restore/pages.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

bool cpt_private_vma(const Cpt__Vma *v)
{
	return v->kind != CPT__VMA_KIND__VMA_SPECIAL && (v->flags & MAP_TYPE) == MAP_PRIVATE;
}

/* The next piece that overlaps [from, to), cut to it; false when there is none. */
bool cpt_next_piece(struct cpt_cursor *c, uint64_t from, uint64_t to, struct cpt_piece *ret)
{
	const Cpt__Pages *p = c->pages;

	for (; p && c->i < p->n_index; c->i++, c->done = 0) {
		uint64_t first = p->index[c->i] + c->done, end = p->index[c->i] + p->count[c->i];

		if (end <= from || first >= end)
			continue;
		if (first >= to)
			return false;
		first = CPT_MAX(first, from);
		end = CPT_MIN(end, to);
		*ret = (struct cpt_piece){ first, end - first, p->slot[c->i] + (first - p->index[c->i]) };
		return true;
	}
	return false;
}

void cpt_pass(struct cpt_cursor *c, const struct cpt_piece *piece, uint64_t count)
{
	c->done = piece->index + count - c->pages->index[c->i];
}

/* Of the images that an increment builds on, tasks hold no descriptor longer than for this. */
static void read_ancestor(struct cpt_restore *r, struct cpt_batch *batch, int file, uint64_t index,
			  uint64_t count, uint64_t offset)
{
	size_t fd = cpt_restore_take(r, batch, file);

	CPT_CALL(batch, pread64, CPT_RESULT(fd), CPT_NUM(index * CPT_PAGE), CPT_NUM(count * CPT_PAGE), CPT_NUM(offset));
	CPT_CALL(batch, close, CPT_RESULT(fd));
}

static void read_pages(struct cpt_restore *r, struct cpt_batch *batch, uint64_t index, uint64_t count, uint64_t slot)
{
	while (count) {
		uint64_t together, offset = cpt_img_locate(r->img, slot, &together);
		uint64_t n = CPT_MIN(count, together);
		int file = cpt_img_slot_fd(r->img, slot);

		r->stats.pages_read += n;
		if (file == cpt_img_fd(r->img))
			CPT_CALL(batch, pread64, CPT_NUM(r->image_fd), CPT_NUM(index * CPT_PAGE),
				 CPT_NUM(n * CPT_PAGE), CPT_NUM(offset));
		else
			read_ancestor(r, batch, file, index, n, offset);
		index += n;
		slot += n;
		count -= n;
	}
}

/* pages that the parent has and the child has not */
static void drop_pages(struct cpt_batch *batch, uint64_t index, uint64_t count)
{
	CPT_CALL(batch, madvise, CPT_NUM(index * CPT_PAGE), CPT_NUM(count * CPT_PAGE), CPT_NUM(MADV_DONTNEED));
}

void cpt_all_pages(struct cpt_restore *r, struct cpt_batch *batch, struct cpt_cursor *own, const Cpt__Vma *v)
{
	struct cpt_piece a;

	while (cpt_next_piece(own, v->start / CPT_PAGE, v->end / CPT_PAGE, &a)) {
		read_pages(r, batch, a.index, a.count, a.slot);
		cpt_pass(own, &a, a.count);
	}
}

void cpt_changed_pages(struct cpt_restore *r, struct cpt_batch *batch, struct cpt_cursor *own,
		       struct cpt_cursor *base, const Cpt__Vma *v)
{
	uint64_t at = v->start / CPT_PAGE, end = v->end / CPT_PAGE;

	while (at < end) {
		struct cpt_piece a = { end, 0, 0 }, b = { end, 0, 0 };
		bool has_a = cpt_next_piece(own, at, end, &a), has_b = cpt_next_piece(base, at, end, &b);
		uint64_t n;

		if (!has_a && !has_b)
			break;
		if (has_b && b.index < a.index) {	/* only in the parent */
			n = CPT_MIN(b.count, a.index - b.index);
			drop_pages(batch, b.index, n);
			at = b.index + n;
		} else if (has_a && a.index < b.index) {	/* only in the child */
			n = CPT_MIN(a.count, b.index - a.index);
			read_pages(r, batch, a.index, n, a.slot);
			at = a.index + n;
		} else {
			n = CPT_MIN(a.count, b.count);
			if (a.slot != b.slot)
				read_pages(r, batch, a.index, n, a.slot);
			else
				r->stats.pages_shared += n;
			at = a.index + n;
		}
		if (has_a && a.index < at)
			cpt_pass(own, &a, at - a.index);
		if (has_b && b.index < at)
			cpt_pass(base, &b, at - b.index);
	}
}

/* ---- what children are born with ------------------------------------- */

struct want {
	uint64_t index, slot;
};

struct wants {
	struct want *v;
	size_t n, cap;
};

static int by_index(const void *a, const void *b)
{
	const struct want *x = a, *y = b;

	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return (x->slot > y->slot) - (x->slot < y->slot);
}

/* Pages of a child that are not the parent's, where both have the mapping. */
static void wishes(const Cpt__Mm *parent, const Cpt__Mm *child, struct wants *w)
{
	struct cpt_cursor own = { .pages = child->pages }, base = { .pages = parent->pages };
	struct cpt_piece a, b;

	for (size_t i = 0; i < parent->n_vmas; i++) {
		uint64_t end = parent->vmas[i]->end / CPT_PAGE;

		if (!cpt_private_vma(parent->vmas[i]))
			continue;
		while (cpt_next_piece(&own, parent->vmas[i]->start / CPT_PAGE, end, &a)) {
			uint64_t n = 1;
			bool has = cpt_next_piece(&base, a.index, end, &b) && b.index == a.index;

			if (has && b.slot == a.slot) {
				n = CPT_MIN(a.count, b.count);
				cpt_pass(&base, &b, n);
			} else {
				CPT_GROW(w->v, w->n, w->cap);
				w->v[w->n++] = (struct want){ a.index, a.slot };
			}
			cpt_pass(&own, &a, n);
		}
	}
}

/* Of each page the version that most children want, if it is more than one. */
static size_t most_wanted(struct want *v, size_t n)
{
	size_t kept = 0;

	qsort(v, n, sizeof(*v), by_index);
	for (size_t i = 0; i < n;) {
		uint64_t index = v[i].index, best = 0;
		size_t most = 1;

		while (i < n && v[i].index == index) {
			size_t from = i;

			while (i < n && v[i].index == index && v[i].slot == v[from].slot)
				i++;
			if (i - from > most) {
				most = i - from;
				best = v[from].slot;
			}
		}
		if (most > 1)
			v[kept++] = (struct want){ index, best };
	}
	return kept;
}

static void append(Cpt__Pages *p, uint64_t index, uint64_t count, uint64_t slot)
{
	size_t n = p->n_index;

	p->index[n] = index;
	p->count[n] = count;
	p->slot[n] = slot;
	p->n_index = p->n_count = p->n_slot = n + 1;
}

/* @own with the pages of @v in their places; both ascend */
static Cpt__Pages *overlay(struct cpt_restore *r, const Cpt__Pages *own, const struct want *v, size_t n)
{
	Cpt__Pages *p = cpt_arena_new(&r->arena, Cpt__Pages);
	size_t room = own->n_index + 2 * n, k = 0;

	cpt__pages__init(p);
	p->index = cpt_arena_array(&r->arena, uint64_t, room);
	p->count = cpt_arena_array(&r->arena, uint64_t, room);
	p->slot = cpt_arena_array(&r->arena, uint64_t, room);
	for (size_t i = 0; i < own->n_index; i++) {
		uint64_t at = own->index[i], end = at + own->count[i];

		for (; k < n && v[k].index < end; k++) {
			if (v[k].index > at)
				append(p, at, v[k].index - at, own->slot[i] + (at - own->index[i]));
			append(p, v[k].index, 1, v[k].slot);
			at = CPT_MAX(at, v[k].index + 1);
		}
		if (at < end)
			append(p, at, end - at, own->slot[i] + (at - own->index[i]));
	}
	for (; k < n; k++)
		append(p, v[k].index, 1, v[k].slot);
	return p;
}

const Cpt__Mm *cpt_restore_birth_mm(struct cpt_restore *r, struct cpt_rtask *t)
{
	struct wants w = { 0 };
	Cpt__Mm *mm;

	if (!t->mm_img || !t->mm_img->pages || t->nchildren < 2)
		return t->mm_img;
	for (unsigned i = 0; i < t->nchildren; i++)
		if (t->children[i]->mm_img)
			wishes(t->mm_img, t->children[i]->mm_img, &w);
	w.n = w.n ? most_wanted(w.v, w.n) : 0;
	if (!w.n) {
		free(w.v);
		return t->mm_img;
	}
	mm = cpt_arena_memdup(&r->arena, t->mm_img, sizeof(*mm));
	mm->pages = overlay(r, t->mm_img->pages, w.v, w.n);
	free(w.v);
	return mm;
}
