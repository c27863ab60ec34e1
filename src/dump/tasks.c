/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tasks.c - who is in the group, who they are to each other */
#include "dump/alike.h"
#include "dump/view.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define FDS_BESIDE 64			/* image, group, guard, what is looked at */

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct cpt_task *)a)->pid, y = ((const struct cpt_task *)b)->pid;

	return (x > y) - (x < y);
}

struct cpt_task *cpt_dump_find(struct cpt_dump *d, pid_t pid)
{
	struct cpt_task key = { .pid = pid };

	return bsearch(&key, d->tasks, d->ntasks, sizeof(key), by_pid);
}

void cpt_dump_forget(struct cpt_dump *d)
{
	for (unsigned i = 0; i < d->ntasks; i++) {
		struct cpt_task *t = &d->tasks[i];

		if (t->proc >= 0)
			close(t->proc);
		if (t->pidfd >= 0)
			close(t->pidfd);
		if (t->mm.mem >= 0)
			close(t->mm.mem);
		free(t->threads);
	}
	free(d->tasks);
	d->tasks = NULL;
	d->ntasks = 0;
	cpt_grouptree_free(&d->tree);
	memset(&d->tree, 0, sizeof(d->tree));
}

static int open_proc(struct cpt_task *t, struct cpt_err *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", t->pid);
	t->proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return t->proc < 0 ? cpt_fail_sys(err, "open %s", path) : 0;
}

static int read_stat(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	if (cpt_read_at(t->proc, "stat", &d->buf, err) || cpt_parse_stat(d->buf.data, &t->stat, err))
		return cpt_within(err, "task %d", t->pid);
	cpt_printable(t->comm, t->stat.comm);
	return 0;
}

static int list_threads(struct cpt_task *t, struct cpt_err *err)
{
	CPT_AUTO(mem) pid_t *tids = NULL;
	char dir[32];
	unsigned n = 1, k = 1;

	if (t->status.threads > 1) {
		snprintf(dir, sizeof(dir), "/proc/%d", t->pid);
		n = cpt_list_numbers(dir, "task", &tids, err);
		if (!n)
			return -1;
	}
	t->threads = cpt_calloc(n, sizeof(*t->threads));
	t->threads[0].tid = t->pid;
	for (unsigned i = 0; tids && i < n; i++)
		if (tids[i] != t->pid && k < n)
			t->threads[k++].tid = tids[i];
	t->nthreads = k;
	return 0;
}

static int look_at(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	if (open_proc(t, err) || read_stat(d, t, err))
		return -1;
	if (cpt_read_at(t->proc, "status", &d->buf, err) || cpt_parse_status(d->buf.data, &t->status, err))
		return cpt_within(err, "task %d (%s)", t->pid, t->comm);
	if (t->stat.state == 'Z')
		return cpt_fail(err, CPT_UNSUPPORTED,
				"task %d (%s): its main thread has ended while others run; such a process can't be dumped",
				t->pid, t->comm);
	t->pidfd = cpt_pidfd_open(t->pid, 0);
	if (t->pidfd < 0)
		return cpt_fail_sys(err, "pidfd of task %d (%s)", t->pid, t->comm);
	return list_threads(t, err);
}

static struct cpt_task *new_task(struct cpt_task *t, pid_t pid, unsigned subgroup)
{
	*t = (struct cpt_task){ .pid = pid, .proc = -1, .pidfd = -1, .subgroup = subgroup, .mm.mem = -1 };
	return t;
}

static int room_for_files(unsigned processes, struct cpt_err *err)
{
	unsigned long need = CPT_FDS_EACH * (unsigned long)processes + FDS_BESIDE;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || need <= limit.rlim_cur)
		return 0;
	return cpt_fail(err, CPT_UNSUPPORTED, "%u processes take %lu open files at a time, the limit is %lu; raise it (ulimit -Hn)",
			processes, need, (unsigned long)limit.rlim_cur);
}

int cpt_dump_list(struct cpt_dump *d, struct cpt_err *err)
{
	unsigned n = 0;

	if (cpt_group_list(&d->group, &d->tree, err))
		return -1;
	for (unsigned g = 0; g < d->tree.ngroups; g++)
		n += d->tree.groups[g].nprocs;
	if (!n)
		return cpt_fail(err, CPT_USAGE, "%s holds no processes", d->group.path);
	if (room_for_files(n, err))
		return -1;
	d->tasks = cpt_calloc(n, sizeof(*d->tasks));
	for (unsigned g = 0; g < d->tree.ngroups; g++)
		for (unsigned i = 0; i < d->tree.groups[g].nprocs; i++)
			if (look_at(d, new_task(&d->tasks[d->ntasks++], d->tree.groups[g].procs[i], g), err))
				return -1;
	qsort(d->tasks, d->ntasks, sizeof(*d->tasks), by_pid);
	return 0;
}

/* ---- relatives ------------------------------------------------------- */

/* A child that the group's files do not list has ended and waits to be waited for, or lives elsewhere. */
static int meet_child(struct cpt_dump *d, struct cpt_task *parent, pid_t pid, struct cpt_err *err)
{
	struct cpt_task t;

	if (cpt_dump_find(d, pid))
		return 0;
	new_task(&t, pid, parent->subgroup);
	if (open_proc(&t, err) || read_stat(d, &t, err)) {
		if (t.proc >= 0)
			close(t.proc);
		return -1;
	}
	if (t.stat.state != 'Z') {
		close(t.proc);
		cpt_refuse(d, parent, "its child %d (%s) is not in the group; move it there, or let it end first",
			   pid, t.comm);
		return 0;
	}
	t.zombie = true;
	d->zombies = cpt_realloc(d->zombies, d->nzombies + 1, sizeof(t));
	d->zombies[d->nzombies++] = t;
	return 0;
}

