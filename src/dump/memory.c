/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.c - which pages of an address space have to be stored, and where they are already
 *
 * /proc/PID/pagemap tells of each page whether the program has given it a
 * content of its own, and in which page frame it is. A frame seen before in
 * another address space is the same page: it is stored once. Pages of files
 * and the zero page are not stored at all.
 */
#include "dump/memory.h"

#include "dump/scan.h"
#include "dump/tables.h"
#include "dump/view.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FEW 32				/* pages in a row that are compared by content */
#define PM_BATCH 32768			/* entries read at once */
#define CAREFUL_BATCH 512		/* where pages move */
#define MUCH_KIB (64 * 1024)		/* resident in children; less is not worth reading page tables */
#define LARGE (1ULL << 20)		/* bytes of a mapping whose page tables are compared */

/* ---- runs ------------------------------------------------------------ */

void cpt_pages_add(struct cpt_pages *p, uint64_t index, uint64_t count, uint64_t slot)
{
	if (p->n && p->index[p->n - 1] + p->count[p->n - 1] == index &&
	    p->slot[p->n - 1] + p->count[p->n - 1] == slot) {
		p->count[p->n - 1] += count;
		return;
	}
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 32;
		p->index = cpt_realloc(p->index, p->cap, 8);
		p->count = cpt_realloc(p->count, p->cap, 8);
		p->slot = cpt_realloc(p->slot, p->cap, 8);
	}
	p->index[p->n] = index;
	p->count[p->n] = count;
	p->slot[p->n++] = slot;
}

Cpt__Pages *cpt_pages_message(struct cpt_pages *p, struct cpt_arena *a)
{
	Cpt__Pages *m = cpt_arena_new(a, Cpt__Pages);

	cpt__pages__init(m);
	m->n_index = m->n_count = m->n_slot = p->n;
	m->index = cpt_arena_memdup(a, p->index, p->n * 8);
	m->count = cpt_arena_memdup(a, p->count, p->n * 8);
	m->slot = cpt_arena_memdup(a, p->slot, p->n * 8);
	p->n = 0;
	return m;
}

