/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view.c - tables of tasks, descriptors and mappings of the stopped group
 *
 * What the bits of a mapping's flags mean differs between kernels, but the
 * VmFlags line of smaps is made of them alone: equal numbers, equal lines. So
 * smaps is read for the first process in which a number turns up, and maps,
 * which walks no pages, for all whose numbers are known by then.
 */
#include "dump/view.h"

#include "dump/alike.h"
#include "dump/table.h"

#include <linux/kcmp.h>
#include <stdlib.h>
#include <unistd.h>

#define MANY_PROCESSES 48
#define MANY_THREADS 200
#define MANY_FDS 2000
#define MUCH_KIB (64 * 1024)		/* resident in several processes */
#define MOST (1 << 22)			/* records of a kind; more are not worth it */
#define KNOWN (1u << 31)		/* set in what is learned of flags, which may be 0 */
#define INIT_PID_NS "[4026531836]"	/* include/linux/proc_ns.h: PROC_PID_INIT_INO */

struct thread {
	pid_t tid, tgid;
	uint64_t mm, files, fs, sighand, namespaces;
};

struct mapping {
	pid_t pid;
	uint64_t start, end, flags;
};

struct cpt_view {
	struct cpt_btf *btf;
	struct cpt_dump *d;
	struct thread *threads;		/* of the group, ascending by tid */
	size_t nthreads, cap_threads;
	struct thread *others;		/* those outside it */
	size_t nothers, cap_others;
	struct cpt_view_file *files;	/* ascending by pid and fd */
	size_t nfiles, cap_files;
	struct mapping *maps;		/* ascending by pid and start */
	size_t nmaps, cap_maps;
	uint64_t own_mm;
	long pgd_offset;
	struct cpt_table meaning;	/* of flags: enum cpt_vmflag and KNOWN, as a pointer */
};

/* ---- reading --------------------------------------------------------- */

static bool keep_thread(void *arg, const uint64_t *r)
{
	struct cpt_view *v = arg;
	struct thread t = { (pid_t)r[0], (pid_t)r[1], r[2], r[3], r[4], r[5], r[6] };

	if (cpt_dump_find(v->d, t.tgid)) {
		CPT_GROW(v->threads, v->nthreads, v->cap_threads);
		v->threads[v->nthreads++] = t;
	} else {
		if (t.tid == getpid())
			v->own_mm = t.mm;
		CPT_GROW(v->others, v->nothers, v->cap_others);
		v->others[v->nothers++] = t;
	}
	return v->nothers < MOST;
}

/* A thread with a table of its own is not asked for: such a process is refused. */
static bool keep_file(void *arg, const uint64_t *r)
{
	struct cpt_view *v = arg;

	if (r[0] != r[1] || !r[3] || !cpt_dump_find(v->d, (pid_t)r[1]))
		return true;
	CPT_GROW(v->files, v->nfiles, v->cap_files);
	v->files[v->nfiles++] = (struct cpt_view_file){ (pid_t)r[1], (uint32_t)r[2], r[3] };
	return v->nfiles < MOST;
}

static bool keep_mapping(void *arg, const uint64_t *r)
{
	struct cpt_view *v = arg;

	if (r[0] != r[1] || !cpt_dump_find(v->d, (pid_t)r[1]))
		return true;
	CPT_GROW(v->maps, v->nmaps, v->cap_maps);
	v->maps[v->nmaps++] = (struct mapping){ (pid_t)r[1], r[2], r[3], r[4] };
	return v->nmaps < MOST;
}

static int by_tid(const void *a, const void *b)
{
	pid_t x = ((const struct thread *)a)->tid, y = ((const struct thread *)b)->tid;

	return (x > y) - (x < y);
}

static int by_fd(const void *a, const void *b)
{
	const struct cpt_view_file *x = a, *y = b;

	if (x->pid != y->pid)
		return (x->pid > y->pid) - (x->pid < y->pid);
	return (x->fd > y->fd) - (x->fd < y->fd);
}

static int by_start(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;

	if (x->pid != y->pid)
		return (x->pid > y->pid) - (x->pid < y->pid);
	return (x->start > y->start) - (x->start < y->start);
}

