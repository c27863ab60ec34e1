/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lazy.c - which pages come later, and the descriptors through which they come
 *
 * Large private anonymous memory of which no other address space of the image
 * has a page. What relatives share must be there when they are forked, and
 * stacks, locked and shared memory, files and small mappings are not worth it.
 * These pages are taken out of what the engine makes: for it they are holes.
 */
#include "restore/lazy.h"

#include "image/fields.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define RANGE_MIN (1UL << 20)		/* bytes of a mapping */
#define PAGES_MIN 64			/* of it in the image */
#define FEATURES (UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)

/* ---- pages that more than one address space has ----------------------- */

struct slots {
	uint64_t first, end;
};

struct slot_list {
	struct slots *v;
	size_t n, cap;
};

static int by_first(const void *a, const void *b)
{
	uint64_t x = ((const struct slots *)a)->first, y = ((const struct slots *)b)->first;

	return (x > y) - (x < y);
}

/* what is named more than once, ascending */
static struct slot_list find_shared(const struct cpt_restore *r)
{
	struct slot_list all = { 0 }, shared = { 0 };
	uint64_t end = 0;

	for (unsigned i = 0; r->nmms > 1 && i < r->nmms; i++) {
		const Cpt__Pages *p = r->mms[i]->pages;

		for (size_t k = 0; p && k < p->n_slot; k++) {
			CPT_GROW(all.v, all.n, all.cap);
			all.v[all.n++] = (struct slots){ p->slot[k], p->slot[k] + p->count[k] };
		}
	}
	if (all.n)
		qsort(all.v, all.n, sizeof(*all.v), by_first);
	for (size_t i = 0; i < all.n; i++) {
		struct slots s = { all.v[i].first, CPT_MIN(all.v[i].end, end) };

		if (s.first < s.end && shared.n && s.first <= shared.v[shared.n - 1].end) {
			shared.v[shared.n - 1].end = CPT_MAX(shared.v[shared.n - 1].end, s.end);
		} else if (s.first < s.end) {
			CPT_GROW(shared.v, shared.n, shared.cap);
			shared.v[shared.n++] = s;
		}
		end = CPT_MAX(end, all.v[i].end);
	}
	free(all.v);
	return shared;
}

/* how many pages from @slot on are all shared, or all not; at most @count */
static uint64_t alike(const struct slot_list *shared, uint64_t slot, uint64_t count, bool *is_shared)
{
	size_t low = 0, high = shared->n;

	while (low < high) {		/* the first that ends behind @slot */
		size_t mid = (low + high) / 2;

		if (shared->v[mid].end <= slot)
			low = mid + 1;
		else
			high = mid;
	}
	*is_shared = low < shared->n && shared->v[low].first <= slot;
	if (low == shared->n)
		return count;
	return CPT_MIN(count, (*is_shared ? shared->v[low].end : shared->v[low].first) - slot);
}

/* ---- which ranges ----------------------------------------------------- */

/* the kernel reads and writes there, and so does cptool, while the process is made */
static bool is_stack(const struct cpt_rtask *t, const Cpt__Vma *v)
{
	for (unsigned i = 0; i < t->nthreads; i++) {
		struct cpt_regs regs;
		uint64_t sp;

		if (t->threads[i].img->gp_regs.len != sizeof(regs.gp))
			return true;
		memcpy(&regs.gp, t->threads[i].img->gp_regs.data, sizeof(regs.gp));
		sp = cpt_arch_sp(&regs);
		if (sp >= v->start && sp < v->end)
			return true;
		if (t->threads[i].img->rseq >= v->start && t->threads[i].img->rseq < v->end)
			return true;
	}
	return false;
}

static bool worth_it(const struct cpt_rtask *t, const Cpt__Vma *v)
{
	const uint64_t never = 1ULL << MADV_WIPEONFORK | 1ULL << MADV_DONTFORK;

	return v->kind == CPT__VMA_KIND__VMA_ANON && (v->flags & MAP_TYPE) == MAP_PRIVATE && !v->lock &&
	       !(v->flags & (MAP_GROWSDOWN | MAP_HUGETLB)) && !(v->advice & never) &&
	       v->end - v->start >= RANGE_MIN && !is_stack(t, v);
}

/* an address space that only this process has */
static bool is_own(const struct cpt_restore *r, const struct cpt_rtask *t)
{
	for (unsigned i = 0; i < r->ntasks; i++)
		if (&r->tasks[i] != t && r->tasks[i].mm_img == t->mm_img)
			return false;
	return true;
}

struct split {
	struct cpt_restore *r;
	const struct slot_list *shared;
	struct cpt_lazy_mm *later;
	Cpt__Pages *now;
	size_t room;
};

