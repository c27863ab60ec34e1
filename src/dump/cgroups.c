/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cgroups.c - the groups of the tree with their settings; where processes stand in other hierarchies */
#include "dump/kinds.h"
#include "image/cgroupfiles.h"
#include "image/state.h"

#include "cgroups.pb-c.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- other hierarchies ------------------------------------------------ */

/* "9:cpu,cpuacct:/a" -> the controllers and the path; the text is cut there. NULL: not such a line */
static char *split_line(char *line, const char **controllers)
{
	char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;

	if (!second)
		return NULL;
	*second = 0;
	*controllers = first + 1;
	return second + 1;
}

/* The path of cptool itself in the hierarchy of these controllers. */
static bool own_path_is(const struct cpt_self *self, const char *controllers, const char *path)
{
	size_t clen = strlen(controllers), plen = strlen(path);

	for (const char *line = self->cgroups; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		const char *c = strchr(line, ':');

		if (c && strncmp(c + 1, controllers, clen) == 0 && c[1 + clen] == ':')
			return strncmp(c + clen + 2, path, plen) == 0 && c[clen + 2 + plen] == '\n';
	}
	return false;
}

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += len)
		if ((p == list || p[-1] == ',') && (p[len] == ',' || !p[len]))
			return true;
	return false;
}

static bool groups_own(const struct cpt_dump *d, const char *controllers)
{
	return d->group.freezer == CPT_FREEZER_V2 ? !*controllers : has_word(controllers, "freezer");
}

static void keep_path(struct cpt_dump *d, Cpt__Misc *m, const char *controllers, const char *path)
{
	Cpt__OtherCgroup **v = cpt_arena_array(&d->arena, Cpt__OtherCgroup *, m->n_other_cgroups + 1);
	Cpt__OtherCgroup *o = cpt_arena_new(&d->arena, Cpt__OtherCgroup);

	cpt__other_cgroup__init(o);
	o->controllers = cpt_arena_strdup(&d->arena, controllers);
	o->path = cpt_arena_strdup(&d->arena, path);
	if (m->n_other_cgroups)
		memcpy(v, m->other_cgroups, m->n_other_cgroups * sizeof(*v));
	v[m->n_other_cgroups++] = o;
	m->other_cgroups = v;
}

static int look(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	char *line, *next;

	if (cpt_dump_self(d, err))
		return -1;
	line = strchr(d->self->cgroups, '\n');
	if (!line || !line[1])		/* there is only one hierarchy */
		return 0;
	if (cpt_read_at(t->proc, "cgroup", &d->buf, err))
		return -1;
	for (line = d->buf.data; *line; line = next) {
		const char *controllers, *path;

		next = strchrnul(line, '\n');
		if (*next)
			*next++ = 0;
		path = split_line(line, &controllers);
		if (path && !groups_own(d, controllers) && !own_path_is(d->self, controllers, path))
			keep_path(d, t->img->misc, controllers, path);
	}
	return 0;
}

/* ---- settings --------------------------------------------------------- */

struct setting {
	int order;
	enum cpt_cgroup_form form;
	char name[NAME_MAX + 1];
	struct stat st;
};

static int by_order(const void *a, const void *b)
{
	const struct setting *x = a, *y = b;

	return x->order != y->order ? x->order - y->order : strcmp(x->name, y->name);
}

