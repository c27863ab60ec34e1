/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* spare.c - how many more processes a group may have, and how much memory the host has */
#include "dump/twin.h"

#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>

static void cpt_auto_mntent(FILE **f)
{
	if (*f)
		endmntent(*f);
}

/* where the hierarchy with this v1 controller, or the v2 hierarchy (""), is mounted */
static bool find_mount(const char *controller, char *ret, size_t size)
{
	CPT_AUTO(mntent) FILE *f = setmntent("/proc/self/mounts", "re");
	char text[8192];
	struct mntent m;

	while (f && getmntent_r(f, &m, text, sizeof(text)))
		if (*controller ? !strcmp(m.mnt_type, "cgroup") && hasmntopt(&m, controller) : !strcmp(m.mnt_type, "cgroup2"))
			return snprintf(ret, size, "%s", m.mnt_dir) < (int)size;
	return false;
}

/* A number in the file; what is no number ("max") or there is no file: no limit. */
static uint64_t number_in(struct cpt_dump *d, int folder, const char *file)
{
	struct cpt_err none;
	char *end;
	unsigned long long v;

	if (cpt_read_at(folder, file, &d->buf, &none))
		return UINT64_MAX;
	v = strtoull(d->buf.data, &end, 10);
	return end == d->buf.data || *end != '\n' ? UINT64_MAX : v;
}

/* The group that a line of /proc/PID/cgroup names, and all groups above it. */
static uint64_t pids_left(struct cpt_dump *d, const char *controllers, const char *path)
{
	char folder[4096 + 512];
	uint64_t left = UINT64_MAX;
	size_t mount;

	if ((*controllers && strcmp(controllers, "pids")) || !find_mount(controllers, folder, sizeof(folder)))
		return left;
	mount = strlen(folder);
	snprintf(folder + mount, sizeof(folder) - mount, "%s", path);
	for (char *slash; (slash = strrchr(folder + mount, '/')); *slash = 0) {
		CPT_AUTO(fd) int fd = slash[1] ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
		uint64_t max = fd < 0 ? UINT64_MAX : number_in(d, fd, "pids.max");
		uint64_t now = fd < 0 ? 0 : number_in(d, fd, "pids.current");

		if (max != UINT64_MAX)
			left = CPT_MIN(left, max > now ? max - now : 0);
	}
	return left;
}

uint64_t cpt_spare_pids(struct cpt_dump *d, pid_t pid)
{
	CPT_AUTO(mem) char *text = NULL;
	char path[32], *save = NULL;
	uint64_t left = UINT64_MAX;
	struct cpt_err none;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (cpt_read_at(AT_FDCWD, path, &d->buf, &none))
		return left;
	text = strdup(d->buf.data);
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':'), *where = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!where)
			continue;
		*where++ = 0;
		left = CPT_MIN(left, pids_left(d, controllers + 1, where));
	}
	return left;
}

uint64_t cpt_spare_memory(struct cpt_dump *d)
{
	struct cpt_err none;
	const char *at;

	if (cpt_read_at(AT_FDCWD, "/proc/meminfo", &d->buf, &none) || !(at = strstr(d->buf.data, "MemAvailable:")))
		return UINT64_MAX;
	return strtoull(at + strlen("MemAvailable:"), NULL, 10) * 1024;
}