static void keep(struct split *s, uint64_t index, uint64_t count, uint64_t slot)
{
	Cpt__Pages *p = s->now;
	size_t n = p->n_index;

	if (n == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		p->index = cpt_realloc(p->index, s->room, sizeof(*p->index));
		p->count = cpt_realloc(p->count, s->room, sizeof(*p->count));
		p->slot = cpt_realloc(p->slot, s->room, sizeof(*p->slot));
	}
	p->index[n] = index;
	p->count[n] = count;
	p->slot[n] = slot;
	p->n_index = p->n_count = p->n_slot = n + 1;
}

static void put_off(struct split *s, uint64_t number, uint64_t count, uint64_t slot)
{
	struct cpt_lazy_mm *m = s->later;

	CPT_GROW(m->runs, m->nruns, m->cap_runs);
	m->runs[m->nruns++] = (struct cpt_lazy_run){ number, count, slot };
	m->pages += count;
}

static void split_piece(struct split *s, const struct cpt_piece *piece, const struct cpt_lazy_range *range)
{
	for (uint64_t done = 0, n; done < piece->count; done += n) {
		bool shared;

		n = alike(s->shared, piece->slot + done, piece->count - done, &shared);
		if (shared)
			keep(s, piece->index + done, n, piece->slot + done);
		else
			put_off(s, range->number + (piece->index + done - range->page), n, piece->slot + done);
	}
}

static bool next_piece(struct cpt_cursor *c, uint64_t from, uint64_t to, struct cpt_piece *ret)
{
	return from < to && cpt_next_piece(c, from, to, ret);
}

static uint64_t stored_pages(struct cpt_cursor c, const Cpt__Vma *v)
{
	struct cpt_piece a;
	uint64_t n = 0;

	for (uint64_t at = v->start / CPT_PAGE; next_piece(&c, at, v->end / CPT_PAGE, &a); at = a.index + a.count)
		n += a.count;
	return n;
}

static void split_mapping(struct split *s, struct cpt_cursor *c, const Cpt__Vma *v, const struct cpt_rtask *t)
{
	struct cpt_lazy_range range = { v->start / CPT_PAGE, (v->end - v->start) / CPT_PAGE, s->later->numbers,
					v->advice >> MADV_HUGEPAGE & 1 };
	bool lazy = worth_it(t, v) && stored_pages(*c, v) >= PAGES_MIN;
	uint64_t before = s->later->pages;
	struct cpt_piece a;

	for (uint64_t at = range.page; next_piece(c, at, v->end / CPT_PAGE, &a); at = a.index + a.count)
		if (lazy)
			split_piece(s, &a, &range);
		else
			keep(s, a.index, a.count, a.slot);
	if (s->later->pages == before)
		return;
	CPT_GROW(s->later->ranges, s->later->nranges, s->later->cap_ranges);
	s->later->ranges[s->later->nranges++] = range;
	s->later->numbers += range.count;
}

/* what is kept moves to the arena */
static void settle(struct cpt_restore *r, struct cpt_rtask *t, const Cpt__Pages *now)
{
	Cpt__Mm *mm = cpt_arena_memdup(&r->arena, t->mm_img, sizeof(*mm));
	Cpt__Pages *p = cpt_arena_memdup(&r->arena, now, sizeof(*p));
	size_t bytes = now->n_index * sizeof(*now->index);

	p->index = cpt_arena_memdup(&r->arena, now->index, bytes);
	p->count = cpt_arena_memdup(&r->arena, now->count, bytes);
	p->slot = cpt_arena_memdup(&r->arena, now->slot, bytes);
	mm->pages = p;
	t->mm_img = mm;
}

static void split_task(struct cpt_restore *r, struct cpt_rtask *t, const struct slot_list *shared)
{
	struct cpt_lazy_mm later = { .task = t, .uffd = -1 };
	Cpt__Pages now = CPT__PAGES__INIT;
	struct cpt_cursor c = { .pages = t->mm_img->pages };
	struct split s = { r, shared, &later, &now, 0 };

	for (size_t i = 0; i < t->mm_img->n_vmas; i++)
		split_mapping(&s, &c, t->mm_img->vmas[i], t);
	if (later.pages) {
		settle(r, t, &now);
		r->lazy.v[r->lazy.n++] = later;
		r->lazy.pages += later.pages;
	}
	free(now.index);
	free(now.count);
	free(now.slot);
}

/* ---- what must be read at once ---------------------------------------- */

static void need(struct cpt_restore *r, const Cpt__Pages *p)
{
	for (size_t i = 0; p && i < p->n_slot; i++)
		cpt_img_need(r->img, p->slot[i], p->count[i]);
}

static int need_of(void *arg, const ProtobufCMessage *m, struct cpt_err *err)
{
	if (m->descriptor == &cpt__pages__descriptor)
		need(arg, (const Cpt__Pages *)(const void *)m);
	return 0;
}

