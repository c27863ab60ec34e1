/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroups.c - the groups with their settings; places in other hierarchies
 *
 * What is made here is told to the guard before; that all tasks in it are to be
 * killed is told last, so that the guard does it first.
 */
#include "restore/cgroups.h"
#include "image/cgroupfiles.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- folders ---------------------------------------------------------- */

static bool is_there(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

static int make_folder(struct cpt_restore *r, const char *path, struct cpt_err *err)
{
	if (is_there(path))
		return 0;
	if (cpt_guard_add(&r->guard, CPT_UNDO_RMDIR, path, NULL, err))
		return -1;
	if (cpt_fault_here() || mkdir(path, 0755))
		return cpt_fail_sys(err, "make group %s", path);
	return 0;
}

/* @path with all that is missing above it, from @from on, which is there */
static int make_folders(struct cpt_restore *r, char *path, size_t from, struct cpt_err *err)
{
	for (char *slash = path + from; (slash = strchr(slash + 1, '/'));) {
		*slash = 0;
		if (make_folder(r, path, err))
			return -1;
		*slash = '/';
	}
	return make_folder(r, path, err);
}

/* ---- settings --------------------------------------------------------- */

/* What a group starts with says nothing about a kernel or hierarchy that lacks the file. */
static bool is_default(const char *value)
{
	static const char *const defaults[] = {
		"", "0", "1", "max", "100", "0.00", "max 100000", "default 100", "no-change",
	};

	for (size_t i = 0; i < CPT_COUNT(defaults); i++)
		if (strcmp(value, defaults[i]) == 0)
			return true;
	return false;
}

static int lacking(struct cpt_restore *r, const Cpt__Cgroup *g, const Cpt__CgroupFile *f, struct cpt_err *err)
{
	for (size_t i = 0; i < f->n_values; i++)
		if (!is_default(f->values[i])) {
			if (r->header->freezer == (uint32_t)r->group.freezer)
				return cpt_fail(err, CPT_UNSUPPORTED,
						"group '/%s' has no %s here, which is to be '%s'; give the group above it that controller (cgroup.subtree_control)",
						g->path, f->name, f->values[i]);
			cpt_warn("group '/%s': %s has no place in this hierarchy, '%s' is lost", g->path, f->name, f->values[i]);
		}
	return 0;
}

/* Is @value what the file says, or one of its lines or words? */
static bool says(const char *now, const char *value, enum cpt_cgroup_form form)
{
	size_t len = strlen(value);
	const char *ends = form == CPT_CGROUP_WORDS ? " \n" : "\n";

	if (form == CPT_CGROUP_WORDS && *value == '+') {
		value++;
		len--;
	}
	do {
		size_t n = strcspn(now, ends);

		if (n == len && memcmp(now, value, n) == 0)
			return true;
		now += n;
		now += *now != 0;
	} while (*now);
	return false;
}

/* a group as it is being set up */
struct place {
	const Cpt__Cgroup *img;
	const char *path;
	int fd;
	bool found;		/* it was there before: what is changed in it is changed back on failure */
};

/* Lines of one setting each are not changed back: what undoes one is known to its controller only. */
static int remember(struct cpt_restore *r, const struct place *p, const char *file, const char *now,
		    const char *value, enum cpt_cgroup_form form, struct cpt_err *err)
{
	const char *path, *was;

	if (!p->found || form == CPT_CGROUP_LINES)
		return 0;
	path = cpt_arena_printf(&r->arena, "%s/%s", p->path, file);
	if (form == CPT_CGROUP_WORDS)
		was = cpt_arena_printf(&r->arena, "-%s", value + (*value == '+'));
	else
		was = cpt_arena_printf(&r->arena, "%.*s", (int)strcspn(now, "\n"), now);
	return cpt_guard_add(&r->guard, CPT_UNDO_WRITE, path, *was ? was : "\n", err);
}

static int write_setting(int folder, const Cpt__Cgroup *g, const Cpt__CgroupFile *f, const char *value, struct cpt_err *err)
{
	if (!cpt_write_at(folder, f->name, *value ? value : "\n", err))
		return 0;
	return cpt_within(err, "group '/%s': its setting %s", g->path, f->name);
}

static int apply(struct cpt_restore *r, const struct place *p, const Cpt__CgroupFile *f, struct cpt_err *err)
{
	CPT_AUTO(buf) struct cpt_buf now = { 0 };
	enum cpt_cgroup_form form;

	if (cpt_cgroup_file(f->name, &form) < 0 || !f->n_values)
		return 0;
	if (cpt_read_at(p->fd, f->name, &now, err))
		return err->sys == ENOENT || err->sys == EOPNOTSUPP ? lacking(r, p->img, f, err) : -1;
	for (size_t i = 0; i < f->n_values; i++)
		if (!says(now.data, f->values[i], form) &&
		    (remember(r, p, f->name, now.data, f->values[i], form, err) ||
		     write_setting(p->fd, p->img, f, f->values[i], err)))
			return -1;
	return 0;
}

static int own(int folder, const Cpt__Cgroup *g, struct cpt_err *err)
{
	struct stat st;

	if (fstat(folder, &st))
		return cpt_fail_sys(err, "group '/%s'", g->path);
	if ((st.st_uid != g->uid || st.st_gid != g->gid) && fchown(folder, g->uid, g->gid))
		return cpt_fail_sys(err, "group '/%s': give it to user %u", g->path, g->uid);
	if (g->has_mode && (st.st_mode & 07777) != g->mode && fchmod(folder, g->mode & 07777))
		return cpt_fail_sys(err, "group '/%s': set mode %o", g->path, g->mode);
	for (size_t i = 0; i < g->n_files; i++) {
		const Cpt__CgroupFile *f = g->files[i];

		if (f->has_uid && fchownat(folder, f->name, f->uid, f->gid, AT_SYMLINK_NOFOLLOW) && errno != ENOENT)
			return cpt_fail_sys(err, "group '/%s': give %s to user %u", g->path, f->name, f->uid);
	}
	return 0;
}

/* ---- the tree --------------------------------------------------------- */

/* All will be frozen before they run; who has not been made here is thawed when that fails. */
static int remember_thaw(struct cpt_restore *r, const struct place *p, struct cpt_err *err)
{
	CPT_AUTO(group) struct cpt_group g = CPT_GROUP_NONE;
	enum cpt_state state;
	bool self_frozen;
	const char *value;
	char file[4200];

	if (!p->found)
		return 0;
	if (cpt_group_open(p->path, &g, err) || cpt_group_state(&g, &state, &self_frozen, err))
		return -1;
	if (self_frozen)
		return 0;
	cpt_group_thaw_undo(&g, file, &value);
	return cpt_guard_add(&r->guard, CPT_UNDO_WRITE, file, value, err);
}

static int open_group(struct cpt_restore *r, unsigned id, bool found, struct cpt_err *err)
{
	const Cpt__Cgroup *g = r->cgroups[id];
	const char *name = g->path ? g->path : "";
	char *path = cpt_arena_printf(&r->arena, "%s%s%s", r->group.path, *name ? "/" : "", name);
	struct place p = { g, path, -1, id ? is_there(path) : found };

	if (id && make_folders(r, path, strlen(r->group.path), err))
		return -1;
	p.fd = r->cgroup_fds[id] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.fd < 0)
		return cpt_fail_sys(err, "open group %s", path);
	if (remember_thaw(r, &p, err))
		return -1;
	for (size_t i = 0; i < g->n_files; i++)
		if (apply(r, &p, g->files[i], err))
			return -1;
	return own(p.fd, g, err);
}

