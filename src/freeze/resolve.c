/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resolve.c - from what a user calls a group to its folder and its freezer */
#include "freeze/internal.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* ---- mountinfo ------------------------------------------------------- */

/* one field, up to a space or the end; returns what follows it, or NULL */
static const char *field(const char *p, const char **start, size_t *len)
{
	while (*p == ' ')
		p++;
	*start = p;
	while (*p && *p != ' ')
		p++;
	*len = (size_t)(p - *start);
	return *len ? p : NULL;
}

/* the kernel writes space, tab, newline and backslash as \ooo */
static bool unescape(const char *from, size_t len, char to[4096])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)from[i];

		if (c == '\\' && i + 3 < len &&
		    from[i + 1] >= '0' && from[i + 1] <= '3' &&
		    from[i + 2] >= '0' && from[i + 2] <= '7' &&
		    from[i + 3] >= '0' && from[i + 3] <= '7') {
			c = (unsigned char)((from[i + 1] - '0') << 6 |
					    (from[i + 2] - '0') << 3 | (from[i + 3] - '0'));
			i += 3;
		}
		if (n + 1 >= 4096 || c == 0)
			return false;
		to[n++] = (char)c;
	}
	to[n] = 0;
	return true;
}

static bool is(const char *start, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(start, word, len);
}

/* "rw,freezer,signal" has "freezer" */
static bool has_option(const char *list, size_t len, const char *word)
{
	const char *end = list + len;

	while (list < end) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		size_t n = (size_t)((comma ? comma : end) - list);

		if (is(list, n, word))
			return true;
		list += n + 1;
	}
	return false;
}

bool cpt_mountinfo_line(const char *line, struct cpt_cgmount *ret)
{
	const char *root, *point, *type, *skip;
	size_t nroot, npoint, ntype, n;
	char *end;

	/* id parent major:minor root point options [tags …] - type source options */
	errno = 0;
	ret->id = strtoull(line, &end, 10);
	if (end == line || errno)
		return false;
	line = end;
	if (!(line = field(line, &skip, &n)) || !(line = field(line, &skip, &n)) ||
	    !(line = field(line, &root, &nroot)) || !(line = field(line, &point, &npoint)) ||
	    !(line = field(line, &skip, &n)))
		return false;
	do {
		line = field(line, &skip, &n);
	} while (line && !is(skip, n, "-"));
	if (!line || !(line = field(line, &type, &ntype)))
		return false;
	if (is(type, ntype, "cgroup2")) {
		ret->freezer = CPT_FREEZER_V2;
	} else if (is(type, ntype, "cgroup")) {
		if (!(line = field(line, &skip, &n)) || !(line = field(line, &skip, &n)) ||
		    !has_option(skip, n, "freezer"))
			return false;
		ret->freezer = CPT_FREEZER_V1;
	} else {
		return false;
	}
	return unescape(root, nroot, ret->root) && unescape(point, npoint, ret->point) &&
	       ret->root[0] == '/' && ret->point[0] == '/';
}

struct mounts {
	struct cpt_cgmount *m;
	unsigned n, cap;
};

static void cpt_auto_mounts(struct mounts *m)
{
	free(m->m);
}

/* v2 first, as names are looked up in this order */
static int mounts_read(struct mounts *ret, struct cpt_err *err)
{
	CPT_AUTO(buf) struct cpt_buf buf = { 0 };
	struct cpt_cgmount one;

	if (cpt_read_at(AT_FDCWD, "/proc/self/mountinfo", &buf, err))
		return -1;
	for (enum cpt_freezer want = CPT_FREEZER_V2; want >= CPT_FREEZER_V1; want--) {
		const char *line = buf.data;

		while (line < buf.data + buf.len) {
			char *end = memchr(line, '\n', (size_t)(buf.data + buf.len - line));

			if (end)
				*end = 0;
			/* cheap look first: most mounts are others */
			if (strstr(line, " - cgroup") && cpt_mountinfo_line(line, &one) &&
			    one.freezer == want) {
				CPT_GROW(ret->m, ret->n, ret->cap);
				ret->m[ret->n++] = one;
			}
			if (!end)
				break;
			*end = '\n';
			line = end + 1;
		}
	}
	return 0;
}

bool cpt_freezer_mounted(enum cpt_freezer which)
{
	CPT_AUTO(mounts) struct mounts mounts = { 0 };
	struct cpt_err err;

	if (mounts_read(&mounts, &err))
		return false;
	for (unsigned i = 0; i < mounts.n; i++)
		if (mounts.m[i].freezer == which)
			return true;
	return false;
}

/* ---- a folder -------------------------------------------------------- */

enum { NOT_THERE, NO_CGROUP, FOUND };

/* is @name a folder of a cgroup file system? Opens it. */
static int look(const char *name, int *ret)
{
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return NOT_THERE;
	if (fstatfs(fd, &fs) ||
	    (fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != CGROUP_SUPER_MAGIC)) {
		close(fd);
		errno = 0;
		return NO_CGROUP;
	}
	*ret = fd;
	return FOUND;
}

/* the folder that @fd stands for, as seen now; symbolic links and .. resolved */
static int folder_of(int fd, char path[4096], struct cpt_err *err)
{
	char link[40];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, 4096);
	if (n < 0)
		return cpt_fail_sys(err, "readlink %s", link);
	if (n >= 4096 || path[0] != '/')
		return cpt_fail_errno(err, ENAMETOOLONG, "the folder of the group");
	path[n] = 0;
	return 0;
}