static int children_of(struct cpt_dump *d, struct cpt_task *t, pid_t tid, struct cpt_err *err)
{
	char path[48];
	size_t n;

	snprintf(path, sizeof(path), "task/%d/children", tid);
	if (cpt_read_at(t->proc, path, &d->buf, err))
		return cpt_within(err, "task %d (%s)", t->pid, t->comm);
	n = cpt_parse_pids(d->buf.data, NULL, 0);
	if (!n)
		return 0;
	CPT_AUTO(mem) pid_t *pids = cpt_calloc(n, sizeof(*pids));
	cpt_parse_pids(d->buf.data, pids, n);
	for (size_t i = 0; i < n; i++)
		if (meet_child(d, t, pids[i], err))
			return -1;
	return 0;
}

/* A process that shares its address space or signal actions with its parent without being a thread of it. */
static void refuse_sharing(struct cpt_dump *d, struct cpt_task *t)
{
	if (t->zombie || !t->parent || t->parent->zombie)
		return;
	if (cpt_view_same(d, t->pid, t->parent->pid, KCMP_VM))
		cpt_refuse(d, t, "shares its address space with task %d (clone CLONE_VM): can't be dumped", t->parent->pid);
	else if (cpt_view_same(d, t->pid, t->parent->pid, KCMP_SIGHAND))
		cpt_refuse(d, t, "shares its signal actions with task %d (clone CLONE_SIGHAND): can't be dumped", t->parent->pid);
}

int cpt_dump_relatives(struct cpt_dump *d, struct cpt_err *err)
{
	for (unsigned i = 0; i < d->ntasks; i++)
		for (unsigned k = 0; k < d->tasks[i].nthreads; k++)
			if (!cpt_alike_childless(d, &d->tasks[i].threads[k]) &&
			    children_of(d, &d->tasks[i], d->tasks[i].threads[k].tid, err))
				return -1;
	if (d->nzombies) {
		d->tasks = cpt_realloc(d->tasks, d->ntasks + d->nzombies, sizeof(*d->tasks));
		memcpy(d->tasks + d->ntasks, d->zombies, d->nzombies * sizeof(*d->tasks));
		d->ntasks += d->nzombies;
		d->nzombies = 0;
		qsort(d->tasks, d->ntasks, sizeof(*d->tasks), by_pid);
		for (unsigned i = 0; i < d->ntasks; i++)	/* they have moved */
			for (unsigned k = 0; k < d->tasks[i].nthreads; k++)
				d->tasks[i].threads[k].remote.mm = &d->tasks[i].mm;
	}
	for (unsigned i = 0; i < d->ntasks; i++) {
		d->tasks[i].parent = cpt_dump_find(d, d->tasks[i].stat.ppid);
		refuse_sharing(d, &d->tasks[i]);
	}
	return 0;
}

/* ---- the message ----------------------------------------------------- */

static void describe_sessions(struct cpt_dump *d, struct cpt_task *t)
{
	const struct cpt_stat *s = &t->stat;

	if (s->sid && !cpt_dump_find(d, s->sid) && !(d->opt->permit & CPT_PERMIT_SHELL_JOB) &&
	    getsid(s->sid) == s->sid && !t->zombie)
		cpt_refuse(d, t, "its session %d is led from outside the group; start it with setsid(1), or use --shell-job to leave the session behind",
			   s->sid);
	t->img->pgid = (uint32_t)s->pgid;
	t->img->sid = (uint32_t)s->sid;
	t->img->has_pgid = t->img->has_sid = true;
}

int cpt_dump_describe(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	Cpt__Task *img = cpt_arena_new(&d->arena, Cpt__Task);

	cpt__task__init(img);
	t->img = img;
	img->has_pid = img->has_ppid = img->has_state = img->has_cgroup = img->has_exit_signal = true;
	img->pid = (uint32_t)t->pid;
	img->ppid = t->parent ? (uint32_t)t->parent->pid : 0;
	img->cgroup = t->subgroup;
	img->exit_signal = t->stat.exit_signal;
	describe_sessions(d, t);
	if (t->zombie) {
		img->state = CPT__TASK_STATE__ZOMBIE;
		img->has_exit_status = true;
		img->exit_status = t->stat.exit_code;
		img->comm = cpt_arena_strdup(&d->arena, t->stat.comm);
		return 0;
	}
	img->state = CPT__TASK_STATE__ALIVE;
	if (t->threads[0].remote.group_stopped) {
		img->state = CPT__TASK_STATE__STOPPED;
		img->has_stop_signal = true;
		img->stop_signal = (uint32_t)t->threads[0].remote.group_stop_signal;
	}
	img->n_threads = t->nthreads;
	img->threads = cpt_arena_array(&d->arena, Cpt__Thread *, t->nthreads);
	for (unsigned k = 0; k < t->nthreads; k++) {
		img->threads[k] = t->threads[k].img = cpt_arena_new(&d->arena, Cpt__Thread);
		cpt__thread__init(img->threads[k]);
		img->threads[k]->has_tid = true;
		img->threads[k]->tid = (uint32_t)t->threads[k].tid;
	}
	return 0;
}