#define TASK 8				/* where it stands in a program's context */
#define THIRD 16
#define FOURTH 24

static int read_threads(struct cpt_view *v)
{
	static const unsigned needed[] = { TASK, 0 };
	static const struct cpt_bpf_field f[] = {
		{ TASK, "task_struct", "pid", 4, false }, { TASK, "task_struct", "tgid", 4, false },
		{ TASK, "task_struct", "mm", 8, true }, { TASK, "task_struct", "files", 8, true },
		{ TASK, "task_struct", "fs", 8, true }, { TASK, "task_struct", "sighand", 8, true },
		{ TASK, "task_struct", "nsproxy", 8, true },
	};
	CPT_AUTO(fd) int program = cpt_bpf_iterator(v->btf, "task", needed, f, CPT_COUNT(f));

	if (program < 0 || cpt_bpf_read(program, 0, CPT_COUNT(f), keep_thread, v))
		return -1;
	if (v->nthreads)
		qsort(v->threads, v->nthreads, sizeof(*v->threads), by_tid);
	return 0;
}

/* Few processes are asked one by one, many by a walk over the whole machine. */
static int run(struct cpt_view *v, int program, unsigned nfields, bool (*keep)(void *, const uint64_t *))
{
	const struct cpt_dump *d = v->d;

	if (d->ntasks >= MANY_PROCESSES)
		return cpt_bpf_read(program, 0, nfields, keep, v);
	for (unsigned i = 0; i < d->ntasks; i++)
		if (!d->tasks[i].zombie && cpt_bpf_read(program, d->tasks[i].pid, nfields, keep, v))
			return -1;
	return 0;
}

static void read_files(struct cpt_view *v)
{
	static const unsigned needed[] = { TASK, FOURTH, 0 };
	static const struct cpt_bpf_field f[] = {
		{ TASK, "task_struct", "pid", 4, false }, { TASK, "task_struct", "tgid", 4, false },
		{ THIRD, NULL, NULL, 4, false }, { FOURTH, NULL, NULL, 8, false },	/* number, struct file */
	};
	CPT_AUTO(fd) int program = cpt_bpf_iterator(v->btf, "task_file", needed, f, CPT_COUNT(f));

	if (program < 0 || run(v, program, CPT_COUNT(f), keep_file))
		v->nfiles = 0;
	if (v->nfiles)
		qsort(v->files, v->nfiles, sizeof(*v->files), by_fd);
}

static void read_maps(struct cpt_view *v)
{
	static const unsigned needed[] = { TASK, THIRD, 0 };
	static const struct cpt_bpf_field f[] = {
		{ TASK, "task_struct", "pid", 4, false }, { TASK, "task_struct", "tgid", 4, false },
		{ THIRD, "vm_area_struct", "vm_start", 8, false }, { THIRD, "vm_area_struct", "vm_end", 8, false },
		{ THIRD, "vm_area_struct", "vm_flags", 8, false },
	};
	CPT_AUTO(fd) int program = cpt_bpf_iterator(v->btf, "task_vma", needed, f, CPT_COUNT(f));

	if (program < 0 || run(v, program, CPT_COUNT(f), keep_mapping))
		v->nmaps = 0;
	if (v->nmaps)
		qsort(v->maps, v->nmaps, sizeof(*v->maps), by_start);
}

/* ---- beginning ------------------------------------------------------- */

bool cpt_view_forced(void)
{
	const char *asked = getenv("CPT_BPF");

	return asked && strcmp(asked, "0") != 0;
}

static bool worth_it(const struct cpt_dump *d)
{
	uint64_t kib = 0;
	uint64_t threads = 0, fds = 0;

	if (getenv("CPT_BPF"))
		return cpt_view_forced();
	for (unsigned i = 0; i < d->ntasks; i++) {
		threads += d->tasks[i].nthreads;
		fds += d->tasks[i].status.fd_room;
		kib += d->tasks[i].status.vm_rss_kib;
	}
	return d->ntasks >= MANY_PROCESSES || threads >= MANY_THREADS || fds >= MANY_FDS ||
	       (d->ntasks > 1 && kib > MUCH_KIB);
}