static int refuse_lived_in(struct cpt_restore *r, struct cpt_err *err)
{
	CPT_AUTO(grouptree) struct cpt_grouptree tree = { 0 };

	if (cpt_group_list(&r->group, &tree, err))
		return -1;
	for (unsigned i = 0; i < tree.ngroups; i++)
		if (tree.groups[i].nprocs)
			return cpt_fail(err, CPT_USAGE, "%s%s%s holds processes already (%d is one); end them, or name another group",
					r->group.path, i ? "/" : "", tree.groups[i].path, tree.groups[i].procs[0]);
	return 0;
}

/* A frozen group that is empty, such as a dump leaves of one that was frozen: nothing could be made in it. */
static int wake_up(struct cpt_restore *r, struct cpt_err *err)
{
	enum cpt_state state;
	const char *value;
	char file[4200];
	bool self;

	if (cpt_group_state(&r->group, &state, &self, err))
		return -1;
	if (state != CPT_RUNNING && !self)
		return cpt_fail(err, CPT_UNSUPPORTED, "%s is frozen by a group above it; thaw that one first", r->group.path);
	if (!self)
		return 0;
	cpt_group_thaw_undo(&r->group, file, &value);
	value = r->group.freezer == CPT_FREEZER_V2 ? "1" : "FROZEN";
	return cpt_guard_add(&r->guard, CPT_UNDO_WRITE, file, value, err) || cpt_group_let_run(&r->group, err) ? -1 : 0;
}

int cpt_restore_cgroups_make(struct cpt_restore *r, struct cpt_err *err)
{
	size_t mount;
	char *path = cpt_restore_group_path(r, &mount, err);
	bool found;

	if (!path)
		return -1;
	if (!cpt_cgroup_path_is_tame(path + mount + 1))
		return cpt_fail(err, CPT_USAGE, "'%s' is no name for a group", path);
	found = is_there(path);
	if (make_folders(r, path, mount, err) || cpt_group_open(path, &r->group, err) || refuse_lived_in(r, err) ||
	    wake_up(r, err))
		return -1;
	for (unsigned id = 0; id < r->ncgroups; id++)
		if (open_group(r, id, found, err))
			return -1;
	r->charged_at_birth = cpt_restore_in_one_memory_group(r);
	return cpt_guard_add(&r->guard, CPT_UNDO_KILL_GROUP, r->group.path, NULL, err);
}

int cpt_restore_cgroup_attach(struct cpt_restore *r, unsigned cgroup, pid_t pid, struct cpt_err *err)
{
	char value[16];

	if (cgroup >= r->ncgroups)
		return cpt_fail(err, CPT_BAD_IMAGE, "no group %u", cgroup);
	snprintf(value, sizeof(value), "%d", pid);
	if (cpt_write_at(r->cgroup_fds[cgroup], "cgroup.procs", value, err))
		return cpt_within(err, "group '/%s'", r->cgroups[cgroup]->path);
	return 0;
}

int cpt_restore_cgroups_freeze(struct cpt_restore *r, struct cpt_err *err)
{
	bool v2 = r->group.freezer == CPT_FREEZER_V2;

	for (unsigned id = 1; id < r->ncgroups; id++)
		if (r->cgroups[id]->frozen &&
		    cpt_write_at(r->cgroup_fds[id], v2 ? "cgroup.freeze" : "freezer.state", v2 ? "1" : "FROZEN", err))
			return cpt_within(err, "group '/%s'", r->cgroups[id]->path);
	return 0;
}

/* ---- other hierarchies ------------------------------------------------ */

static int outside(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	cpt_restore_other_groups(r, t);
	return 0;
}

const struct cpt_restore_kind cpt_restore_cgroups = {
	.name = "cgroups",
	.outside = outside,
};
