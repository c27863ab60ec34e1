/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restore.c - a restore from beginning to end
 *
 * Everything is checked before anything is touched. All tasks stay traced and
 * stopped until the last of them is complete; then the group is frozen, all
 * are let go into the freezer, and one thaw lets them run. Until then the undo
 * guard, or EXITKILL, ends what there is.
 */
#include "restore/restore.h"

#include "base/procfs.h"
#include "restore/engine.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FREEZE_MS 10000

static const char *image_name(const struct cpt_restore_options *opt)
{
	return opt->image ? opt->image : "checkpoint.cpt";
}

/* ---- can it be done here? -------------------------------------------- */

#define REAP_MS 5000

/* the state of a process as /proc/PID/stat has it, and its parent; 0 when it is gone */
static char state_of(pid_t pid, pid_t *parent)
{
	CPT_AUTO(buf) struct cpt_buf buf = { NULL, 0, 0 };
	struct cpt_err ignored;
	struct cpt_stat stat;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (cpt_read_at(AT_FDCWD, path, &buf, &ignored) || cpt_parse_stat(buf.data, &stat, &ignored))
		return 0;
	*parent = stat.ppid;
	return stat.state;
}

/*
 * A number is free once the kernel knows nothing by it, which F_SETOWN tells. For
 * kill(2) a process is gone a moment before (release_task() of Linux 6.15 and later
 * frees the number after all else), and it does not see sessions and groups.
 */
static bool in_use(int fd, pid_t pid)
{
	return fcntl(fd, F_SETOWN, pid) == 0;
}

static void look_at_pid(struct cpt_restore *r, int fd, uint64_t end, pid_t pid, const char *comm)
{
	pid_t parent = 0;
	char state = 0;

	/* the one who died in the dump may still wait for its parent to notice */
	while (in_use(fd, pid)) {
		state = state_of(pid, &parent);
		if ((state && !strchr("ZXx", state)) || cpt_now_ns() > end)
			break;
		cpt_sleep_us(1000);
	}
	if (!in_use(fd, pid))
		return;
	if (state == 'Z')
		cpt_missing(r, "pid %d, which %s needs, is a zombie here, which its parent %d has not waited for; end that one",
			    pid, comm, parent);
	else
		cpt_missing(r, "pid %d, which %s needs, is taken here%s; end that process or restore in a pid namespace (unshare --pid --fork --mount-proc)",
			    pid, comm, state ? "" : " by a process group or session");
}

static int look_at_host(struct cpt_restore *r, struct cpt_err *err)
{
	const Cpt__Header *h = r->header;
	CPT_AUTO(fd) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t end = cpt_now_ns() + REAP_MS * 1000000ULL;
	struct cpt_vdso own;

	if (fd < 0)
		return cpt_fail_sys(err, "open /dev/null");
	if (cpt_own_vdso(&own, err))
		return -1;
	if (h->vdso.len != own.text_end - own.text ||
	    memcmp(h->vdso.data, (void *)(uintptr_t)own.text, h->vdso.len))
		cpt_missing(r, "the image was taken on another kernel (%s), whose vdso is not this one's", h->kernel ? h->kernel : "?");
	for (unsigned i = 0; i < r->ntasks; i++) {
		const struct cpt_rtask *t = r->order[i];

		look_at_pid(r, fd, end, t->pid, t->comm);
		for (unsigned k = 1; k < t->nthreads; k++)
			look_at_pid(r, fd, end, t->threads[k].tid, t->comm);
		if (!t->parent && t->birth_session && !cpt_restore_find(r, t->birth_session))
			look_at_pid(r, fd, end, t->birth_session, "the session of a task");
	}
	return 0;
}

static int look(struct cpt_restore *r, struct cpt_err *err)
{
	if (look_at_host(r, err))
		return -1;
	for (unsigned k = 0; cpt_restore_kinds[k]; k++)
		if (cpt_restore_kinds[k]->look && cpt_restore_kinds[k]->look(r, err))
			return cpt_within(err, "%s", cpt_restore_kinds[k]->name);
	if (!r->missing)
		return 0;
	if (!r->opt->refused.line)
		return cpt_fail(err, CPT_UNSUPPORTED, "%s can't be restored here: %s", image_name(r->opt), r->first_missing);
	return cpt_fail(err, CPT_UNSUPPORTED, "%s can't be restored here, for the %u reason%s above",
			image_name(r->opt), r->missing, r->missing == 1 ? "" : "s");
}

