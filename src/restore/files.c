/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files.c - a process's descriptors, each taken over from cptool
 *
 * A descriptor taken over gets the lowest free number, which is known: the
 * table holds the control descriptors and what was put there so far.
 */
#include "restore/files.h"

/* the lowest number that is neither a control descriptor nor below @from */
static uint32_t lowest(const struct cpt_restore *r, uint32_t from)
{
	while ((int)from == r->self_fd || (int)from == r->image_fd)
		from++;
	return from;
}

static void install(struct cpt_restore *r, struct cpt_batch *b, const Cpt__Fd *f, int from, bool lands)
{
	size_t fd = cpt_restore_take(r, b, from);

	if (lands) {
		if (!f->cloexec)
			CPT_CALL(b, fcntl, CPT_RESULT(fd), CPT_NUM(F_SETFD), CPT_NUM(0));
		return;
	}
	CPT_CALL(b, dup3, CPT_RESULT(fd), CPT_NUM(f->fd), CPT_NUM(f->cloexec ? O_CLOEXEC : 0));
	CPT_CALL(b, close, CPT_RESULT(fd));
}

static int build(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__Files *files = t->img->files;
	uint32_t next = lowest(r, 0);

	if (cpt_pidfd_open_all(r, err))
		return -1;
	for (size_t i = 0; files && i < files->n_fds; i++) {
		const Cpt__Fd *f = files->fds[i];
		int from = cpt_restore_object_fd(r, f->object);

		if (from < 0)
			return cpt_fail(err, CPT_BAD_IMAGE, "fd %u: object %u has no descriptor", f->fd, f->object);
		install(r, b, f, from, f->fd == next);
		if (f->fd == next)
			next = lowest(r, next + 1);
	}
	return 0;
}

const struct cpt_restore_kind cpt_restore_files = {
	.name = "files",
	.build = build,
};