/* The kernel numbers tasks as the first pid namespace does. */
static bool in_first_namespace(const struct cpt_dump *d)
{
	return strstr(d->self->ns[CPT_NS_PID], INIT_PID_NS) != NULL;
}

static const struct thread *find_thread(const struct cpt_dump *d, pid_t tid)
{
	struct thread key = { .tid = tid };

	return d->view && d->view->nthreads ? bsearch(&key, d->view->threads, d->view->nthreads, sizeof(key), by_tid) : NULL;
}

/* Every thread must be there, with all it has; else the kernel is not what it was taken for. */
static bool complete(const struct cpt_dump *d)
{
	for (unsigned i = 0; i < d->ntasks; i++)
		for (unsigned k = 0; k < d->tasks[i].nthreads; k++) {
			const struct thread *t = find_thread(d, d->tasks[i].threads[k].tid);

			if (!t || t->tgid != d->tasks[i].pid || !t->mm || !t->files || !t->fs || !t->sighand || !t->namespaces)
				return false;
		}
	return true;
}

/* A table of descriptors shared with a process outside may change any time: it is not taken from the view. */
static void drop_shared_outside(struct cpt_view *v)
{
	struct cpt_table outside = { NULL, 0, 0 };
	size_t n = 0;

	for (size_t i = 0; i < v->nothers; i++)
		if (v->others[i].files)
			cpt_table_put(&outside, cpt_table_address(v->others[i].files), v);
	for (size_t i = 0; i < v->nfiles; i++)
		if (!cpt_table_get(&outside, cpt_table_address(cpt_view_object(v->d, v->files[i].pid, KCMP_FILES))))
			v->files[n++] = v->files[i];
	v->nfiles = n;
	free(outside.slots);
}

static struct mapping *maps_of(const struct cpt_view *v, pid_t pid, size_t *n)
{
	size_t from = 0, to = v->nmaps, end;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (v->maps[mid].pid < pid)
			from = mid + 1;
		else
			to = mid;
	}
	for (end = from; end < v->nmaps && v->maps[end].pid == pid; end++)
		;
	*n = end - from;
	return v->maps + from;
}

/* Who teaches which flags: the first that has them, in the order in which processes are looked at. */
static void choose_teachers(struct cpt_view *v)
{
	struct cpt_table seen = { NULL, 0, 0 };

	for (unsigned i = 0; i < v->d->ntasks; i++) {
		struct cpt_task *t = &v->d->tasks[i];
		size_t n;
		struct mapping *m = maps_of(v, t->pid, &n);

		t->flags_known = n > 0;
		for (size_t k = 0; k < n; k++)
			if (!cpt_table_get(&seen, m[k].flags)) {
				cpt_table_put(&seen, m[k].flags, v);
				t->flags_known = false;
			}
	}
	free(seen.slots);
}

/* The types of the kernel are a hundred thousand: not to be read in the pause. */
void cpt_view_prepare(struct cpt_dump *d)
{
	const char *asked = getenv("CPT_BPF");

	if (asked ? strcmp(asked, "0") : d->group_processes >= MANY_PROCESSES ||
					 (d->group_processes > 1 && d->group_kib > MUCH_KIB))
		d->btf = cpt_btf_open();
}

void cpt_view_begin(struct cpt_dump *d)
{
	struct cpt_err ignored;
	struct cpt_view *v;
	struct cpt_btf *btf;

	if (!worth_it(d) || cpt_dump_self(d, &ignored) || !in_first_namespace(d))
		return;
	btf = d->btf ? CPT_TAKE(d->btf, NULL) : cpt_btf_open();
	if (!btf)
		return;
	v = d->view = cpt_calloc(1, sizeof(*v));
	v->btf = btf;
	v->d = d;
	v->pgd_offset = cpt_btf_offset(btf, "mm_struct", "pgd");
	if (read_threads(v) || !complete(d)) {
		cpt_view_free(d);
		return;
	}
	read_files(v);
	drop_shared_outside(v);
	if (d->ntasks > 1 && (!d->nprecopies || d->ntasks >= MANY_PROCESSES)) {
		read_maps(v);
		choose_teachers(v);
	}
	cpt_alike_begin(d, btf);
	cpt_debug("view: %zu threads, %zu descriptors, %zu mappings", v->nthreads, v->nfiles, v->nmaps);
	cpt_btf_free(btf);
	v->btf = NULL;
}