/* ---- control descriptors --------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* every number that a task uses, ascending */
static uint32_t *used_numbers(const struct cpt_restore *r, size_t *n)
{
	uint32_t *v = NULL;
	size_t cap = 0;

	*n = 0;
	for (unsigned i = 0; i < r->ntasks; i++) {
		const Cpt__Files *f = r->tasks[i].img->files;

		for (size_t k = 0; f && k < f->n_fds; k++) {
			CPT_GROW(v, *n, cap);
			v[(*n)++] = f->fds[k]->fd;
		}
	}
	if (v)
		qsort(v, *n, sizeof(*v), by_number);
	return v;
}

/* Numbers that neither a task nor cptool uses, so that they can be the same everywhere. */
static int control_fds(struct cpt_restore *r, struct cpt_err *err)
{
	int *want[] = { &r->self_fd, &r->image_fd, &r->spare_fd };
	CPT_AUTO(fd) int self = cpt_pidfd_open(getpid(), 0);
	size_t n, i = 0, have = 0;
	CPT_AUTO(mem) uint32_t *used = used_numbers(r, &n);

	if (self < 0)
		return cpt_fail_sys(err, "pidfd of cptool");
	for (uint32_t fd = 3; have < CPT_COUNT(want); fd++) {
		while (i < n && used[i] < fd)
			i++;
		if ((i < n && used[i] == fd) || fcntl((int)fd, F_GETFD) >= 0)
			continue;
		if (dup3(have == 1 ? cpt_img_fd(r->img) : self, (int)fd, O_CLOEXEC) < 0)
			return cpt_fail_sys(err, "control descriptor %u", fd);
		*want[have++] = (int)fd;
	}
	return 0;
}

/* ---- kinds ----------------------------------------------------------- */

static bool alive(const struct cpt_rtask *t)
{
	return t->img->state != CPT__TASK_STATE__ZOMBIE;
}

static int within_kind(const struct cpt_rtask *t, unsigned k, struct cpt_err *err)
{
	return cpt_within(err, "task %d (%s): %s", t->pid, t->comm, cpt_restore_kinds[k]->name);
}

static int within(const struct cpt_rtask *t, struct cpt_err *err)
{
	return cpt_within(err, "task %d (%s)", t->pid, t->comm);
}

static int build(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	struct cpt_batch *b = &r->batch;

	cpt_batch_reset(b);
	if (cpt_restore_mm_after(r, t, b, err))
		return -1;
	for (unsigned k = 0; cpt_restore_kinds[k]; k++)
		if (cpt_restore_kinds[k]->build && cpt_restore_kinds[k]->build(r, t, b, err))
			return within_kind(t, k, err);
	return cpt_batch_run(&t->threads[0].remote, b, err) ? within(t, err) : 0;
}

static int outside(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	for (unsigned k = 0; cpt_restore_kinds[k]; k++)
		if (cpt_restore_kinds[k]->outside && cpt_restore_kinds[k]->outside(r, t, err))
			return within_kind(t, k, err);
	return 0;
}

static int thread_start(struct cpt_restore *r, struct cpt_rtask *t, unsigned i, struct cpt_batch *b, struct cpt_err *err)
{
	struct cpt_rthread *th = &t->threads[i];

	cpt_batch_reset(b);
	if (cpt_restore_thread_addresses(r, th, b))
		return -1;
	if (!i) {
		CPT_CALL(b, close, CPT_NUM(r->self_fd));
		CPT_CALL(b, close, CPT_NUM(r->image_fd));
	}
	for (unsigned k = 0; cpt_restore_kinds[k]; k++)
		if (cpt_restore_kinds[k]->thread && cpt_restore_kinds[k]->thread(r, t, th, b, err))
			return within_kind(t, k, err);
	return cpt_batch_start(&th->remote, b, err) ? within(t, err) : 0;
}

static int thread_finish(struct cpt_rtask *t, unsigned i, struct cpt_batch *b, struct cpt_err *err)
{
	return cpt_batch_finish(&t->threads[i].remote, b, err) ? within(t, err) : 0;
}

/*
 * While one runs its batch, that of the next is made, in the other half of the
 * scratch. The leader is last, and alone: its batch closes the control
 * descriptors that the others may need.
 */
