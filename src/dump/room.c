/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * room.c - is there room in the memory cgroups for what a dump needs in them?
 *
 * To ask a process, cptool maps some pages into it. They are charged to its
 * memory cgroup, and at the limit the kernel would not say no: it would kill
 * somebody there. So it is looked at before, while the group stands still; a
 * group without room is refused. A limit is never touched.
 */
#include "dump/engine.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM_PROCESS (32u << 10)	/* scratch, code, page tables: 16 to 25 KiB were seen */
#define ROOM_SPARE (256u << 10)
#define NO_LIMIT (UINT64_MAX / 4)

/* where processes of the group are charged; one for all of a memory cgroup */
struct cpt_room {
	char *path;			/* absolute */
	size_t top;			/* length of the mount's part of it, where limits end */
	bool v1;
	unsigned processes;
	uint64_t swapped;		/* bytes, when it was looked at last */
};

/* ---- finding the groups ------------------------------------------------ */

static bool has_option(const char *options, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = options; (p = strstr(p, word)); p += len)
		if ((p == options || p[-1] == ',') && (p[len] == ',' || p[len] == '\n' || !p[len]))
			return true;
	return false;
}

/* "… 31 0:31 ROOT POINT … - cgroup cgroup rw,memory": true when it is the one looked for */
static bool parse_mount(const char *line, bool v1, char root[4096], char point[4096])
{
	const char *end = strchrnul(line, '\n'), *kind = strstr(line, v1 ? " - cgroup " : " - cgroup2 ");
	char options[256];

	if (!kind || kind > end || sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2)
		return false;
	return !v1 || (sscanf(kind, " - cgroup %*s %255s", options) == 1 && has_option(options, "memory"));
}

/* the folder of @path, as /proc/PID/cgroup tells it, in a mount of this hierarchy */
static char *folder(struct cpt_dump *d, bool v1, const char *path, size_t *top)
{
	static char root[4096], point[4096];
	CPT_AUTO(buf) struct cpt_buf mounts = { 0 };
	struct cpt_err ignored;
	size_t below;

	if (cpt_read_at(AT_FDCWD, "/proc/self/mountinfo", &mounts, &ignored))
		return NULL;
	for (const char *line = mounts.data; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		if (!parse_mount(line, v1, root, point))
			continue;
		below = strcmp(root, "/") ? strlen(root) : 0;
		if (strncmp(path, root, below) || (below && path[below] && path[below] != '/'))
			continue;
		*top = strlen(point);
		return cpt_arena_printf(&d->arena, "%s%s", point, path + below);
	}
	return NULL;
}

static void count(struct cpt_dump *d, bool v1, const char *path)
{
	struct cpt_room r = { .v1 = v1, .processes = 1 };

	/* processes of one group mostly stand in one, so the last that was found is the first to be looked at */
	r.path = folder(d, v1, path, &r.top);
	if (!r.path)
		return;
	for (size_t i = d->nrooms; i-- > 0;)
		if (d->rooms[i].v1 == v1 && strcmp(d->rooms[i].path, r.path) == 0) {
			d->rooms[i].processes++;
			return;
		}
	CPT_GROW(d->rooms, d->nrooms, d->cap_rooms);
	d->rooms[d->nrooms++] = r;
}

/* the path of the memory controller's hierarchy, else of v2; the text is cut there */
static char *memory_path(char *text, bool *v1)
{
	char *v2_path = NULL;

	for (char *line = text, *next; *line; line = next) {
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

		next = strchrnul(line, '\n');
		if (*next)
			*next++ = 0;
		if (!path)
			continue;
		*path++ = 0;
		*v1 = has_option(controllers + 1, "memory");
		if (*v1)
			return path;
		if (!controllers[1])
			v2_path = path;
	}
	return v2_path;
}

static void look_at(struct cpt_dump *d, pid_t pid, char **last, bool *last_v1)
{
	struct cpt_err ignored;
	char file[40], *path;
	bool v1 = false;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	if (cpt_read_at(AT_FDCWD, file, &d->buf, &ignored))
		return;			/* it has ended */
	path = memory_path(d->buf.data, &v1);
	if (!path)
		return;
	if (*last && v1 == *last_v1 && strcmp(path, *last) == 0 && d->nrooms) {
		d->rooms[d->nrooms - 1].processes++;
		return;
	}
	count(d, v1, path);
	*last = cpt_arena_strdup(&d->arena, path);
	*last_v1 = v1;
}

int cpt_dump_rooms(struct cpt_dump *d, struct cpt_err *err)
{
	CPT_AUTO(grouptree) struct cpt_grouptree tree = { NULL, 0 };
	char *last = NULL;
	bool v1 = false;

	if (cpt_group_list(&d->group, &tree, err))
		return -1;
	for (unsigned g = 0; g < tree.ngroups; g++)
		for (unsigned i = 0; i < tree.groups[g].nprocs; i++)
			look_at(d, tree.groups[g].procs[i], &last, &v1);
	return 0;
}

/* ---- how much is left --------------------------------------------------- */

static uint64_t read_number(struct cpt_dump *d, const char *path, const char *file)
{
	struct cpt_err ignored;
	char name[4200];

	snprintf(name, sizeof(name), "%s/%s", path, file);
	if (cpt_read_at(AT_FDCWD, name, &d->buf, &ignored) || d->buf.data[0] < '0' || d->buf.data[0] > '9')
		return UINT64_MAX;	/* "max", or there is no such file */
	return strtoull(d->buf.data, NULL, 10);
}

