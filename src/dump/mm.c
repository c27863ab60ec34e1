/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mm.c - the mappings of an address space, what lies behind them, and its landmarks */
#include "dump/view.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <uthash.h>

/* ---- what lies behind a mapping -------------------------------------- */

/* mappings of one file are many; the object is looked for once */
struct cpt_mapped {
	struct {
		uint64_t ino;
		uint32_t major, minor;
		uint32_t write, path_hash;
	} key;
	uint32_t object;
	UT_hash_handle hh;
};

static uint32_t hash_path(const char *s)
{
	uint32_t h = 2166136261u;	/* FNV-1a: tells "x" and "x (deleted)" apart, no more */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static bool is_shared_anon(const struct cpt_vma *v)
{
	return (v->flags & CPT_VM_SHARED) && strcmp(v->path, "/dev/zero (deleted)") == 0;
}

static int shared_memory(struct cpt_dump *d, struct cpt_task *t, const struct cpt_vma *v,
			 uint32_t *object, struct cpt_err *err)
{
	Cpt__Object *o = cpt_dump_new_object(d);
	char path[80];
	struct stat st;

	snprintf(path, sizeof(path), "map_files/%llx-%llx", (unsigned long long)v->start, (unsigned long long)v->end);
	CPT_AUTO(fd) int fd = openat(t->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return cpt_fail_sys(err, "open %s", path);
	o->shared_memory = cpt_arena_new(&d->arena, Cpt__SharedMemory);
	cpt__shared_memory__init(o->shared_memory);
	o->shared_memory->has_size = true;
	o->shared_memory->size = (uint64_t)st.st_size;
	*object = o->id;
	return cpt_dump_file_pages(d, fd, (uint64_t)st.st_size, &o->shared_memory->pages, err);
}

static int object_behind(struct cpt_dump *d, struct cpt_task *t, const struct cpt_vma *v,
			 uint32_t *object, struct cpt_err *err)
{
	bool write = (v->flags & CPT_VM_SHARED) && (v->flags & CPT_VM_MAYWRITE);
	struct cpt_mapped *m, key = { .key = { v->ino, v->dev_major, v->dev_minor, write, hash_path(v->path) } };

	HASH_FIND(hh, d->mapped, &key.key, sizeof(key.key), m);
	if (m) {
		*object = m->object;
		return 0;
	}
	if (is_shared_anon(v) ? shared_memory(d, t, v, object, err)
			      : cpt_dump_mapped(d, t, v->start, v->end, write, object, err))
		return cpt_within(err, "mapping %llx of %.100s", (unsigned long long)v->start, v->path);
	m = cpt_arena_new(&d->arena, struct cpt_mapped);
	m->key = key.key;
	m->object = *object;
	HASH_ADD(hh, d->mapped, key, sizeof(m->key), m);
	return 0;
}

void cpt_dump_mapped_free(struct cpt_dump *d)
{
	HASH_CLEAR(hh, d->mapped);	/* the table; what is in it lies in the arena */
}

/* ---- one mapping ----------------------------------------------------- */

static const char *why_not(const struct cpt_vma *v)
{
	if (v->flags & CPT_VM_HUGETLB)
		return "is of hugetlb pages; use transparent huge pages instead";
	if (v->flags & CPT_VM_UFFD)
		return "is watched by a userfaultfd; close that first (after restore --lazy of a larger or smaller group: wait until all its pages are in)";
	if (v->flags & CPT_VM_SHADOW_STACK)
		return "is a shadow stack; start the program without it (GLIBC_TUNABLES)";
	if (v->flags & (CPT_VM_IO | CPT_VM_PFNMAP))
		return "is device memory; close the device";
	if (v->flags & CPT_VM_SEALED)
		return "is sealed (mseal)";
	if (strncmp(v->path, "/SYSV", 5) == 0)
		return "is System V shared memory; detach it";
	if (strncmp(v->path, "/[aio]", 6) == 0)
		return "is an asynchronous I/O ring (io_setup); close it first";
	if (strncmp(v->path, "anon_inode:", 11) == 0)
		return "is of the kernel's own kind; close it first";
	return NULL;
}

static uint64_t advice(const struct cpt_vma *v)
{
	static const struct { unsigned flag, advice; } map[] = {
		{ CPT_VM_RANDOM, MADV_RANDOM }, { CPT_VM_SEQ, MADV_SEQUENTIAL },
		{ CPT_VM_DONTFORK, MADV_DONTFORK }, { CPT_VM_MERGEABLE, MADV_MERGEABLE },
		{ CPT_VM_HUGEPAGE, MADV_HUGEPAGE }, { CPT_VM_NOHUGEPAGE, MADV_NOHUGEPAGE },
		{ CPT_VM_DONTDUMP, MADV_DONTDUMP }, { CPT_VM_WIPEONFORK, MADV_WIPEONFORK },
	};
	uint64_t bits = 0;

	for (size_t i = 0; i < CPT_COUNT(map); i++)
		if (v->flags & map[i].flag)
			bits |= 1ULL << map[i].advice;
	return bits;
}

static unsigned map_flags(const struct cpt_vma *v)
{
	unsigned f = v->flags & CPT_VM_SHARED ? MAP_SHARED : MAP_PRIVATE;

	if (v->flags & CPT_VM_GROWSDOWN)
		f |= MAP_GROWSDOWN;
	if (v->flags & CPT_VM_NORESERVE)
		f |= MAP_NORESERVE;
	if (!v->ino)
		f |= MAP_ANONYMOUS;
	if (v->flags & CPT_VM_DROPPABLE)
		f = (f & ~(unsigned)MAP_TYPE) | 0x08;	/* MAP_DROPPABLE, Linux 6.11 */
	return f;
}

static const char *anon_name(struct cpt_dump *d, const char *path)
{
	size_t len = strlen(path);
	char *name;

	if (strncmp(path, "[anon:", 6) || path[len - 1] != ']')
		return NULL;
	name = cpt_arena_memdup(&d->arena, path + 6, len - 6);
	name[len - 7] = 0;
	return name;
}

static bool is_special(const struct cpt_vma *v)
{
	return strncmp(v->path, "[v", 2) == 0;	/* [vdso] [vvar] [vvar_vclock] */
}

static int one_mapping(struct cpt_dump *d, struct cpt_task *t, const struct cpt_vma *v,
		       Cpt__Vma **ret, struct cpt_err *err)
{
	Cpt__Vma *m = *ret = cpt_arena_new(&d->arena, Cpt__Vma);
	bool ours = v->flags & CPT_VM_UFFD && cpt_precopy_watches(d, t->pid, v->start, v->end);
	const char *no = is_special(v) || ours ? NULL : why_not(v);

	if (no)
		cpt_refuse(d, t, "mapping %llx-%llx %.100s %s", (unsigned long long)v->start,
			   (unsigned long long)v->end, v->path, no);
	cpt__vma__init(m);
	m->has_start = m->has_end = m->has_prot = m->has_flags = m->has_kind = true;
	m->start = v->start;
	m->end = v->end;
	m->prot = v->prot;
	m->flags = map_flags(v);
	m->advice = advice(v);
	m->has_advice = m->advice != 0;
	m->lock = v->flags & CPT_VM_LOCKED ? (v->flags & CPT_VM_LOCKONFAULT ? 2 : 1) : 0;
	m->has_lock = m->lock != 0;
	m->kind = CPT__VMA_KIND__VMA_ANON;
	if (is_special(v)) {
		m->kind = CPT__VMA_KIND__VMA_SPECIAL;
		m->name = cpt_arena_strdup(&d->arena, v->path);
		if (strcmp(v->path, "[vdso]") == 0)
			t->vdso_end = v->end;
		return 0;
	}
	m->name = (char *)(uintptr_t)anon_name(d, v->path);
	if (!v->ino || no)
		return 0;
	m->kind = is_shared_anon(v) ? CPT__VMA_KIND__VMA_SHARED_ANON : CPT__VMA_KIND__VMA_FILE;
	m->has_object = m->has_offset = true;
	m->offset = v->offset;
	return object_behind(d, t, v, &m->object, err);
}

/* ---- the address space ----------------------------------------------- */

/* 1: with @quick, that is from maps: the flags of some mapping are not known from elsewhere */
static int parse_mappings(struct cpt_dump *d, struct cpt_task *t, Cpt__Mm *mm, bool quick, struct cpt_err *err)
{
	CPT_AUTO(mem) Cpt__Vma **vmas = NULL;
	struct cpt_vma v;
	char *text = d->maps.data;
	size_t cap = 0;
	int got;

	mm->n_vmas = 0;
	while ((got = cpt_parse_smaps(&text, &v, err)) > 0) {
		if (strcmp(v.path, "[vsyscall]") == 0)
			continue;
		if (quick && !(t->flags_known && cpt_view_flags(d, t, &v)) && !cpt_precopy_flags(d, t->pid, &v))
			return 1;
		if (!quick)
			cpt_view_learn(d, t, &v);
		CPT_GROW(vmas, mm->n_vmas, cap);
		if (one_mapping(d, t, &v, &vmas[mm->n_vmas], err))
			return -1;
		mm->n_vmas++;
	}
	mm->vmas = cpt_arena_memdup(&d->arena, vmas, mm->n_vmas * sizeof(*vmas));
	return got;
}

static int mappings(struct cpt_dump *d, struct cpt_task *t, Cpt__Mm *mm, struct cpt_err *err)
{
	bool known = t->flags_known || cpt_precopy_knows_flags(d, t->pid);
	uint64_t begin = cpt_now_ns();
	int rc;

	if (cpt_dump_smaps(d, t, err))
		return -1;
	if (!known)
		d->smaps_ns += cpt_now_ns() - begin;
	rc = parse_mappings(d, t, mm, known, err);
	if (rc <= 0)
		return rc;
	begin = cpt_now_ns();
	if (cpt_read_at(t->proc, "smaps", &d->maps, err))
		return -1;
	d->smaps_ns += cpt_now_ns() - begin;
	return parse_mappings(d, t, mm, false, err);
}

static void landmarks(const struct cpt_stat *s, Cpt__Mm *mm)
{
	mm->has_start_code = mm->has_end_code = mm->has_start_data = mm->has_end_data = true;
	mm->has_start_brk = mm->has_start_stack = true;
	mm->has_arg_start = mm->has_arg_end = mm->has_env_start = mm->has_env_end = true;
	mm->start_code = s->start_code;
	mm->end_code = s->end_code;
	mm->start_data = s->start_data;
	mm->end_data = s->end_data;
	mm->start_brk = s->start_brk;
	mm->start_stack = s->start_stack;
	mm->arg_start = s->arg_start;
	mm->arg_end = s->arg_end;
	mm->env_start = s->env_start;
	mm->env_end = s->env_end;
}

int cpt_dump_mm(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	Cpt__Mm *mm = t->mm_img = cpt_arena_new(&d->arena, Cpt__Mm);

	cpt__mm__init(mm);
	mm->has_id = t->img->has_mm = true;
	mm->id = t->img->mm = (uint32_t)t->pid;
	landmarks(&t->stat, mm);
	if (mappings(d, t, mm, err))
		return -1;
	if (cpt_read_at(t->proc, "auxv", &d->buf, err))
		return -1;
	mm->has_auxv = true;
	mm->auxv.len = d->buf.len;
	mm->auxv.data = cpt_arena_memdup(&d->arena, d->buf.data, d->buf.len);
	mm->has_exe = true;
	return cpt_dump_path(d, t, "exe", &mm->exe, err);
}

/*
 * mlockall(MCL_FUTURE) shows on mappings made after it: the scratch mapping is
 * one. Looked for only in processes that have locked anything.
 */
static int lock_future(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	struct cpt_vma v;
	char *text;
	int got;

	if (!t->status.vm_locked_kib)
		return 0;
	if (cpt_read_at(t->proc, "smaps", &d->maps, err))
		return -1;
	text = d->maps.data;
	while ((got = cpt_parse_smaps(&text, &v, err)) > 0)
		if (v.start <= t->mm.scratch && t->mm.scratch < v.end && v.flags & CPT_VM_LOCKED) {
			t->mm_img->has_lock_future = true;
			t->mm_img->lock_future = MCL_FUTURE | (v.flags & CPT_VM_LOCKONFAULT ? 4 : 0);	/* MCL_ONFAULT */
		}
	return got;
}

static int ask(struct cpt_dump *d, struct cpt_task *t, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	size_t *call = cpt_arena_new(&d->arena, size_t);

	*call = CPT_CALL(b, brk, CPT_NUM(0));
	*state = call;
	return 0;
}

static int tell(struct cpt_dump *d, struct cpt_task *t, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	t->mm_img->has_brk = true;
	t->mm_img->brk = (uint64_t)cpt_batch_ret(b, *(size_t *)state);
	return 0;
}

const struct cpt_dump_kind cpt_dump_mm_kind = {
	.name = "mm",
	.look = lock_future,
	.ask = ask,
	.tell = tell,
};
