/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cgroups.c - are groups sane? */
#include "image/cgroupfiles.h"
#include "image/kinds.h"

#include <limits.h>

/* no name in it leads out of the folder that it is put behind */
bool cpt_cgroup_path_is_tame(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (!len || len > NAME_MAX || (len <= 2 && strspn(path, ".") >= len))
			return false;
		path += len;
		if (*path == '/' && !*++path)
			return false;
	}
	return true;
}

int cpt_check_cgroup(const Cpt__Cgroup *m, struct cpt_err *err)
{
	const char *path = m->path ? m->path : "";

	if (strlen(path) >= 3000 || !cpt_cgroup_path_is_tame(path) || !*path != !m->id)
		return cpt_fail(err, CPT_BAD_IMAGE, "group %u has the path '%.80s'", m->id, path);
	if (m->mode & ~07777u)
		return cpt_fail(err, CPT_BAD_IMAGE, "group %u has the mode %o", m->id, m->mode);
	return 0;
}

int cpt_check_cgroup_file(const Cpt__CgroupFile *m, struct cpt_err *err)
{
	const char *name = m->name ? m->name : "";

	if (!*name || strchr(name, '/') || !cpt_cgroup_path_is_tame(name))
		return cpt_fail(err, CPT_BAD_IMAGE, "a setting with the name '%.80s'", name);
	for (size_t i = 0; i < m->n_values; i++)
		if (strlen(m->values[i]) > 4000 || strchr(m->values[i], '\n'))
			return cpt_fail(err, CPT_BAD_IMAGE, "setting %s has a value of more than a line", name);
	return 0;
}
