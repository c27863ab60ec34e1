/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hierarchies.c - where the cgroup hierarchies of this host are mounted */
#include "restore/cgroups.h"

#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>

static void cpt_auto_mntent(FILE **f)
{
	if (*f)
		endmntent(*f);
}

/* Is this the hierarchy of @controller? "" is v2. */
static bool is_hierarchy(const struct mntent *m, const char *controller)
{
	if (!*controller)
		return strcmp(m->mnt_type, "cgroup2") == 0;
	return strcmp(m->mnt_type, "cgroup") == 0 && hasmntopt(m, controller);
}

/* The mount point of a hierarchy, in arena memory; NULL: not mounted. @above: only one that this path lies below */
static char *mount_of(struct cpt_restore *r, const char *controller, const char *above)
{
	CPT_AUTO(mntent) FILE *f = setmntent("/proc/self/mounts", "re");
	char text[8192];
	struct mntent m;

	while (f && getmntent_r(f, &m, text, sizeof(text))) {
		size_t len = strlen(m.mnt_dir);

		if (is_hierarchy(&m, controller) &&
		    (!above || (strncmp(above, m.mnt_dir, len) == 0 && above[len] == '/' && above[len + 1])))
			return cpt_arena_strdup(&r->arena, m.mnt_dir);
	}
	return NULL;
}

/* the name of a group below its mount, without slashes around it */
static char *trimmed(struct cpt_restore *r, const char *name)
{
	char *copy = cpt_arena_strdup(&r->arena, name + strspn(name, "/"));

	for (size_t len = strlen(copy); len && copy[len - 1] == '/';)
		copy[--len] = 0;
	return copy;
}

char *cpt_restore_group_path(struct cpt_restore *r, size_t *mount, struct cpt_err *err)
{
	const char *name = r->opt->group ? r->opt->group : r->header->group;
	const char *const kinds[] = { "", "freezer" };
	unsigned first = r->header->freezer == CPT_FREEZER_V2 ? 0 : 1;
	char *point = NULL;

	if (!name || !name[strspn(name, "/")]) {
		cpt_fail(err, CPT_USAGE, "no group to restore to; name one");
		return NULL;
	}
	for (unsigned i = 0; i < 2 && !point && r->opt->group; i++)
		if ((point = mount_of(r, kinds[first ^ i], name)))
			name += strlen(point);
	for (unsigned i = 0; i < 2 && !point; i++)
		point = mount_of(r, kinds[first ^ i], NULL);
	if (!point) {
		cpt_fail(err, CPT_UNSUPPORTED, "no cgroup hierarchy with a freezer is mounted here (mount -t cgroup2 none /sys/fs/cgroup)");
		return NULL;
	}
	*mount = strlen(point);
	return cpt_arena_printf(&r->arena, "%s/%s", point, trimmed(r, name));
}

/* ---- other hierarchies ------------------------------------------------ */

static bool leads_out(const char *path)
{
	return path[0] != '/' || strstr(path, "/../") || (strlen(path) >= 3 && !strcmp(path + strlen(path) - 3, "/.."));
}

/* a group of another hierarchy: looked up once, for all who stand there */
struct cpt_place {
	const Cpt__OtherCgroup *is;
	const char *procs;		/* its cgroup.procs; NULL: not on this host */
	struct cpt_place *next;
};

static bool equal(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static struct cpt_place *place(struct cpt_restore *r, const Cpt__OtherCgroup *o)
{
	const char *path = o->path ? o->path : "/";
	char *controller, *point;
	struct cpt_place *p;

	for (p = r->places; p; p = p->next)
		if (equal(p->is->controllers, o->controllers) && equal(p->is->path, o->path))
			return p;
	p = cpt_arena_new(&r->arena, struct cpt_place);
	p->is = o;
	p->next = r->places;
	r->places = p;
	controller = cpt_arena_strdup(&r->arena, o->controllers ? o->controllers : "");
	controller[strcspn(controller, ",")] = 0;
	point = mount_of(r, controller, NULL);
	if (point && !leads_out(path))
		p->procs = cpt_arena_printf(&r->arena, "%s%s/cgroup.procs", point, path);
	return p;
}

/* An image of the other freezer names the place that it had where its group stands now. */
static bool groups_own(const struct cpt_restore *r, const char *controllers)
{
	return r->group.freezer == CPT_FREEZER_V2 ? !*controllers : strstr(controllers, "freezer") != NULL;
}

static void move(struct cpt_restore *r, const struct cpt_rtask *t, const Cpt__OtherCgroup *o)
{
	const char *controllers = o->controllers ? o->controllers : "", *which = *controllers ? controllers : "v2";
	const struct cpt_place *p = place(r, o);
	char value[16];
	struct cpt_err e;

	if (groups_own(r, controllers))
		return;
	snprintf(value, sizeof(value), "%d", t->pid);
	if (!p->procs)
		cpt_warn("task %d (%s): was in group %s of the %s hierarchy, which is not here", t->pid, t->comm,
			 o->path ? o->path : "/", which);
	else if (cpt_write_at(AT_FDCWD, p->procs, value, &e))
		cpt_warn("task %d (%s): was in group %s of the %s hierarchy and stays where cptool is: %s", t->pid,
			 t->comm, o->path ? o->path : "/", which, e.text);
}

static const Cpt__OtherCgroup *memory_group(const struct cpt_rtask *t)
{
	const Cpt__Misc *m = t->img->misc;

	for (size_t i = 0; m && i < m->n_other_cgroups; i++)
		if (m->other_cgroups[i]->controllers && strstr(m->other_cgroups[i]->controllers, "memory"))
			return m->other_cgroups[i];
	return NULL;
}

bool cpt_restore_in_one_memory_group(const struct cpt_restore *r)
{
	const Cpt__OtherCgroup *first = memory_group(r->order[0]);

	for (unsigned i = 1; first && i < r->ntasks; i++) {
		const Cpt__OtherCgroup *o = memory_group(r->order[i]);

		if (r->order[i]->img->misc && (!o || !equal(o->path, first->path)))
			return false;
	}
	return first;
}

void cpt_restore_memory_group(struct cpt_restore *r, const struct cpt_rtask *t)
{
	move(r, t, memory_group(r->order[0]));
}

void cpt_restore_other_groups(struct cpt_restore *r, const struct cpt_rtask *t)
{
	const Cpt__Misc *m = t->img->misc;

	for (size_t i = 0; m && i < m->n_other_cgroups; i++)
		if (!r->charged_at_birth || m->other_cgroups[i] != memory_group(t))
			move(r, t, m->other_cgroups[i]);
}