static int list_settings(int folder, const char *where, struct setting **ret, size_t *n, struct cpt_err *err)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CPT_AUTO(dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t cap = 0;

	if (!dir)
		return cpt_fail_sys(err, "list %s", where);
	for (struct dirent *e; (e = readdir(dir));) {
		struct setting s;

		if (fstatat(folder, e->d_name, &s.st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(s.st.st_mode) ||
		    !(s.st.st_mode & 0222))
			continue;
		s.order = cpt_cgroup_file(e->d_name, &s.form);
		if (s.order < 0 && !cpt_cgroup_state_file(e->d_name))
			cpt_info("%s/%s: not known, not carried", where, e->d_name);
		if (s.order < 0 && !s.st.st_uid && !s.st.st_gid)
			continue;
		if (!(s.st.st_mode & 0444))
			s.order = -1;
		snprintf(s.name, sizeof(s.name), "%s", e->d_name);
		CPT_GROW(*ret, *n, cap);
		(*ret)[(*n)++] = s;
	}
	if (*n)
		qsort(*ret, *n, sizeof(**ret), by_order);
	return 0;
}

static size_t count_of(const char *text, char what)
{
	size_t n = 1;

	for (; *text; text++)
		n += *text == what;
	return n;
}

static void values_of(struct cpt_dump *d, Cpt__CgroupFile *f, char *text, enum cpt_cgroup_form form)
{
	const char *separator = form == CPT_CGROUP_WORDS ? " \n" : "\n";
	char *save = NULL;

	if (form == CPT_CGROUP_LINE) {
		f->values = cpt_arena_array(&d->arena, char *, 1);
		text[strcspn(text, "\n")] = 0;
		f->values[f->n_values++] = cpt_arena_strdup(&d->arena, text);
		return;
	}
	f->values = cpt_arena_array(&d->arena, char *, count_of(text, ' ') + count_of(text, '\n'));
	for (char *v = strtok_r(text, separator, &save); v; v = strtok_r(NULL, separator, &save))
		f->values[f->n_values++] = cpt_arena_printf(&d->arena, "%s%s", form == CPT_CGROUP_WORDS ? "+" : "", v);
}

static Cpt__CgroupFile *setting(struct cpt_dump *d, int folder, const struct setting *s)
{
	Cpt__CgroupFile *f = cpt_arena_new(&d->arena, Cpt__CgroupFile);
	struct cpt_err unreadable;

	cpt__cgroup_file__init(f);
	f->name = cpt_arena_strdup(&d->arena, s->name);
	if (s->st.st_uid || s->st.st_gid) {
		CPT_SET(f, uid, s->st.st_uid);
		CPT_SET(f, gid, s->st.st_gid);
	}
	/* some can be read only where their controller is at work */
	if (s->order >= 0 && !cpt_read_at(folder, s->name, &d->buf, &unreadable))
		values_of(d, f, d->buf.data, s->form);
	return f->n_values || f->has_uid ? f : NULL;
}

static int settings_of(struct cpt_dump *d, Cpt__Cgroup *g, int folder, const char *where, struct cpt_err *err)
{
	CPT_AUTO(mem) struct setting *list = NULL;
	size_t n = 0;

	if (list_settings(folder, where, &list, &n, err))
		return -1;
	g->files = cpt_arena_array(&d->arena, Cpt__CgroupFile *, n);
	for (size_t i = 0; i < n; i++) {
		Cpt__CgroupFile *f = setting(d, folder, &list[i]);

		if (f)
			g->files[g->n_files++] = f;
	}
	return 0;
}

/* ---- groups ----------------------------------------------------------- */

/* Threads of one process can be spread over groups (v1, threaded v2 groups); restore puts whole processes. */
static int check_threads(struct cpt_dump *d, unsigned id, int folder, struct cpt_err *err)
{
	size_t expected = 0;

	for (unsigned i = 0; i < d->ntasks; i++)
		if (d->tasks[i].subgroup == id && !d->tasks[i].zombie)
			expected += d->tasks[i].nthreads;
	if (cpt_read_at(folder, d->group.freezer == CPT_FREEZER_V2 ? "cgroup.threads" : "tasks", &d->buf, err))
		return err->sys == EOPNOTSUPP ? 0 : -1;
	if (cpt_parse_pids(d->buf.data, NULL, 0) != expected)
		cpt_refuse(d, NULL, "group '/%s': threads of one process are in different groups, which can't be carried yet; move them together (write the pid to cgroup.procs)",
			   d->tree.groups[id].path);
	return 0;
}

static bool reads(struct cpt_dump *d, int folder, const char *file, const char *value)
{
	struct cpt_err none;

	return !cpt_read_at(folder, file, &d->buf, &none) && strncmp(d->buf.data, value, strlen(value)) == 0;
}

static int describe(struct cpt_dump *d, unsigned id, Cpt__Cgroup *g, struct cpt_err *err)
{
	const char *path = d->tree.groups[id].path;
	CPT_AUTO(fd) int folder = openat(d->group.fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (folder < 0 || fstat(folder, &st))
		return cpt_fail_sys(err, "open group '/%s'", path);
	CPT_SET(g, id, id);
	g->path = cpt_arena_strdup(&d->arena, path);
	CPT_SET(g, mode, st.st_mode & 07777);
	CPT_SET(g, uid, st.st_uid);
	CPT_SET(g, gid, st.st_gid);
	if (d->self_frozen[id])
		CPT_SET(g, frozen, true);
	if (reads(d, folder, "cgroup.type", "threaded"))
		cpt_refuse(d, NULL, "group '/%s' is threaded (cgroup.type), which can't be carried yet", path);
	if (check_threads(d, id, folder, err))
		return -1;
	return settings_of(d, g, folder, path, err);
}

static int write_groups(struct cpt_dump *d, struct cpt_err *err)
{
	for (unsigned id = 0; id < d->tree.ngroups; id++)
		if (cpt_img_put(d->img, CPT_REC_CGROUP, &d->cgroups[id].base, err))
			return -1;
	return 0;
}

static int group(struct cpt_dump *d, struct cpt_err *err)
{
	d->cgroups = cpt_arena_array(&d->arena, Cpt__Cgroup, d->tree.ngroups);
	for (unsigned id = 0; id < d->tree.ngroups; id++) {
		cpt__cgroup__init(&d->cgroups[id]);
		if (describe(d, id, &d->cgroups[id], err))
			return cpt_within(err, "group '/%s'", d->tree.groups[id].path);
	}
	return 0;
}

const struct cpt_dump_kind cpt_dump_cgroups = {
	.name = "cgroups",
	.look = look,
	.group = group,
	.write = write_groups,
};
