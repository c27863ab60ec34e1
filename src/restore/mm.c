/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mm.c - turn the address space a task was born with into its own
 *
 * A child is born with its parent's restored memory. What is the same in both
 * (mappings, and pages with the same slot) is left alone, and so stays shared
 * as it was after the original fork. Only the difference is made.
 */
#include "restore/pages.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#define ADDRESS_MAX 0x7ffffffff000UL	/* TASK_SIZE_MAX, four-level page tables */

/* Advice that changes what a fork copies waits until the children are there. */
#define ADVICE_AFTER (1ULL << MADV_DONTFORK | 1ULL << MADV_WIPEONFORK)

struct plan {
	struct cpt_restore *r;
	struct cpt_rtask *t;
	struct cpt_batch *b;
	const Cpt__Mm *mm, *base;
	bool *keep, *keep_base;
	struct taken {
		uint32_t object;
		size_t call;
	} *taken;
	size_t ntaken, cap_taken;
	struct cpt_err *err;
};

/* ---- what stays ------------------------------------------------------ */

static bool same_name(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_vma(const Cpt__Vma *a, const Cpt__Vma *b)
{
	return a->start == b->start && a->end == b->end && a->prot == b->prot && a->flags == b->flags &&
	       a->kind == b->kind && a->object == b->object && a->offset == b->offset &&
	       !((a->advice ^ b->advice) & ~ADVICE_AFTER) && !(b->advice & 1ULL << MADV_DONTFORK) &&
	       same_name(a->name, b->name);
}

static void compare(struct plan *p)
{
	size_t i = 0, k = 0;

	while (p->base && i < p->mm->n_vmas && k < p->base->n_vmas) {
		const Cpt__Vma *v = p->mm->vmas[i], *w = p->base->vmas[k];

		if (same_vma(v, w))
			p->keep[i] = p->keep_base[k] = true;
		if (v->start <= w->start)
			i++;
		if (w->start <= v->start)
			k++;
	}
}

/* ---- the kernel's own mappings --------------------------------------- */

static void move(struct cpt_batch *b, uint64_t from, uint64_t to, uint64_t size)
{
	CPT_CALL(b, mremap, CPT_NUM(from), CPT_NUM(size), CPT_NUM(size),
		 CPT_NUM(MREMAP_MAYMOVE | MREMAP_FIXED), CPT_NUM(to));
}

static uint64_t special_block(const Cpt__Mm *mm, uint64_t *end)
{
	uint64_t start = 0;

	*end = 0;
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->kind == CPT__VMA_KIND__VMA_SPECIAL) {
			if (!start)
				start = mm->vmas[i]->start;
			*end = mm->vmas[i]->end;
		}
	return start;
}

/* Each of the mappings that make the block moves by itself; mremap does not cross borders. */
static void move_block(const Cpt__Mm *mm, struct cpt_batch *b, uint64_t from, uint64_t to)
{
	uint64_t end, start = special_block(mm, &end);

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Cpt__Vma *v = mm->vmas[i];

		if (v->kind == CPT__VMA_KIND__VMA_SPECIAL)
			move(b, from + (v->start - start), to + (v->start - start), v->end - v->start);
	}
}

static int check_block(struct plan *p)
{
	uint64_t end, start = special_block(p->mm, &end);

	if (!start || end - start != p->r->vdso.block_end - p->r->vdso.block)
		return cpt_fail(p->err, CPT_UNSUPPORTED,
				"task %d (%s): its vdso is laid out for another kernel", p->t->pid, p->t->comm);
	return 0;
}

/* ---- mappings -------------------------------------------------------- */

static void unmap(struct cpt_batch *b, uint64_t start, uint64_t end)
{
	if (start < end)
		CPT_CALL(b, munmap, CPT_NUM(start), CPT_NUM(end - start));
}

static void unmap_old(struct plan *p)
{
	uint64_t from = 0, to = 0;

	for (size_t k = 0; p->base && k < p->base->n_vmas; k++) {
		const Cpt__Vma *w = p->base->vmas[k];

		if (p->keep_base[k] || w->kind == CPT__VMA_KIND__VMA_SPECIAL)
			continue;
		if (w->start != to) {
			unmap(p->b, from, to);
			from = w->start;
		}
		to = w->end;
	}
	unmap(p->b, from, to);
}

static int take(struct plan *p, uint32_t object, size_t *call)
{
	int fd = cpt_restore_object_fd(p->r, object);

	for (size_t i = p->ntaken; i-- > 0;)
		if (p->taken[i].object == object) {
			*call = p->taken[i].call;
			return 0;
		}
	if (fd < 0)
		return cpt_fail(p->err, CPT_BAD_IMAGE, "task %d (%s): a mapping refers to object %u, which is none",
				p->t->pid, p->t->comm, object);
	CPT_GROW(p->taken, p->ntaken, p->cap_taken);
	*call = cpt_restore_take(p->r, p->b, fd);
	p->taken[p->ntaken++] = (struct taken){ object, *call };
	return 0;
}

