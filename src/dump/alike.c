/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alike.c - threads that would answer as another one of their process does
 *
 * What a thread answers comes out of its task_struct. Two sorts of it are
 * read here: addresses and names, which are each thread's own and are taken as
 * they are; and what need not be understood to see whether it is equal for
 * two threads: credentials and namespaces by the address of the object that
 * threads share until one changes its own, settings by the words of flags.
 */
#include "dump/alike.h"

#include "dump/table.h"

#include <stdlib.h>

#define TASK 8				/* where it stands in the program's context */
#define NUMBER(name, size) { TASK, "task_struct", name, size, .pointer = false }
#define ADDRESS(name) { TASK, "task_struct", name, 8, .pointer = true }
#define IF_ANY(name, size, is_pointer) { TASK, "task_struct", name, size, .pointer = is_pointer, .optional = true }

/* in the order of struct cpt_facts */
static const struct cpt_bpf_field fields[] = {
	NUMBER("pid", 4), NUMBER("tgid", 4),
	{ TASK, NULL, NULL, 8, .pointer = true }, ADDRESS("real_parent"),
	ADDRESS("clear_child_tid"), ADDRESS("robust_list"),
	NUMBER("sas_ss_sp", 8), NUMBER("sas_ss_size", 8), NUMBER("sas_ss_flags", 4),
	ADDRESS("comm"), { TASK, "task_struct", "comm", 8, .pointer = true, .plus = 8 },
	NUMBER("flags", 4),			/* PF_MCE_… */
	NUMBER("atomic_flags", 8),		/* no_new_privs, speculation */
	NUMBER("thread_info.flags", 8),		/* TIF_NOTSC, TIF_NOCPUID, TIF_SPEC_… */
	IF_ANY("thread_info.syscall_work", 8, false),
	IF_ANY("thread.features", 8, false),	/* shadow stacks */
	IF_ANY("seccomp.mode", 4, false), IF_ANY("seccomp.filter", 8, true),
	ADDRESS("cred"), ADDRESS("real_cred"), ADDRESS("nsproxy"), ADDRESS("mm"),
	NUMBER("pdeath_signal", 4), NUMBER("timer_slack_ns", 8), NUMBER("policy", 4), ADDRESS("io_context"),
};
_Static_assert(sizeof(struct cpt_facts) == 8 * CPT_COUNT(fields), "a record is a struct cpt_facts");

struct cpt_alike {
	struct cpt_dump *d;
	struct cpt_facts *v;		/* of the group's threads, ascending by tid */
	size_t n, cap;
	struct cpt_table parents;	/* addresses of all tasks that have a child */
};

static bool keep(void *arg, const uint64_t *record)
{
	struct cpt_alike *a = arg;
	const struct cpt_facts *f = (const void *)record;

	cpt_table_put(&a->parents, cpt_table_address(f->parent), a);
	if (cpt_dump_find(a->d, (pid_t)f->tgid)) {
		CPT_GROW(a->v, a->n, a->cap);
		a->v[a->n++] = *f;
	}
	return true;
}

static int by_tid(const void *a, const void *b)
{
	uint64_t x = ((const struct cpt_facts *)a)->tid, y = ((const struct cpt_facts *)b)->tid;

	return (x > y) - (x < y);
}

static const struct cpt_facts *find(const struct cpt_alike *a, pid_t tid)
{
	struct cpt_facts key = { .tid = (uint64_t)tid };

	return a->n ? bsearch(&key, a->v, a->n, sizeof(key), by_tid) : NULL;
}

static uint64_t hash(const struct cpt_facts *f)
{
	uint64_t h = 0;

	for (unsigned i = 0; i < CPT_ALIKE_STATE; i++)
		h = cpt_table_mix(h, f->state[i]);
	return h;
}

/* The first of each sort is the model of those after it. */
static void find_models(const struct cpt_alike *a, struct cpt_task *t)
{
	struct cpt_table sorts = { NULL, 0, 0 };
	unsigned n = 0;

	for (unsigned i = 0; i < t->nthreads; i++) {
		struct cpt_thread *th = &t->threads[i], *like;

		th->facts = find(a, th->tid);
		if (!th->facts || th->facts->tgid != (uint64_t)t->pid || t->nthreads == 1)
			continue;
		like = cpt_table_get(&sorts, hash(th->facts));
		if (!like)
			cpt_table_put(&sorts, hash(th->facts), th);
		else if (!memcmp(like->facts->state, th->facts->state, sizeof(th->facts->state)))
			th->model = like;
		n += !th->model;
	}
	if (t->nthreads > 1)
		cpt_debug("task %d (%s): %u of %u threads are asked", t->pid, t->comm, n, t->nthreads);
	free(sorts.slots);
}

void cpt_alike_begin(struct cpt_dump *d, const struct cpt_btf *btf)
{
	static const unsigned needed[] = { TASK, 0 };
	CPT_AUTO(fd) int program = cpt_bpf_iterator(btf, "task", needed, fields, CPT_COUNT(fields));
	struct cpt_alike *a;

	if (program < 0)
		return;
	a = d->alike = cpt_calloc(1, sizeof(*a));
	a->d = d;
	if (cpt_bpf_read(program, 0, CPT_COUNT(fields), keep, a)) {
		cpt_alike_free(d);
		return;
	}
	if (a->n)
		qsort(a->v, a->n, sizeof(*a->v), by_tid);
	for (unsigned i = 0; i < d->ntasks; i++)
		find_models(a, &d->tasks[i]);
}

void cpt_alike_free(struct cpt_dump *d)
{
	if (!d->alike)
		return;
	free(d->alike->v);
	free(d->alike->parents.slots);
	free(d->alike);
	d->alike = NULL;
}

bool cpt_alike_childless(const struct cpt_dump *d, const struct cpt_thread *th)
{
	return d->alike && th->facts && !cpt_table_get(&d->alike->parents, cpt_table_address(th->facts->task));
}