/* The frame of the zero page, as a page that was only read shows it. */
static uint64_t zero_frame(void)
{
	CPT_AUTO(fd) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile char *page = mmap(NULL, CPT_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t entry = 0;

	if (page == MAP_FAILED)
		return 0;
	(void)page[0];
	if (fd < 0 || cpt_pread_all(fd, &entry, 8, (off_t)((uintptr_t)page / CPT_PAGE * 8)))
		entry = 0;
	munmap((void *)(uintptr_t)page, CPT_PAGE);
	return entry & PM_PFN;
}

/* ---- private memory -------------------------------------------------- */

struct scan {
	struct cpt_dump *d;
	struct cpt_dump_memory *m;
	struct cpt_task *t;
	pid_t twin;			/* whose memory is read instead of the task's, or 0 */
	int mem;			/* /proc/PID/mem */
	const struct cpt_known *parent;	/* pagemap and slots of the parent, or NULL */
	struct cpt_known *known;	/* of this one, if it has children */
	struct cpt_kept *kept;		/* its page tables, for them; NULL outside large mappings */
	const struct cpt_precopy *pre;	/* copied while it ran, or NULL */
	size_t *near;			/* where that was looked at last */
	bool watched;			/* its relatives were copied while they ran, too */
	int pagemap;
	struct cpt_err *err;
};

static int store(struct scan *s, uint64_t vpn, uint64_t count, bool shared, uint64_t *slot)
{
	*slot = s->m->next_slot;
	return cpt_queue_memory(s->d, s->twin ? s->twin : s->t->pid, vpn * CPT_PAGE, count, shared, s->err);
}

static bool has_content(const struct cpt_dump_memory *m, uint64_t e)
{
	if (e & PM_SWAP)
		return true;
	return (e & PM_PRESENT) && !(e & PM_FILE) && (e & PM_PFN) != m->zero_pfn;
}

/* how many entries from here on look the same as in the parent, and are stored there */
static size_t same_as_parent(const struct scan *s, uint64_t vpn, const uint64_t *e, size_t n, uint64_t *slot)
{
	const struct cpt_known_run *k = cpt_known_find(s->parent, vpn);
	size_t i, at;

	if (!k)
		return 0;
	at = vpn - k->vpn;
	if (k->slot[at] == NO_SLOT)
		return 0;
	*slot = k->slot[at];
	for (i = 0; i < n && at + i < k->n; i++)
		if (e[i] != k->entry[at + i] || !(e[i] & PM_PRESENT) || (e[i] & (PM_EXCLUSIVE | PM_FILE)) ||
		    k->slot[at + i] != *slot + i)
			break;
	return i;
}

static bool may_be_shared(const struct cpt_dump_memory *m, uint64_t e)
{
	return m->sharing && (e & PM_PRESENT) && !(e & PM_EXCLUSIVE) && (e & PM_PFN);
}

static bool unchanged(const struct scan *s, uint64_t vpn, uint64_t e, uint64_t *slot)
{
	return s->pre && (s->twin || (e & PM_UFFD_WP)) && cpt_precopied(s->pre, s->near, vpn * CPT_PAGE, slot);
}

/* how many entries from here on were copied while the group ran, to slots in a row */
static size_t copied_before(const struct scan *s, uint64_t vpn, const uint64_t *e, size_t n, uint64_t *slot)
{
	uint64_t next;
	size_t i;

	if (!unchanged(s, vpn, e[0], slot))
		return 0;
	for (i = 1; i < n && has_content(s->m, e[i]) && unchanged(s, vpn + i, e[i], &next) && next == *slot + i; i++)
		;
	return i;
}

/* pages to be stored one after the other, read in one way; stops at the first that is something else */
static size_t fresh(const struct scan *s, uint64_t vpn, const uint64_t *e, size_t n)
{
	bool shared = may_be_shared(s->m, e[0]);
	size_t i;
	uint64_t slot;

	for (i = 0; i < n && has_content(s->m, e[i]) && !unchanged(s, vpn + i, e[i], &slot) &&
		    may_be_shared(s->m, e[i]) == shared; i++)
		if (may_be_shared(s->m, e[i]) &&
		    ((s->parent && same_as_parent(s, vpn + i, e + i, 1, &slot)) ||
		     cpt_frame_find(s->d, e[i] & PM_PFN) != NO_SLOT))
			break;
	return i;
}

/* Finds what a run of entries starting with one that has content is; returns its length, 0 on error. */
static size_t place(struct scan *s, uint64_t vpn, const uint64_t *e, size_t n, uint64_t *slot)
{
	size_t count = s->parent ? same_as_parent(s, vpn, e, n, slot) : 0;

	if (!count && may_be_shared(s->m, e[0])) {
		*slot = cpt_frame_find(s->d, e[0] & PM_PFN);
		count = *slot != NO_SLOT;
	}
	if (count) {
		s->d->stats.pages_shared += count;
		return count;
	}
	count = copied_before(s, vpn, e, n, slot);
	s->d->stats.pages_unchanged += count;
	if (!count) {
		count = fresh(s, vpn, e, n);
		if (store(s, vpn, count, may_be_shared(s->m, e[0]), slot))
			return 0;
	}
	for (size_t i = 0; i < count; i++)
		if (may_be_shared(s->m, e[i]))
			cpt_frame_remember(s->d, s->t, vpn + i, e[i] & PM_PFN, *slot + i);
	return count;
}

/*
 * Relatives that have written to the same pages have often written the same:
 * what few pages a child has of its own are compared by content.
 */
static int by_content(struct scan *s, uint64_t vpn, const uint64_t *e, size_t n, struct cpt_known_run *k, size_t at)
{
	static char page[CPT_PAGE];

	for (size_t i = 0; i < n; i++) {
		uint64_t *known, slot;

		if (cpt_pread_all(s->mem, page, CPT_PAGE, (off_t)((vpn + i) * CPT_PAGE)))
			return cpt_fail_sys(s->err, "read page %llx", (unsigned long long)((vpn + i) * CPT_PAGE));
		known = cpt_content_slot(&s->m->contents, page);
		if (*known == NO_SLOT) {
			if (store(s, vpn + i, 1, may_be_shared(s->m, e[i]), known))
				return -1;
		} else {
			s->d->stats.pages_shared++;
		}
		slot = *known;
		cpt_pages_add(&s->m->pages, vpn + i, 1, slot);
		if (k)
			k->slot[at + i] = slot;
		if (may_be_shared(s->m, e[i]))
			cpt_frame_remember(s->d, s->t, vpn + i, e[i] & PM_PFN, slot);
	}
	return 0;
}

static int scan_entries(struct scan *s, uint64_t vpn, const uint64_t *e, size_t n)
{
	struct cpt_known_run *k = s->known ? cpt_known_add(s->known, vpn, e, n) : NULL;

	for (size_t i = 0; i < n;) {
		uint64_t slot;
		size_t count;

		if (!has_content(s->m, e[i])) {
			i++;
			continue;
		}
		count = s->t->parent ? fresh(s, vpn + i, e + i, CPT_MIN(n - i, (size_t)FEW + 1)) : 0;
		if (count && count <= FEW) {
			if (by_content(s, vpn + i, e + i, count, k, i))
				return -1;
			i += count;
			continue;
		}
		count = place(s, vpn + i, e + i, n - i, &slot);
		if (!count)
			return -1;
		cpt_pages_add(&s->m->pages, vpn + i, count, slot);
		for (size_t j = 0; k && j < count; j++)
			k->slot[i + j] = slot + j;
		i += count;
	}
	return 0;
}

static bool any(const uint64_t *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (e[i])
			return true;
	return false;
}

static int take_entries(struct scan *s, uint64_t vpn, const uint64_t *entries, size_t n)
{
	if (!any(entries, n))
		return 0;
	if (s->kept)
		cpt_tables_keep(s->m->tables, s->t, s->kept, vpn, entries, n);
	return scan_entries(s, vpn, entries, n);
}

static int read_entries(int pagemap, uint64_t vpn, uint64_t *to, size_t n, struct cpt_err *err)
{
	return cpt_pread_all(pagemap, to, n * 8, (off_t)(vpn * 8)) ? cpt_fail_sys(err, "read pagemap") : 0;
}

static int scan_range(struct scan *s, int pagemap, uint64_t start, uint64_t end)
{
	static uint64_t entries[PM_BATCH];

	for (uint64_t vpn = start / CPT_PAGE; vpn < end / CPT_PAGE;) {
		size_t n = CPT_MIN(end / CPT_PAGE - vpn, (uint64_t)PM_BATCH);

		if (s->m->careful)
			n = CPT_MIN(n, (size_t)CAREFUL_BATCH);
		if (read_entries(pagemap, vpn, entries, n, s->err))
			return -1;
		if (s->m->careful && s->parent &&
		    cpt_known_refresh(s->t->parent, pagemap, vpn, entries, n, s->err))
			return -1;
		if (take_entries(s, vpn, entries, n))
			return -1;
		vpn += n;
	}
	return 0;
}

/* Ranges with something in them, those not far apart as one. */
struct populated {
	struct scan *s;
	int pagemap;
	uint64_t start, end;
};
#define NEAR (64 * CPT_PAGE)

static int scan_populated(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	struct populated *p = arg;

	if (p->end && start - p->end <= NEAR) {
		p->end = end;
		return 0;
	}
	if (p->end && scan_range(p->s, p->pagemap, p->start, p->end))
		return -1;
	p->start = start;
	p->end = end;
	return 0;
}

/* ---- page tables that are compared with the parent's ------------------ */

struct compared {
	struct scan *s;
	int pagemap;
	uint64_t at;			/* pages before this one are done */
	uint64_t from, to;		/* to be looked at; none if @to is 0 */
	size_t run;			/* of the parent's pages: where to go on looking */
};

/* What the parent has there, this one has too. */
static void share(struct compared *c, uint64_t vpn, uint64_t end)
{
	const Cpt__Pages *p = c->s->t->parent->mm_img->pages;

	while (c->run < p->n_index && p->index[c->run] + p->count[c->run] <= vpn)
		c->run++;
	for (size_t i = c->run; vpn < end && i < p->n_index && p->index[i] < end; i++) {
		uint64_t from = CPT_MAX(p->index[i], vpn), to = CPT_MIN(p->index[i] + p->count[i], end);

		cpt_pages_add(&c->s->m->pages, from, to - from, p->slot[i] + (from - p->index[i]));
		c->s->d->stats.pages_shared += to - from;
	}
}

static int look_at(struct compared *c)
{
	if (!c->to)
		return 0;
	share(c, c->at, c->from);
	if (scan_range(c->s, c->pagemap, c->from * CPT_PAGE, c->to * CPT_PAGE))
		return -1;
	c->at = c->to;
	c->to = 0;
	return 0;
}

static int not_same(void *arg, uint64_t vpn, uint64_t end, bool empty, struct cpt_err *err)
{
	struct compared *c = arg;

	if (empty) {
		if (look_at(c))
			return -1;
		share(c, c->at, vpn);
		c->at = end;
		return 0;
	}
	if (!c->to || vpn - c->to > NEAR / CPT_PAGE) {
		if (look_at(c))
			return -1;
		c->from = vpn;
	}
	c->to = end;
	return 0;
}

static int compare_tables(struct scan *s, int pagemap, uint64_t start, uint64_t end)
{
	struct compared c = { .s = s, .pagemap = pagemap, .at = start / CPT_PAGE };
	uint64_t any;

	if (cpt_tables_compare(s->m->tables, s->t, s->t->parent->kept, start / CPT_PAGE, end / CPT_PAGE, not_same, &c, s->err) ||
	    look_at(&c))
		return -1;
	share(&c, c.at, end / CPT_PAGE);
	/* of a process that was killed meanwhile there is nothing to be read any more */
	return read_entries(pagemap, start / CPT_PAGE, &any, 1, s->err);
}

bool cpt_compares_tables(const struct cpt_dump *d, const struct cpt_task *t)
{
	return d->memory->tables && t->parent && !t->parent->zombie && !t->has_children && !t->twin;
}

/* Before the first process is looked at, so that it is clear whose pagemaps are to be read ahead. */
static void begin_tables(struct cpt_dump *d)
{
	struct cpt_dump_memory *m = d->memory;
	uint64_t kib = 0;

	if (m->tables_tried)
		return;
	m->tables_tried = true;
	for (unsigned i = 0; i < d->ntasks; i++)
		if (d->tasks[i].parent && !d->tasks[i].twin)
			kib += d->tasks[i].status.vm_rss_kib;
	/* of what was copied before, the parent does not know yet (precopy.c) */
	if (d->view && !d->nprecopies && !m->careful && m->sharing && (kib > MUCH_KIB || (kib && cpt_view_forced())))
		m->tables = cpt_tables_open(d);
}

/* ---- mappings -------------------------------------------------------- */

/* What was never touched costs nothing: some runtimes reserve terabytes. */
static int scan_shared(struct scan *s, int pagemap, uint64_t start, uint64_t end)
{
	struct populated p = { .s = s, .pagemap = pagemap };
	const struct cpt_entries *ahead;
	size_t n;

	if (end - start >= LARGE && cpt_compares_tables(s->d, s->t) && s->t->parent->kept)
		return compare_tables(s, pagemap, start, end);
	if (!s->watched && cpt_pagemaps_between(s->d, s->t, start, end, &ahead, &n)) {
		for (size_t i = 0; i < n; i++)
			if (take_entries(s, ahead[i].vpn, ahead[i].entry, ahead[i].n))
				return -1;
		return 0;
	}
	if (cpt_scan(pagemap, start, end, CPT_SCAN_ANON, scan_populated, &p, s->err))
		return -1;
	return p.end ? scan_range(s, pagemap, p.start, p.end) : 0;
}

/* of a mapping that was copied before: what was written to it since */
static int store_written(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	struct scan *s = arg;

	(void)err;			/* the same */
	return scan_range(s, s->pagemap, start, end);
}

bool cpt_private_memory(const Cpt__Vma *v)
{
	return v->kind != CPT__VMA_KIND__VMA_SPECIAL && (v->flags & MAP_TYPE) == MAP_PRIVATE;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/*
 * Pages are shared by fork, and a fork copies the place of the stack too, which
 * differs from program to program (and where it does not, it only takes longer).
 */
bool cpt_may_share(struct cpt_dump *d, const struct cpt_task *t)
{
	struct cpt_dump_memory *m = d->memory;
	uint64_t key = t->stat.start_stack, *at;

	if (!m->sharing || !key)	/* 0: not told */
		return m->sharing;
	if (!m->stacks) {
		m->stacks = cpt_calloc(d->ntasks, sizeof(*m->stacks));
		for (unsigned i = 0; i < d->ntasks; i++)
			if (!d->tasks[i].zombie)
				m->stacks[m->nstacks++] = d->tasks[i].stat.start_stack;
		qsort(m->stacks, m->nstacks, sizeof(*m->stacks), ascending);
	}
	at = bsearch(&key, m->stacks, m->nstacks, sizeof(*m->stacks), ascending);
	return at && ((at > m->stacks && at[-1] == key) || (at + 1 < m->stacks + m->nstacks && at[1] == key));
}

int cpt_pagemap_open(const struct cpt_task *t, pid_t twin)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", twin ? twin : t->pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

bool cpt_memory_cloned(const Cpt__Vma *v)
{
	return !(v->advice & (1ULL << MADV_DONTFORK | 1ULL << MADV_WIPEONFORK));
}

static bool in_part(const Cpt__Vma *v, enum cpt_part part)
{
	return cpt_private_memory(v) && (part == CPT_PART_ALL || cpt_memory_cloned(v) == (part == CPT_PART_CLONED));
}

static int scan_mapping(struct scan *s, int pagemap, const Cpt__Vma *v, bool sharing)
{
	struct cpt_dump_memory *m = s->m;
	int rc = -1;

	s->kept = sharing && v->end - v->start >= LARGE ? s->t->kept : NULL;
	s->pre = v->kind == CPT__VMA_KIND__VMA_ANON ? cpt_precopy_of(s->d, s->t->pid) : NULL;
	if (s->pre && !s->twin && !cpt_scan_watched(pagemap, v->start))
		s->pre = NULL;		/* mapped anew or moved since */
	if (!m->no_scan) {
		if (sharing && !(s->pre && s->watched))
			rc = scan_shared(s, pagemap, v->start, v->end);
		else if (s->twin)
			rc = cpt_scan_twin(s->d, s->twin, s->pre, pagemap, v, sharing ? store_written : NULL, s, s->err);
		else
			rc = cpt_scan_own(s->d, s->t, s->pre, pagemap, v, sharing ? store_written : NULL, s, s->err);
		m->no_scan = rc && (s->err->sys == ENOTTY || s->err->sys == EINVAL);	/* before Linux 6.7 */
	}
	if (rc && m->no_scan)
		rc = scan_range(s, pagemap, v->start, v->end);
	return rc;
}

static int dump_part(struct cpt_dump *d, struct cpt_task *t, enum cpt_part part, struct cpt_err *err)
{
	struct scan s = { .d = d, .m = d->memory, .t = t, .twin = part == CPT_PART_CLONED ? t->twin : 0,
			  .mem = t->mm.mem, .err = err };
	bool sharing = cpt_may_share(d, t) && part != CPT_PART_NOT_CLONED;
	CPT_AUTO(fd) int pagemap = cpt_pagemap_open(t, s.twin), mem = -1;
	size_t near = 0;
	char path[32];

	if (pagemap < 0)
		return cpt_fail_sys(err, "open pagemap");
	s.pagemap = pagemap;
	s.near = &near;
	s.watched = sharing && cpt_precopy_relatives_watched(d, t);
	if (s.twin) {
		snprintf(path, sizeof(path), "/proc/%d/mem", s.twin);
		s.mem = mem = open(path, O_RDONLY | O_CLOEXEC);
		if (mem < 0)
			return cpt_fail_sys(err, "open memory");
	}
	if (part != CPT_PART_NOT_CLONED) {
		begin_tables(d);
		s.parent = t->parent ? t->parent->known : NULL;
		if (sharing && t->has_children)
			s.known = t->known = cpt_arena_new(&d->arena, struct cpt_known);
		if (s.known)
			cpt_frames_expect(d, t->status.vm_anon_kib / (CPT_PAGE / 1024));
		if (s.known && d->memory->tables && !t->twin)
			t->kept = cpt_arena_new(&d->arena, struct cpt_kept);
	}
	for (size_t i = 0; i < t->mm_img->n_vmas; i++)
		if (in_part(t->mm_img->vmas[i], part) && scan_mapping(&s, pagemap, t->mm_img->vmas[i], sharing))
			return -1;
	return 0;
}

void cpt_pages_merge(struct cpt_pages *p, const Cpt__Pages *other)
{
	struct cpt_pages both = { 0 };
	size_t i = 0, k = 0;

	while (i < p->n || k < other->n_index)
		if (k == other->n_index || (i < p->n && p->index[i] < other->index[k])) {
			cpt_pages_add(&both, p->index[i], p->count[i], p->slot[i]);
			i++;
		} else {
			cpt_pages_add(&both, other->index[k], other->count[k], other->slot[k]);
			k++;
		}
	free(p->index);
	free(p->count);
	free(p->slot);
	*p = both;
}

int cpt_dump_memory(struct cpt_dump *d, struct cpt_task *t, enum cpt_part part, struct cpt_err *err)
{
	struct cpt_dump_memory *m = d->memory;

	if (dump_part(d, t, part, err))
		return -1;
	if (part != CPT_PART_NOT_CLONED)
		cpt_pagemaps_done(d, t);
	if (part == CPT_PART_CLONED && t->mm_img->pages->n_index)
		cpt_pages_merge(&m->pages, t->mm_img->pages);
	t->mm_img->pages = cpt_pages_message(&m->pages, &d->arena);
	return 0;
}

void cpt_dump_memory_forget_frames(struct cpt_dump *d)
{
	cpt_frames_free(&d->memory->frames);
	memset(&d->memory->frames, 0, sizeof(d->memory->frames));
}

/* ---- the whole dump -------------------------------------------------- */

struct cpt_dump_memory *cpt_dump_memory_of(struct cpt_dump *d)
{
	if (!d->memory)
		d->memory = cpt_calloc(1, sizeof(*d->memory));
	return d->memory;
}

int cpt_dump_memory_begin(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_dump_memory *m = cpt_dump_memory_of(d);
	unsigned spaces = 0;

	for (unsigned i = 0; i < d->ntasks; i++) {
		struct cpt_task *t = &d->tasks[i];

		spaces += !t->zombie;
		if (!t->zombie && t->parent)
			t->parent->has_children = true;
	}
	m->sharing = spaces > 1;
	m->zero_pfn = zero_frame();
	m->careful = d->exact_flags;
	if (m->sharing && !m->careful)
		m->moves = cpt_count_moves();
	return 0;
}

void cpt_dump_memory_free(struct cpt_dump *d)
{
	struct cpt_dump_memory *m = d->memory;

	if (!m)
		return;
	cpt_pagemaps_end(d);
	for (unsigned i = 0; i < d->ntasks; i++) {
		cpt_known_free(d->tasks[i].known);
		if (d->tasks[i].kept)
			cpt_kept_free(d->tasks[i].kept);
	}
	cpt_tables_free(m->tables);
	cpt_queue_free(m);
	free(m->stacks);
	cpt_frames_free(&m->frames);
	free(m->contents.table);
	free(m->pages.index);
	free(m->pages.count);
	free(m->pages.slot);
	free(m);
	d->memory = NULL;
}
