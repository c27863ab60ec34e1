/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs.c - root, working directory, umask */
#include "dump/files.h"
#include "dump/view.h"

#include <linux/kcmp.h>

/* paths are looked up as cptool sees them: that must be the same tree */
static int check_mounts(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	struct stat ours, theirs;

	if (d->own_namespaces && cpt_view_namespaces(d, t->pid) == d->own_namespaces)
		return 0;
	if (stat("/proc/self/ns/mnt", &ours) || fstatat(t->proc, "ns/mnt", &theirs, 0))
		return cpt_fail_sys(err, "stat /proc/%d/ns/mnt", t->pid);
	if (ours.st_ino != theirs.st_ino)
		cpt_refuse(d, t, "it is in another mount namespace than cptool: not carried yet; "
			   "run cptool inside that namespace (nsenter -m)");
	return 0;
}

static int look(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	Cpt__Fs *fs = CPT_MESSAGE(d, Cpt__Fs, cpt__fs__init);
	struct stat ours, theirs;
	uint32_t id;

	t->img->fs = fs;
	if (cpt_dump_refuse_shared(d, t, KCMP_FS, "root and working directory", err))
		return -1;
	if (check_mounts(d, t, err))
		return -1;
	if (stat("/", &ours) || fstatat(t->proc, "root", &theirs, 0))
		return cpt_fail_sys(err, "stat /proc/%d/root", t->pid);
	if (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev) {
		if (cpt_dump_path(d, t, "root", &id, err))
			return -1;
		CPT_SET(fs, root, id);
	}
	if (cpt_dump_path(d, t, "cwd", &id, err))
		return -1;
	CPT_SET(fs, cwd, id);
	CPT_SET(fs, umask, t->status.umask);
	return 0;
}

const struct cpt_dump_kind cpt_dump_fs = {
	.name = "fs",
	.look = look,
};