/* drop ".", "" and ".." from an absolute path, in place; too many ".." stay at the front */
static void normalise(char *path)
{
	char *out = path;
	const char *p = path;
	unsigned parts = 0;

	while (*p) {
		const char *s;
		size_t n;

		while (*p == '/')
			p++;
		s = p;
		while (*p && *p != '/')
			p++;
		n = (size_t)(p - s);
		if (n == 0 || is(s, n, "."))
			continue;
		if (is(s, n, "..") && parts) {
			while (*--out != '/')
				;
			parts--;
			continue;
		}
		if (!is(s, n, ".."))
			parts++;
		*out++ = '/';
		memmove(out, s, n);
		out += n;
	}
	if (out == path)
		*out++ = '/';
	*out = 0;
}

/* is @path the group @above or below it? both as in /proc/PID/cgroup */
static bool within(const char *path, const char *above)
{
	size_t n = strlen(above);

	if (n == 1)
		return true;
	return !strncmp(path, above, n) && (path[n] == 0 || path[n] == '/');
}

/* find our own line: "0::/x" on v2, "6:freezer,signal:/x" on v1 */
static int own_group(enum cpt_freezer freezer, char path[4096], struct cpt_err *err)
{
	CPT_AUTO(buf) struct cpt_buf buf = { 0 };
	char *line, *save = NULL;

	if (cpt_read_at(AT_FDCWD, "/proc/self/cgroup", &buf, err))
		return -1;
	for (line = strtok_r(buf.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':'), *rest;

		if (!controllers || !(rest = strchr(++controllers, ':')))
			continue;
		*rest++ = 0;
		if (freezer == CPT_FREEZER_V2 ? line[0] != '0' || *controllers :
		    !has_option(controllers, strlen(controllers), "freezer"))
			continue;
		if (strlen(rest) >= 4096)
			break;
		strcpy(path, rest);
		return 0;
	}
	path[0] = 0;
	return 0;
}

static int finish(int taken, const struct mounts *mounts, struct cpt_group *ret, struct cpt_err *err)
{
	static const char *const file[] = {
		[CPT_FREEZER_V1] = "freezer.state", [CPT_FREEZER_V2] = "cgroup.freeze",
	};
	CPT_AUTO(fd) int fd = taken;
	const struct cpt_cgmount *m = NULL;
	char full[8192], own[4096];
	struct statx st;
	size_t n;

	if (folder_of(fd, ret->path, err))
		return -1;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st))
		return cpt_fail_sys(err, "statx %s", ret->path);
	for (unsigned i = 0; i < mounts->n && !m; i++)
		if (mounts->m[i].id == st.stx_mnt_id)
			m = &mounts->m[i];
	if (!m)
		return cpt_fail(err, CPT_USAGE, "%s is in a hierarchy without a freezer: name the group in the v2 hierarchy or in that of the v1 freezer",
				ret->path);
	n = strlen(m->point);
	if (strncmp(ret->path, m->point, n) || (n > 1 && ret->path[n] && ret->path[n] != '/'))
		return cpt_fail(err, CPT_SYSTEM, "%s is not below its mount %s", ret->path, m->point);
	strcpy(ret->mount, n == 1 ? "" : m->point);
	ret->freezer = m->freezer;
	if (faccessat(fd, file[m->freezer], F_OK, 0)) {
		if (!ret->path[n])
			return cpt_fail(err, CPT_USAGE, "%s is the root group, which holds the whole system and can't be frozen: name a group below it",
					ret->path);
		return cpt_fail(err, CPT_UNSUPPORTED, "%s has no %s: the kernel can't freeze this group",
				ret->path, file[m->freezer]);
	}

	if (own_group(m->freezer, own, err))
		return -1;
	snprintf(full, sizeof(full), "%s/%s", m->root, ret->path + n);
	normalise(full);
	ret->holds_caller = own[0] && within(own, full);
	ret->fd = CPT_TAKE(fd, -1);
	return 0;
}

int cpt_group_open(const char *name, struct cpt_group *ret, struct cpt_err *err)
{
	CPT_AUTO(mounts) struct mounts mounts = { 0 };
	int fd = -1, how;

	if (cpt_fault_here())
		return cpt_fail(err, CPT_SYSTEM, "find the group: injected fault");
	*ret = (struct cpt_group)CPT_GROUP_NONE;
	if (!name || !*name)
		return cpt_fail(err, CPT_USAGE, "no group named");
	if (strlen(name) >= PATH_MAX)
		return cpt_fail_errno(err, ENAMETOOLONG, "group %.60s…", name);
	if (mounts_read(&mounts, err))
		return -1;
	if (mounts.n == 0)
		return cpt_fail(err, CPT_UNSUPPORTED, "no cgroup hierarchy with a freezer is mounted (mount -t cgroup2 none /sys/fs/cgroup)");

	how = look(name, &fd);
	if (how == FOUND)
		return finish(fd, &mounts, ret, err);
	/* a name below a mount, also as /proc/PID/cgroup writes it */
	for (unsigned i = 0; i < mounts.n; i++) {
		char path[8192];

		snprintf(path, sizeof(path), "%s/%s", mounts.m[i].point, name);
		if (look(path, &fd) == FOUND)
			return finish(fd, &mounts, ret, err);
	}
	if (how == NO_CGROUP)
		return cpt_fail(err, CPT_USAGE, "%s is a folder but no cgroup: name one below %s",
				name, mounts.m[0].point);
	cpt_fail(err, CPT_SYSTEM, "no such group: %s (neither a folder nor a name below %s%s%s)", name,
		 mounts.m[0].point, mounts.n > 1 ? " or " : "",
		 mounts.n > 1 ? mounts.m[mounts.n - 1].point : "");
	err->sys = ENOENT;
	return -1;
}

void cpt_group_close(struct cpt_group *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
}
