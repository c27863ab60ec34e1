/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* locks.c - file locks: POSIX ones made by the process, others on the description */
#include "restore/files.h"

#include <sys/file.h>

static struct flock range(const Cpt__Lock *l)
{
	return (struct flock){
		.l_type = l->write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET,
		.l_start = (off_t)l->start, .l_len = (off_t)l->length,
	};
}

int cpt_locks_late(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	int fd = r->object_fds[o->id];

	for (size_t i = 0; i < o->n_locks; i++) {
		const Cpt__Lock *l = o->locks[i];
		struct flock f = range(l);
		int e = l->kind == CPT__LOCK_KIND__LOCK_FLOCK ? flock(fd, (l->write ? LOCK_EX : LOCK_SH) | LOCK_NB) :
								fcntl(fd, F_OFD_SETLK, &f);

		if (e && (errno == EAGAIN || errno == EACCES))
			return cpt_fail(err, CPT_UNSUPPORTED, "somebody else holds a lock on it; see /proc/locks");
		if (e)
			return cpt_fail_sys(err, "lock it");
	}
	return 0;
}

static int build(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__Files *files = t->img->files;

	for (size_t i = 0; files && i < files->n_locks; i++) {
		struct flock f = range(files->locks[i]);

		CPT_CALL(b, fcntl, CPT_NUM(files->locks[i]->fd), CPT_NUM(F_SETLK), CPT_DATA(cpt_batch_data(b, &f, sizeof(f))));
	}
	return 0;
}

const struct cpt_restore_kind cpt_restore_locks = {
	.name = "locks",
	.build = build,
};