void cpt_view_free(struct cpt_dump *d)
{
	struct cpt_view *v = d->view;

	cpt_btf_free(CPT_TAKE(d->btf, NULL));
	if (!v)
		return;
	cpt_btf_free(v->btf);
	free(v->threads);
	free(v->others);
	free(v->files);
	free(v->maps);
	free(v->meaning.slots);
	free(v);
	d->view = NULL;
}

/* ---- asking ---------------------------------------------------------- */

uint64_t cpt_view_object(const struct cpt_dump *d, pid_t tid, int type)
{
	const struct thread *t = find_thread(d, tid);

	if (!t)
		return 0;
	switch (type) {
	case KCMP_VM:
		return t->mm;
	case KCMP_FILES:
		return t->files;
	case KCMP_FS:
		return t->fs;
	case KCMP_SIGHAND:
		return t->sighand;
	default:
		return 0;
	}
}

uint64_t cpt_view_own(const struct cpt_dump *d)
{
	return d->view ? d->view->own_mm : 0;
}

long cpt_view_pgd_offset(const struct cpt_dump *d)
{
	return d->view ? d->view->pgd_offset : -1;
}

uint64_t cpt_view_namespaces(const struct cpt_dump *d, pid_t tid)
{
	const struct thread *t = find_thread(d, tid);

	return t ? t->namespaces : 0;
}

bool cpt_view_same(const struct cpt_dump *d, pid_t a, pid_t b, int type)
{
	uint64_t x = cpt_view_object(d, a, type), y = cpt_view_object(d, b, type);

	return x && y ? x == y : cpt_kcmp(a, b, type, 0, 0) == 0;
}

const struct cpt_view_file *cpt_view_files(const struct cpt_dump *d, const struct cpt_task *t, size_t n)
{
	const struct cpt_view *v = d->view;
	size_t from = 0, to = v ? v->nfiles : 0, end;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (v->files[mid].pid < t->pid)
			from = mid + 1;
		else
			to = mid;
	}
	for (end = from; v && end < v->nfiles && v->files[end].pid == t->pid; end++)
		;
	return n && end - from == n ? v->files + from : NULL;
}

static const struct mapping *find_mapping(const struct cpt_dump *d, const struct cpt_task *t, const struct cpt_vma *v)
{
	struct mapping key = { .pid = t->pid, .start = v->start }, *m;

	if (!d->view || !d->view->nmaps)
		return NULL;
	m = bsearch(&key, d->view->maps, d->view->nmaps, sizeof(key), by_start);
	return m && m->end == v->end ? m : NULL;
}

bool cpt_view_flags(const struct cpt_dump *d, const struct cpt_task *t, struct cpt_vma *v)
{
	const struct mapping *m = find_mapping(d, t, v);
	uintptr_t flags = m ? (uintptr_t)cpt_table_get(&d->view->meaning, m->flags) : 0;

	if (!(flags & KNOWN) || (flags & CPT_VM_SHARED) != (v->flags & CPT_VM_SHARED))
		return false;
	v->flags = (unsigned)flags & ~KNOWN;
	return true;
}

void cpt_view_learn(struct cpt_dump *d, const struct cpt_task *t, const struct cpt_vma *v)
{
	const struct mapping *m = find_mapping(d, t, v);
	uintptr_t flags = v->flags | KNOWN, known = m ? (uintptr_t)cpt_table_get(&d->view->meaning, m->flags) : 0;

	if (!m || known == flags)
		return;
	/* two meanings of one number: none is trusted */
	cpt_table_put(&d->view->meaning, m->flags, (void *)(known ? 1 : flags));
}