static int threads(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	struct cpt_remote_mm half[2] = { t->mm, t->mm };
	struct cpt_batch *b[2] = { &r->batch, &r->other_batch };
	unsigned last = t->nthreads - 1;

	half[0].size = half[1].size = t->mm.size / 2 & ~(uint64_t)(CPT_PAGE - 1);
	half[1].scratch += half[0].size;
	for (unsigned k = last; k > 0; k--) {
		struct cpt_remote *remote = &t->threads[k].remote;

		remote->mm = &half[k & 1];
		if (thread_start(r, t, k, b[k & 1], err) ||
		    (k < last && thread_finish(t, k + 1, b[(k + 1) & 1], err)))
			return -1;
	}
	if (last && thread_finish(t, 1, b[1], err))
		return -1;
	for (unsigned k = last; k > 0; k--)
		t->threads[k].remote.mm = &t->mm;
	return thread_start(r, t, 0, b[0], err) || thread_finish(t, 0, b[0], err) ? -1 : 0;
}

/* Pids were free when it was looked, but are nobody's until they are taken. */
static int taken_meanwhile(struct cpt_err *err)
{
	struct cpt_err was = *err;

	if (was.sys != EEXIST)
		return -1;
	return cpt_fail(err, CPT_SYSTEM, "a pid that the image needs has just been taken (%.200s); try again, or restore in a pid namespace (unshare --pid --fork --mount-proc)",
			was.text);
}

static int fill_tasks(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned i = 0; i < r->ntasks; i++)
		if (alive(r->order[i]) && build(r, r->order[i], err))
			return -1;
	if (cpt_restore_pgids(r, err) || cpt_restore_zombies(r, err) || cpt_restore_lazy_start(r, err))
		return -1;
	for (unsigned i = 0; i < r->ntasks; i++) {
		struct cpt_rtask *t = r->order[i];

		if (!alive(t))
			continue;
		if (cpt_restore_threads(r, t, err))
			return taken_meanwhile(err);
		if (outside(r, t, err) || threads(r, t, err))
			return -1;
	}
	for (unsigned k = 0; cpt_restore_kinds[k]; k++)
		if (cpt_restore_kinds[k]->late && cpt_restore_kinds[k]->late(r, err))
			return cpt_within(err, "%s", cpt_restore_kinds[k]->name);
	return 0;
}

/* ---- from beginning to end ------------------------------------------- */

static int check_image(struct cpt_restore *r, struct cpt_err *err)
{
	if (r->opt->lazy && cpt_restore_lazy_source(image_name(r->opt), err))
		return -1;
	if (cpt_img_open(image_name(r->opt), &r->img, err) || cpt_img_check_messages(r->img, err))
		return -1;
	if (cpt_restore_load(r, err) || (r->opt->lazy && cpt_restore_lazy_plan(r, err)))
		return -1;
	if (cpt_restore_sessions(r, err) || look(r, err))
		return -1;
	return cpt_img_unpack(r->img, err);
}

static int prepare(struct cpt_restore *r, struct cpt_err *err)
{
	if (cpt_guard_start(&r->guard, err) || control_fds(r, err))
		return -1;
	if (cpt_img_check_start(r->img, err))
		return -1;
	r->checking = true;
	if (cpt_restore_cgroups_make(r, err) || cpt_restore_shared_memory(r, err))
		return -1;
	for (unsigned k = 0; cpt_restore_kinds[k]; k++)
		if (cpt_restore_kinds[k]->prepare && cpt_restore_kinds[k]->prepare(r, err))
			return cpt_within(err, "%s", cpt_restore_kinds[k]->name);
	return 0;
}

/* All at once: everybody goes into the freezer, and one write lets them run. */
static int let_go(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned i = 0; i < r->ntasks; i++)
		if (alive(r->order[i]) && cpt_restore_leave(r, r->order[i], err))
			return within(r->order[i], err);
	r->checking = false;
	if (cpt_img_check_finish(r->img, err) || cpt_group_freeze_start(&r->group, err) ||
	    cpt_restore_cgroups_freeze(r, err))
		return -1;
	for (unsigned i = 0; i < r->ntasks; i++)
		if (alive(r->order[i]) && cpt_restore_detach(r, r->order[i], err))
			return within(r->order[i], err);
	if (cpt_group_freeze_wait(&r->group, FREEZE_MS, err))
		return -1;
	if (!r->opt->leave_frozen && cpt_group_let_run(&r->group, err))
		return -1;
	cpt_guard_success(&r->guard);
	return 0;
}