static uint64_t stat_value(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = text; (p = strstr(p, name)); p += len)
		if ((p == text || p[-1] == '\n') && p[len] == ' ')
			return strtoull(p + len, NULL, 10);
	return 0;
}

/* page cache that goes before anybody is killed; half of it, for not all may */
static uint64_t reclaimable(struct cpt_dump *d, const char *path, bool v1)
{
	struct cpt_err ignored;
	uint64_t file, busy;
	char name[4200];

	snprintf(name, sizeof(name), "%s/memory.stat", path);
	if (cpt_read_at(AT_FDCWD, name, &d->buf, &ignored))
		return 0;
	file = stat_value(d->buf.data, v1 ? "total_inactive_file" : "inactive_file") +
	       stat_value(d->buf.data, v1 ? "total_active_file" : "active_file");
	busy = stat_value(d->buf.data, v1 ? "total_dirty" : "file_dirty") +
	       stat_value(d->buf.data, v1 ? "total_writeback" : "file_writeback");
	return file > busy ? (file - busy) / 2 : 0;
}

static uint64_t left_of(struct cpt_dump *d, const char *path, bool v1, const char *limit_file, const char *usage_file,
			uint64_t need)
{
	uint64_t limit = read_number(d, path, limit_file), usage, left;

	if (limit >= NO_LIMIT)
		return NO_LIMIT;
	usage = read_number(d, path, usage_file);
	if (usage == UINT64_MAX)
		return NO_LIMIT;
	left = limit > usage ? limit - usage : 0;
	return left < need ? left + reclaimable(d, path, v1) : left;
}

static uint64_t left_at(struct cpt_dump *d, const char *path, bool v1, uint64_t need)
{
	uint64_t left, swap;

	if (!v1)
		return left_of(d, path, v1, "memory.max", "memory.current", need);
	left = left_of(d, path, v1, "memory.limit_in_bytes", "memory.usage_in_bytes", need);
	swap = left_of(d, path, v1, "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes", need);
	return CPT_MIN(left, swap);
}

/*
 * What was swapped out is read by a dump, and so comes in. That the kernel makes
 * room for it by swapping out something else can't be relied on: where the swap is
 * slow it kills (seen on 6.18, with 24 MiB that could have gone).
 */
static void look_at_swap(struct cpt_dump *d, struct cpt_room *r)
{
	struct cpt_err ignored;
	char name[4200];

	if (!r->v1) {
		r->swapped = read_number(d, r->path, "memory.swap.current");
		if (r->swapped == UINT64_MAX)
			r->swapped = 0;
		return;
	}
	snprintf(name, sizeof(name), "%s/memory.stat", r->path);
	r->swapped = cpt_read_at(AT_FDCWD, name, &d->buf, &ignored) ? 0 : stat_value(d->buf.data, "swap");
}

/* those that are charged to @path or below it */
static uint64_t need_at(const struct cpt_dump *d, const struct cpt_room *of, size_t len, uint64_t *swapped)
{
	unsigned processes = 0;

	*swapped = 0;

	for (size_t i = 0; i < d->nrooms; i++)
		if (d->rooms[i].v1 == of->v1 && strncmp(d->rooms[i].path, of->path, len) == 0 &&
		    (d->rooms[i].path[len] == '/' || !d->rooms[i].path[len])) {
			processes += d->rooms[i].processes;
			*swapped += d->rooms[i].swapped;
		}
	return (uint64_t)processes * ROOM_PROCESS + ROOM_SPARE + *swapped;
}

/* the group itself and all above it */
static int check_room(struct cpt_dump *d, const struct cpt_room *r, uint64_t more, struct cpt_err *err)
{
	char *path = cpt_arena_strdup(&d->arena, r->path);

	for (char *end = path + strlen(path); end > path + r->top; end = strrchr(path, '/')) {
		uint64_t need, left, swapped;

		*end = 0;
		need = need_at(d, r, (size_t)(end - path), &swapped) + more;
		left = left_at(d, path, r->v1, need);
		if (left < need)
			return cpt_fail(err, CPT_UNSUPPORTED,
					"%.300s is at its memory limit: %llu KiB are left, a dump needs %llu KiB there%s; raise the limit %s (%s), or let it drop memory",
					path, (unsigned long long)left >> 10, (unsigned long long)need >> 10,
					swapped ? ", mostly for what is swapped out" : "", swapped ? "meanwhile" : "a little",
					r->v1 ? "memory.limit_in_bytes" : "memory.max");
	}
	return 0;
}

int cpt_dump_check_room(struct cpt_dump *d, struct cpt_err *err)
{
	for (size_t i = 0; i < d->nrooms; i++)
		look_at_swap(d, &d->rooms[i]);
	for (size_t i = 0; i < d->nrooms; i++)
		if (check_room(d, &d->rooms[i], 0, err))
			return -1;
	return 0;
}

bool cpt_dump_has_room(struct cpt_dump *d, uint64_t bytes)
{
	struct cpt_err why;

	for (size_t i = 0; i < d->nrooms; i++)
		if (check_room(d, &d->rooms[i], bytes, &why))
			return false;
	return true;
}
