/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs.c - root, working directory, umask */
#include "restore/files.h"

/* go to a folder that cptool has open */
static int enter(struct cpt_restore *r, struct cpt_batch *b, uint32_t object, bool as_root, struct cpt_err *err)
{
	int from = cpt_restore_object_fd(r, object);
	size_t fd, dot;

	if (from < 0)
		return cpt_fail(err, CPT_BAD_IMAGE, "object %u is no folder", object);
	fd = cpt_restore_take(r, b, from);
	CPT_CALL(b, fchdir, CPT_RESULT(fd));
	CPT_CALL(b, close, CPT_RESULT(fd));
	if (!as_root)
		return 0;
	dot = cpt_batch_string(b, ".");
	CPT_CALL(b, chroot, CPT_DATA(dot));
	return 0;
}

static int build(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__Fs *fs = t->img->fs;

	if (!fs)
		return 0;
	if (fs->has_root && enter(r, b, fs->root, true, err))
		return -1;
	if (fs->has_cwd && enter(r, b, fs->cwd, false, err))
		return -1;
	CPT_CALL(b, umask, CPT_NUM(fs->umask));
	return 0;
}

const struct cpt_restore_kind cpt_restore_fs = {
	.name = "fs",
	.build = build,
};