static int restore(struct cpt_restore *r, struct cpt_err *err)
{
	uint64_t t0 = cpt_now_ns(), t1;

	if (check_image(r, err) || cpt_restore_scratch(r, err) || prepare(r, err))
		return -1;
	t1 = cpt_now_ns();
	r->stats.state_ns = t1 - t0;
	if (cpt_restore_tree(r, err))
		return taken_meanwhile(err);
	r->stats.memory_ns = cpt_now_ns() - t1;
	return fill_tasks(r, err) || let_go(r, err) ? -1 : 0;
}

/* Whatever there is of the group dies; the guard does it, or here those that no group holds yet. */
static void undo(struct cpt_restore *r)
{
	struct cpt_err ignored;
	bool any = false;

	for (unsigned i = 0; i < r->ntasks; i++)
		if (r->tasks[i].made) {
			kill(r->tasks[i].pid, SIGKILL);
			any = true;
		}
	/* on v1 a frozen task dies when it is thawed; the group was empty before ours were made */
	if (any && r->group.fd >= 0 && cpt_group_signal(&r->group, SIGKILL, FREEZE_MS, true, &ignored))
		cpt_debug("undo: %s", ignored.text);
	for (unsigned i = 0; i < r->ntasks; i++)
		for (unsigned k = r->tasks[i].nthreads; r->tasks[i].made && k-- > 0;)
			while (waitpid(r->tasks[i].threads[k].tid, NULL, __WALL) < 0 && errno == EINTR)
				;
	cpt_guard_undo(&r->guard);
}

static void report_roots(const struct cpt_restore *r)
{
	for (unsigned i = 0; i < r->ntasks; i++)
		if (!r->order[i]->parent && r->opt->root)
			r->opt->root(r->opt->arg, r->order[i]->pid);
}

static void release(struct cpt_restore *r)
{
	const int control[] = { r->self_fd, r->image_fd, r->spare_fd };

	if (r->checking) {
		struct cpt_err ignored;

		(void)!cpt_img_check_finish(r->img, &ignored);
	}
	for (size_t i = 0; i < CPT_COUNT(control); i++)
		if (control[i] >= 0)
			close(control[i]);
	cpt_restore_objects_free(r);
	for (unsigned i = 1; i < r->nobjects; i++)
		if (r->object_fds[i] >= 0)
			close(r->object_fds[i]);
	for (unsigned i = 0; i < r->ncgroups; i++)
		if (r->cgroup_fds[i] >= 0)
			close(r->cgroup_fds[i]);
	for (unsigned i = 0; i < r->ntasks; i++)
		free(r->tasks[i].children);
	free(r->helpers);
	cpt_restore_lazy_free(r);
	cpt_restore_scratch_free(r);
	cpt_batch_free(&r->batch);
	cpt_batch_free(&r->beside.batch);
	cpt_batch_free(&r->other_batch);
	cpt_group_close(&r->group);
	cpt_img_close(r->img);
	cpt_arena_free(&r->arena);
}

int cpt_restore(const struct cpt_restore_options *opt, struct cpt_stats *ret, struct cpt_err *err)
{
	struct cpt_restore r = { .opt = opt, .group = CPT_GROUP_NONE, .guard = CPT_GUARD_NONE,
				 .self_fd = -1, .image_fd = -1, .spare_fd = -1 };
	uint64_t begin = cpt_now_ns();
	struct rlimit was = { 0, 0 }, all;
	int rc, reaper = 0;

	if (!getrlimit(RLIMIT_NOFILE, &was)) {
		all = (struct rlimit){ was.rlim_max, was.rlim_max };
		setrlimit(RLIMIT_NOFILE, &all);
	}
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	prctl(PR_SET_CHILD_SUBREAPER, 1);	/* tasks born by helpers come to us */
	rc = restore(&r, err);
	prctl(PR_SET_CHILD_SUBREAPER, reaper);
	if (rc)
		undo(&r);
	else
		report_roots(&r);
	r.stats.processes = r.ntasks;
	r.stats.image_bytes = r.img ? cpt_img_size(r.img) : 0;
	for (unsigned i = 0; i < r.ntasks; i++)
		r.stats.threads += r.tasks[i].nthreads;
	release(&r);
	if (was.rlim_max)
		setrlimit(RLIMIT_NOFILE, &was);
	r.stats.total_ns = cpt_now_ns() - begin;
	if (ret)
		*ret = r.stats;
	return rc;
}
