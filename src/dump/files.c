/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files.c - the descriptors of a process
 *
 * Most processes have most descriptors from their parents: a descriptor is
 * first compared with the same number of a relative, which takes one call.
 */
#include "dump/files.h"
#include "dump/view.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <sys/syscall.h>

uint32_t cpt_dump_fd_object(const struct cpt_task *t, uint32_t fd)
{
	const Cpt__Files *files = t->img ? t->img->files : NULL;
	size_t from = 0, to = files ? files->n_fds : 0;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (files->fds[mid]->fd == fd)
			return files->fds[mid]->object;
		if (files->fds[mid]->fd < fd)
			from = mid + 1;
		else
			to = mid;
	}
	return 0;
}

/* the numbers of @t's descriptors, ascending as the kernel lists them */
static int list(struct cpt_dump *d, struct cpt_task *t, uint32_t **ret, size_t *count, struct cpt_err *err)
{
	CPT_AUTO(fd) int dir = openat(t->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CPT_AUTO(mem) char *buf = cpt_malloc(65536);
	CPT_AUTO(mem) uint32_t *v = NULL;
	size_t n = 0, cap = 0;
	long got;

	*ret = NULL;
	*count = 0;

	if (dir < 0)
		return cpt_fail_sys(err, "open /proc/%d/fd", t->pid);
	while ((got = syscall(SYS_getdents64, dir, buf, 65536)) > 0) {
		for (long at = 0; at < got;) {
			const struct dirent64 *e = (const struct dirent64 *)(buf + at);

			at += e->d_reclen;
			if (e->d_name[0] < '0' || e->d_name[0] > '9')
				continue;
			CPT_GROW(v, n, cap);
			v[n++] = (uint32_t)strtoul(e->d_name, NULL, 10);
		}
	}
	if (got < 0)
		return cpt_fail_sys(err, "list /proc/%d/fd", t->pid);
	*ret = cpt_arena_memdup(&d->arena, v, n * sizeof(*v));
	*count = n;
	return 0;
}

/* 1: looked at, 0: the number is free */
static int look_at(struct cpt_dump *d, struct cpt_task *t, uint32_t number, uint64_t file, uint32_t *object,
		   struct cpt_err *err)
{
	CPT_AUTO(fd) int fd = cpt_pidfd_getfd(t->pidfd, (int)number);
	struct cpt_fd f = { .t = t, .number = (int)number, .fd = fd, .file = file };

	if (fd < 0 && errno == EBADF)
		return 0;
	if (fd < 0)
		return cpt_fail_sys(err, "take fd %u", number);
	if (cpt_dump_examine(d, &f, err))
		return cpt_within(err, "fd %u", number);
	return cpt_dump_descriptor(d, &f, object, err) ? -1 : 1;
}

/* whoever most likely has the same descriptors */
static const struct cpt_task *relative(const struct cpt_dump *d, const struct cpt_task *t)
{
	if (t->parent && t->parent->img && t->parent->img->files)
		return t->parent;
	if (t > d->tasks && t[-1].img && t[-1].img->files)
		return &t[-1];
	return NULL;
}

static void add(struct cpt_dump *d, Cpt__Files *files, uint32_t number, uint32_t object)
{
	Cpt__Fd *f = CPT_MESSAGE(d, Cpt__Fd, cpt__fd__init);

	CPT_SET(f, fd, number);
	CPT_SET(f, object, object);
	files->fds[files->n_fds++] = f;
}

/* one number: as the relative has it, or looked at; 1: there is one, 0: the number is free */
static int look_number(struct cpt_dump *d, struct cpt_task *t, const struct cpt_task *like, uint32_t number,
		       Cpt__Files *files, struct cpt_err *err)
{
	uint32_t object = like ? cpt_dump_fd_object(like, number) : 0;
	int found = 1;

	if (!object || cpt_kcmp(like->pid, t->pid, KCMP_FILE, number, number) != 0)
		found = look_at(d, t, number, 0, &object, err);
	if (found > 0)
		add(d, files, number, object);
	return found;
}

/* as the view has them */
static int look_viewed(struct cpt_dump *d, struct cpt_task *t, Cpt__Files *files, const struct cpt_view_file *v,
		       size_t n, struct cpt_err *err)
{
	files->fds = cpt_arena_array(&d->arena, Cpt__Fd *, n);
	for (size_t i = 0; i < n; i++) {
		uint32_t object = cpt_dump_file_object(d, v[i].file);
		int found = object ? 1 : look_at(d, t, v[i].fd, v[i].file, &object, err);

		if (found < 0)
			return -1;
		if (found)
			add(d, files, v[i].fd, object);
	}
	return 0;
}

/* by trying one number after the other until all are found; false: too many are free, a list is better */
static int look_densely(struct cpt_dump *d, struct cpt_task *t, Cpt__Files *files, size_t count, bool *done,
			struct cpt_err *err)
{
	const struct cpt_task *like = relative(d, t);
	size_t tries = 2 * count + 32;

	files->n_fds = 0;
	files->fds = cpt_arena_array(&d->arena, Cpt__Fd *, count + 1);
	for (uint32_t number = 0; files->n_fds < count && number < tries; number++)
		if (look_number(d, t, like, number, files, err) < 0)
			return -1;
	*done = files->n_fds == count;
	return 0;
}

static int look_listed(struct cpt_dump *d, struct cpt_task *t, Cpt__Files *files, struct cpt_err *err)
{
	const struct cpt_task *like = relative(d, t);
	uint32_t *numbers;
	size_t n;

	if (list(d, t, &numbers, &n, err))
		return -1;
	files->n_fds = 0;
	files->fds = cpt_arena_array(&d->arena, Cpt__Fd *, n + 1);
	for (size_t i = 0; i < n; i++)
		if (look_number(d, t, like, numbers[i], files, err) < 0)
			return -1;
	return 0;
}

/* descriptor tables and working directories shared between processes are not carried yet */
int cpt_dump_refuse_shared(struct cpt_dump *d, struct cpt_task *t, int type, const char *what,
			   struct cpt_err *err)
{
	struct cpt_order_entry e = { .pid = t->pid, .what = t };
	uint64_t address = cpt_view_object(d, t->pid, type);
	void *known;

	if (address)
		known = cpt_dump_owner(d, address, t);
	else if (cpt_order_place(cpt_dump_order(d, type), type, e, &known, err))
		return -1;
	if (known)
		cpt_refuse(d, t, "shares its %s with process %d (clone without exec): not carried yet",
			   what, ((struct cpt_task *)known)->pid);
	return 0;
}

static int look(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	Cpt__Files *files = CPT_MESSAGE(d, Cpt__Files, cpt__files__init);
	const struct cpt_view_file *view;
	bool done = false;
	struct stat st;

	if (cpt_dump_refuse_shared(d, t, KCMP_FILES, "table of descriptors", err))
		return -1;
	/* how many there are (Linux 6.2) */
	if (fstatat(t->proc, "fd", &st, 0))
		return cpt_fail_sys(err, "stat /proc/%d/fd", t->pid);
	view = cpt_view_files(d, t, (size_t)st.st_size);
	if (view) {
		if (look_viewed(d, t, files, view, (size_t)st.st_size, err))
			return -1;
		done = files->n_fds == (size_t)st.st_size;
	}
	if (!done && st.st_size && look_densely(d, t, files, (size_t)st.st_size, &done, err))
		return -1;
	if (!done && look_listed(d, t, files, err))
		return -1;
	t->img->files = files;
	return 0;
}

static int look_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err)
{
	if (th->tid == t->pid)
		return 0;
	if (!cpt_view_same(d, t->pid, th->tid, KCMP_FILES))
		cpt_refuse(d, t, "thread %d has a table of descriptors of its own (unshare): not carried yet", th->tid);
	if (!cpt_view_same(d, t->pid, th->tid, KCMP_FS))
		cpt_refuse(d, t, "thread %d has a working directory of its own (unshare): not carried yet", th->tid);
	return 0;
}

/* FD_CLOEXEC belongs to the number: only the task can tell */
static int ask(struct cpt_dump *d, struct cpt_task *t, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	const Cpt__Files *files = t->img->files;
	size_t *first = cpt_arena_new(&d->arena, size_t);

	*first = b->ncalls;
	for (size_t i = 0; i < files->n_fds; i++)
		CPT_CALL(b, fcntl, CPT_NUM(files->fds[i]->fd), CPT_NUM(F_GETFD));
	*state = first;
	return 0;
}

static int tell(struct cpt_dump *d, struct cpt_task *t, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	const Cpt__Files *files = t->img->files;
	const size_t *first = state;

	for (size_t i = 0; i < files->n_fds; i++)
		if (cpt_batch_ret(b, *first + i) & FD_CLOEXEC)
			CPT_SET(files->fds[i], cloexec, true);
	return 0;
}

const struct cpt_dump_kind cpt_dump_files = {
	.name = "files",
	.look = look,
	.look_thread = look_thread,
	.ask = ask,
	.tell = tell,
};