static int need_the_rest(struct cpt_restore *r, struct cpt_err *err)
{
	cpt_img_need_none(r->img);
	for (unsigned i = 0; i < r->ntasks; i++)
		if (r->tasks[i].mm_img)
			need(r, r->tasks[i].mm_img->pages);
	for (unsigned i = 1; i < r->nobjects; i++)
		if (r->objects[i] && cpt_message_walk(&r->objects[i]->base, need_of, r, err))
			return -1;
	return 0;
}

/* ---- can it be done? -------------------------------------------------- */

int cpt_restore_lazy_source(const char *image, struct cpt_err *err)
{
	bool in = !strcmp(image, "-");
	struct stat st;

	if (in ? fstat(STDIN_FILENO, &st) : stat(image, &st))
		return cpt_fail_sys(err, "open %s", in ? "standard input" : image);
	if (!S_ISREG(st.st_mode))
		return cpt_fail(err, CPT_USAGE, "--lazy reads the image while the group runs, so it must be a file; %s is none",
				in ? "standard input" : image);
	return 0;
}

static int look_at_kernel(struct cpt_restore *r)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURES };
	CPT_AUTO(fd) int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		cpt_missing(r, "--lazy needs userfaultfd with its events (CONFIG_USERFAULTFD, CAP_SYS_PTRACE): %s; restore without it",
			    strerror(errno));
	return 0;
}

int cpt_restore_lazy_plan(struct cpt_restore *r, struct cpt_err *err)
{
	struct slot_list shared = find_shared(r);

	r->lazy.v = cpt_arena_array(&r->arena, struct cpt_lazy_mm, r->ntasks);
	for (unsigned i = 0; i < r->ntasks; i++) {
		struct cpt_rtask *t = &r->tasks[i];

		if (t->mm_img && t->mm_img->pages && !t->mm_img->lock_future && is_own(r, t))
			split_task(r, t, &shared);
	}
	free(shared.v);
	r->stats.pages_lazy = r->lazy.pages;
	cpt_info("%llu pages of %zu processes come later", (unsigned long long)r->lazy.pages, r->lazy.n);
	if (!r->lazy.n)
		return 0;
	return look_at_kernel(r) ? -1 : need_the_rest(r, err);
}

/* ---- registered ------------------------------------------------------- */

static int begin(struct cpt_lazy_mm *m, struct cpt_err *err)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURES };

	if (ioctl(m->uffd, UFFDIO_API, &api))
		return cpt_fail_sys(err, "userfaultfd with events");
	for (size_t i = 0; i < m->nranges; i++) {
		struct uffdio_register reg = {
			.range = { m->ranges[i].page * CPT_PAGE, m->ranges[i].count * CPT_PAGE },
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};

		if (ioctl(m->uffd, UFFDIO_REGISTER, &reg))
			return cpt_fail_sys(err, "watch %#llx", (unsigned long long)reg.range.start);
	}
	return 0;
}

/* Made by the task, fetched by cptool; the task keeps nothing of it. */
static int arm(struct cpt_restore *r, struct cpt_lazy_mm *m, struct cpt_err *err)
{
	struct cpt_remote *leader = &m->task->threads[0].remote;
	CPT_AUTO(fd) int pidfd = cpt_pidfd_open(m->task->pid, 0);
	struct cpt_batch *b = &r->batch;
	size_t made;
	int fd;

	if (pidfd < 0)
		return cpt_fail_sys(err, "pidfd");
	cpt_batch_reset(b);
	made = CPT_CALL(b, userfaultfd, CPT_NUM(O_CLOEXEC | O_NONBLOCK));
	if (cpt_batch_run(leader, b, err))
		return -1;
	fd = (int)cpt_batch_ret(b, made);
	m->uffd = cpt_pidfd_getfd(pidfd, fd);
	if (m->uffd < 0)
		return cpt_fail_sys(err, "fetch its userfaultfd");
	cpt_batch_reset(b);
	CPT_CALL(b, close, CPT_NUM(fd));
	return cpt_batch_run(leader, b, err) || begin(m, err) ? -1 : 0;
}

int cpt_restore_lazy_start(struct cpt_restore *r, struct cpt_err *err)
{
	if (!r->lazy.n)
		return 0;
	for (size_t i = 0; i < r->lazy.n; i++) {
		const struct cpt_rtask *t = r->lazy.v[i].task;

		if (arm(r, &r->lazy.v[i], err))
			return cpt_within(err, "task %d (%s)", t->pid, t->comm);
	}
	return cpt_pager_start(r, err);
}

void cpt_restore_lazy_free(struct cpt_restore *r)
{
	for (size_t i = 0; i < r->lazy.n; i++) {
		struct cpt_lazy_mm *m = &r->lazy.v[i];

		if (m->uffd >= 0)
			close(m->uffd);
		free(m->ranges);
		free(m->runs);
	}
	r->lazy.n = 0;
}