static void give_back(struct plan *p)
{
	while (p->ntaken)
		CPT_CALL(p->b, close, CPT_RESULT(p->taken[--p->ntaken].call));
}

static void advise(struct cpt_batch *b, const Cpt__Vma *v, uint64_t which)
{
	uint64_t bits = v->advice & which;

	for (unsigned n = 0; bits; n++, bits >>= 1)
		if (bits & 1)	/* a kernel without huge pages or KSM refuses: nothing is lost */
			CPT_TRY(b, madvise, CPT_NUM(v->start), CPT_NUM(v->end - v->start), CPT_NUM(n));
}

static int map_one(struct plan *p, const Cpt__Vma *v, unsigned extra_prot)
{
	const struct cpt_arg start = CPT_NUM(v->start), size = CPT_NUM(v->end - v->start),
			     prot = CPT_NUM(v->prot | extra_prot),
			     flags = CPT_NUM(v->flags | MAP_FIXED_NOREPLACE);
	size_t call;

	if (v->kind == CPT__VMA_KIND__VMA_ANON) {
		CPT_CALL(p->b, mmap, start, size, prot, flags, CPT_NUM(-1), CPT_NUM(0));
	} else {
		struct cpt_arg file = CPT_NUM(v->flags & ~(unsigned)MAP_ANONYMOUS);

		file.value |= MAP_FIXED_NOREPLACE;
		if (take(p, v->object, &call))
			return -1;
		CPT_CALL(p->b, mmap, start, size, prot, file, CPT_RESULT(call), CPT_NUM(v->offset));
	}
	advise(p->b, v, ~ADVICE_AFTER);
	if (v->name && v->kind == CPT__VMA_KIND__VMA_ANON)
		CPT_TRY(p->b, prctl, CPT_NUM(PR_SET_VMA), CPT_NUM(PR_SET_VMA_ANON_NAME), start, size,
			CPT_DATA(cpt_batch_string(p->b, v->name)));
	return 0;
}

static void protect(struct cpt_batch *b, const Cpt__Vma *v, unsigned prot)
{
	CPT_CALL(b, mprotect, CPT_NUM(v->start), CPT_NUM(v->end - v->start), CPT_NUM(prot));
}

/* A mapping that may not be written is made writable while its pages are read in. */
static void change(struct cpt_restore *r, struct cpt_batch *b, const Cpt__Vma *v,
		   struct cpt_cursor *own, struct cpt_cursor *base)
{
	bool open = !(v->prot & PROT_WRITE);
	size_t before = b->ncalls;

	if (open)
		protect(b, v, v->prot | PROT_WRITE);
	cpt_changed_pages(r, b, own, base, v);
	if (open && b->ncalls == before + 1)
		b->ncalls--;		/* nothing to do there */
	else if (open)
		protect(b, v, v->prot);
}

static int fill(struct plan *p, size_t i, struct cpt_cursor *own, struct cpt_cursor *base)
{
	const Cpt__Vma *v = p->mm->vmas[i];
	struct cpt_piece first;
	bool pages = cpt_private_vma(v) && cpt_next_piece(own, v->start / CPT_PAGE, v->end / CPT_PAGE, &first);
	bool open = pages && !(v->prot & PROT_WRITE);

	if (v->kind == CPT__VMA_KIND__VMA_SPECIAL)
		return 0;
	if (!p->keep[i]) {
		if (map_one(p, v, open ? PROT_WRITE : 0))
			return -1;
		if (pages)
			cpt_huge_shared(p->t, p->b, own, v);
		if (pages)
			cpt_all_pages(p->r, p->b, own, v);
		if (open)
			protect(p->b, v, v->prot);
		return 0;
	}
	if (!cpt_private_vma(v))
		return 0;
	change(p->r, p->b, v, own, base);
	return 0;
}

/* ---- landmarks ------------------------------------------------------- */

/* include/uapi/linux/prctl.h: struct prctl_mm_map */
static struct prctl_mm_map landmarks(const Cpt__Mm *mm)
{
	return (struct prctl_mm_map){
		.start_code = mm->start_code, .end_code = mm->end_code,
		.start_data = mm->start_data, .end_data = mm->end_data,
		.start_brk = mm->start_brk, .brk = mm->brk, .start_stack = mm->start_stack,
		.arg_start = mm->arg_start, .arg_end = mm->arg_end,
		.env_start = mm->env_start, .env_end = mm->env_end,
		.auxv_size = (uint32_t)mm->auxv.len, .exe_fd = (uint32_t)-1,
	};
}

