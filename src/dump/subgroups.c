/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * subgroups.c - groups below that somebody froze by themselves
 *
 * Their tasks could not be touched when the group is thawed for the batches.
 * So they are thawed while the whole is frozen, and frozen again before
 * anybody is let go.
 */
#include "dump/engine.h"

#include <fcntl.h>
#include <stdio.h>

static bool v2(const struct cpt_dump *d)
{
	return d->group.freezer == CPT_FREEZER_V2;
}

static void file_of(const struct cpt_dump *d, unsigned id, const char *file, char path[4096])
{
	snprintf(path, 4096, "%s/%s", d->tree.groups[id].path, file);
}

static bool is_frozen(struct cpt_dump *d, unsigned id)
{
	struct cpt_err none;
	char path[4096];

	file_of(d, id, v2(d) ? "cgroup.freeze" : "freezer.self_freezing", path);
	return !cpt_read_at(d->group.fd, path, &d->buf, &none) && d->buf.data[0] == '1';
}

static int put(struct cpt_dump *d, unsigned id, bool frozen, struct cpt_err *err)
{
	char path[4096];

	file_of(d, id, v2(d) ? "cgroup.freeze" : "freezer.state", path);
	return cpt_write_at(d->group.fd, path, v2(d) ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED"), err);
}

static int thaw(struct cpt_dump *d, unsigned id, struct cpt_err *err)
{
	char *path = cpt_arena_printf(&d->arena, "%s/%s/%s", d->group.path, d->tree.groups[id].path,
				      v2(d) ? "cgroup.freeze" : "freezer.state");

	if (cpt_guard_add(&d->guard, CPT_UNDO_WRITE, path, v2(d) ? "1" : "FROZEN", err))
		return -1;
	return put(d, id, false, err);
}

int cpt_dump_thaw_subgroups(struct cpt_dump *d, struct cpt_err *err)
{
	d->self_frozen = cpt_arena_array(&d->arena, bool, d->tree.ngroups);
	for (unsigned id = 1; id < d->tree.ngroups; id++) {
		if (!is_frozen(d, id))
			continue;
		d->self_frozen[id] = true;
		if (thaw(d, id, err))
			return cpt_within(err, "group '/%s'", d->tree.groups[id].path);
	}
	return 0;
}

int cpt_dump_refreeze_subgroups(struct cpt_dump *d, struct cpt_err *err)
{
	for (unsigned id = 1; d->self_frozen && id < d->tree.ngroups; id++)
		if (d->self_frozen[id] && put(d, id, true, err))
			return cpt_within(err, "group '/%s'", d->tree.groups[id].path);
	return 0;
}