static bool same_landmarks(const Cpt__Mm *a, const Cpt__Mm *b)
{
	struct prctl_mm_map x = landmarks(a), y = landmarks(b);

	return memcmp(&x, &y, sizeof(x)) == 0 && a->exe == b->exe && a->auxv.len == b->auxv.len &&
	       memcmp(a->auxv.data, b->auxv.data, a->auxv.len) == 0;
}

static int set_landmarks(struct plan *p)
{
	struct prctl_mm_map map = landmarks(p->mm);
	size_t at, exe;

	if (p->base && same_landmarks(p->mm, p->base))
		return 0;
	at = cpt_batch_data(p->b, &map, sizeof(map));
	if (p->mm->auxv.len)
		cpt_batch_pointer(p->b, at + offsetof(struct prctl_mm_map, auxv),
				  cpt_batch_data(p->b, p->mm->auxv.data, p->mm->auxv.len));
	if ((!p->base || p->base->exe != p->mm->exe) && p->mm->has_exe) {
		/* the number stands inside the structure, so it must be known beforehand */
		if (take(p, p->mm->exe, &exe))
			return -1;
		CPT_CALL(p->b, dup3, CPT_RESULT(exe), CPT_NUM(p->r->spare_fd), CPT_NUM(O_CLOEXEC));
		map.exe_fd = (uint32_t)p->r->spare_fd;
		memcpy(p->b->data + at, &map, sizeof(map));
	}
	CPT_CALL(p->b, prctl, CPT_NUM(PR_SET_MM), CPT_NUM(PR_SET_MM_MAP), CPT_DATA(at),
		 CPT_NUM(sizeof(map)), CPT_NUM(0));
	if (map.exe_fd != (uint32_t)-1)
		CPT_CALL(p->b, close, CPT_NUM(p->r->spare_fd));
	return 0;
}

/* ---- from outside ---------------------------------------------------- */

int cpt_restore_mm_fresh(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	uint64_t end = r->stage + (r->vdso.block_end - r->vdso.block);

	if (!t->mm_img)
		return 0;
	move_block(t->mm_img, b, r->vdso.block, r->stage);
	unmap(b, 0, r->scratch);
	unmap(b, end, ADDRESS_MAX);
	return 0;
}

static int build(struct plan *p)
{
	struct cpt_cursor own = { .pages = p->mm->pages }, base = { .pages = p->base ? p->base->pages : NULL };
	uint64_t end, at = special_block(p->mm, &end), was = p->base ? special_block(p->base, &end) : 0;

	if (check_block(p))
		return -1;
	compare(p);
	if (was && was != at)
		move_block(p->base, p->b, was, p->r->stage);
	unmap_old(p);
	if (was != at)
		move_block(p->mm, p->b, p->r->stage, at);
	for (size_t i = 0; i < p->mm->n_vmas; i++)
		if (fill(p, i, &own, &base))
			return -1;
	give_back(p);	/* first: one of many could have got the number spare_fd */
	if (set_landmarks(p))
		return -1;
	give_back(p);
	return 0;
}

int cpt_restore_mm(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	struct plan p = { .r = r, .t = t, .b = b, .mm = t->birth_mm, .base = t->base, .err = err };
	int rc;

	if (!t->mm_img)
		return 0;
	p.keep = cpt_calloc(p.mm->n_vmas, sizeof(bool));
	p.keep_base = cpt_calloc(p.base ? p.base->n_vmas : 0, sizeof(bool));
	rc = build(&p);
	free(p.keep);
	free(p.keep_base);
	free(p.taken);
	return rc;
}

void cpt_restore_mm_grown(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b)
{
	struct cpt_cursor own = { .pages = t->mm_img->pages }, base = { .pages = t->birth_mm->pages };

	for (size_t i = 0; i < t->mm_img->n_vmas; i++)
		if (cpt_private_vma(t->mm_img->vmas[i]))
			change(r, b, t->mm_img->vmas[i], &own, &base);
}

int cpt_restore_mm_after(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	for (size_t i = 0; i < t->mm_img->n_vmas; i++) {
		const Cpt__Vma *v = t->mm_img->vmas[i];

		advise(b, v, ADVICE_AFTER);
		if (v->lock)
			CPT_CALL(b, mlock2, CPT_NUM(v->start), CPT_NUM(v->end - v->start),
				 CPT_NUM(v->lock == 2 ? MLOCK_ONFAULT : 0));
	}
	if (t->mm_img->lock_future)
		CPT_CALL(b, mlockall, CPT_NUM(t->mm_img->lock_future));
	return 0;
}

int cpt_restore_mm_check(const struct cpt_batch *b, struct cpt_err *err)
{
	for (size_t i = 0; i < b->ncalls; i++)
		if (b->calls[i].nr == SYS_pread64 && (uint64_t)b->calls[i].ret != b->calls[i].arg[2])
			return cpt_fail(err, CPT_BAD_IMAGE, "the image was cut while it was read");
	return 0;
}
