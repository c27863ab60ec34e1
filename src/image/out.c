/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* out.c - where an image goes: a temporary file beside its target, or a stream */
#include "image/write.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/magic.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define AHEAD (64ULL << 20)	/* bytes asked for at once */
#define AHEAD_FROM (16ULL << 20)	/* a smaller image is written before that pays */
#define BEHIND_FROM (128ULL << 20)	/* a smaller one may stay in the page cache */
#define HOLES_FROM (1ULL << 20)		/* bytes of holes worth looking for */
#define HOLE_MIN (64 << 10)
#define NAME_KEPT 200		/* of the target's name, so that the temporary one fits */

static int open_stream(struct cpt_out *out, int fd)
{
	out->fd = fd;
	out->stream = true;
	return 0;
}

/* /a/b/name: the folder and the name; @path is resolved already or not there yet */
static int open_folder(struct cpt_out *out, const char *path, struct cpt_err *err)
{
	CPT_AUTO(mem) char *copy = cpt_strdup(path);
	char *slash = strrchr(copy, '/');
	const char *folder = ".";

	if (slash) {
		folder = slash == copy ? "/" : copy;
		out->target = cpt_strdup(slash + 1);
		*slash = 0;
	} else {
		out->target = cpt_strdup(path);
	}
	if (!*out->target)
		return cpt_fail(err, CPT_USAGE, "%s is not the name of a file", out->name);
	out->dir = open(*folder ? folder : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (out->dir < 0)
		return cpt_fail_sys(err, "open the folder of %s", out->name);
	return 0;
}

static int absolute(int dir, const char *name, char **ret, struct cpt_err *err)
{
	char self[64], folder[PATH_MAX];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", dir);
	n = readlink(self, folder, sizeof(folder) - 1);
	if (n < 0)
		return cpt_fail_sys(err, "readlink %s", self);
	folder[n] = 0;
	if (asprintf(ret, "%s/%s", n == 1 ? "" : folder, name) < 0)
		abort();
	return 0;
}

/*
 * The guard is told the name before there is such a file; a name out of 64
 * random bits is nobody else's.
 */
static int open_temp(struct cpt_out *out, struct cpt_guard *guard, struct cpt_err *err)
{
	CPT_AUTO(mem) char *name = NULL, *path = NULL;
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return cpt_fail_sys(err, "getrandom");
	if (asprintf(&name, ".%.*s.%016llx", NAME_KEPT, out->target, (unsigned long long)random) < 0)
		abort();
	if (absolute(out->dir, name, &path, err))
		return -1;
	if (guard && cpt_guard_add(guard, CPT_UNDO_UNLINK, path, NULL, err))
		return -1;
	out->fd = cpt_fault_here() ? (errno = EIO, -1) :
		  openat(out->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out->fd < 0)
		return cpt_fail_sys(err, "create a file beside %s", out->name);
	out->guard = guard;
	out->temp = CPT_TAKE(name, NULL);
	out->temp_path = CPT_TAKE(path, NULL);
	return 0;
}

int cpt_out_open(struct cpt_out *out, const char *path, struct cpt_guard *guard, struct cpt_err *err)
{
	CPT_AUTO(mem) char *real = NULL;
	struct stat st;

	*out = (struct cpt_out) { .fd = -1, .dir = -1 };
	if (!strcmp(path, "-")) {
		out->name = cpt_strdup("standard output");
		return open_stream(out, STDOUT_FILENO);
	}
	out->name = cpt_strdup(path);
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return cpt_fail(err, CPT_USAGE, "%s is a folder", path);
		if (!S_ISREG(st.st_mode)) {
			int fd = open(path, O_WRONLY | O_CLOEXEC);

			return fd < 0 ? cpt_fail_sys(err, "open %s", path) : open_stream(out, fd);
		}
		real = realpath(path, NULL);
		if (!real)
			return cpt_fail_sys(err, "resolve %s", path);
	} else if (errno != ENOENT) {
		return cpt_fail_sys(err, "look at %s", path);
	}
	if (open_folder(out, real ? real : path, err))
		return -1;
	return open_temp(out, guard, err);
}

int cpt_out_write(struct cpt_out *out, const void *data, size_t size, uint64_t at,
		  struct cpt_err *err)
{
	int bad;

	if (cpt_fault_here()) {
		errno = EIO;
		return cpt_fail_sys(err, "write %s", out->name);
	}
	bad = out->stream ? cpt_write_all(out->fd, data, size) :
			    cpt_pwrite_all(out->fd, data, size, (off_t)at);
	return bad ? cpt_fail_sys(err, "write %s", out->name) : 0;
}

/*
 * On ext4 pages go into space asked for beforehand half as fast again as into
 * space found page by page; tmpfs would only zero it. A failure is of no
 * account: the write that needs the space will say so.
 */
void cpt_out_ahead(struct cpt_out *out, uint64_t end)
{
	uint64_t more = AHEAD - end % AHEAD;
	struct statfs fs;

	if (end >= BEHIND_FROM && !out->behind && !out->in_memory && !out->stream)
		out->behind = cpt_behind_start(out->fd);
	if (out->behind)
		cpt_behind_reach(out->behind, end);
	if (end < AHEAD_FROM || end <= out->allocated)
		return;
	if (!out->allocated && (fstatfs(out->fd, &fs) || fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)) {
		out->allocated = UINT64_MAX;
		out->in_memory = true;
	} else if (fallocate(out->fd, FALLOC_FL_KEEP_SIZE, (off_t)out->allocated,
			   (off_t)(end + more - out->allocated)))
		out->allocated = UINT64_MAX;
	else
		out->allocated = end + more;
}

/* space that was asked for, where pages were left out; a failure wastes some of it, no more */
static void punch_holes(const struct cpt_out *out, off_t size)
{
	off_t data = 0, hole;

	while (data < size && (hole = lseek(out->fd, data, SEEK_HOLE)) >= 0 && hole < size) {
		data = lseek(out->fd, hole, SEEK_DATA);
		if (data < 0)
			data = size;
		if (data - hole >= HOLE_MIN)
			(void)!fallocate(out->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hole, data - hole);
	}
}

/* give back what was asked for and not used */
static int trim(struct cpt_out *out, struct cpt_err *err)
{
	struct stat st;

	if (!out->allocated || out->in_memory)
		return 0;
	if (fstat(out->fd, &st) || ftruncate(out->fd, st.st_size))
		return cpt_fail_sys(err, "trim %s", out->name);
	if (out->holes >= HOLES_FROM)
		punch_holes(out, st.st_size);
	return 0;
}

/* On the disk, and if it is large not in the page cache any more. */
static int sync_file(struct cpt_out *out, struct cpt_err *err)
{
	bool large = out->behind;
	int sys = large ? cpt_behind_end(CPT_TAKE(out->behind, NULL)) : 0;

	if (fsync(out->fd))
		return cpt_fail_sys(err, "sync %s", out->name);
	if (sys)
		return cpt_fail_errno(err, sys, "sync %s", out->name);
	if (large)
		posix_fadvise(out->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static int sync_folder(struct cpt_out *out, struct cpt_err *err)
{
	CPT_AUTO(fd) int dir = openat(out->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* some file systems can't sync a folder: no reason to lose a dump */
	if (dir < 0 || (fsync(dir) && errno != EINVAL && errno != EROFS))
		return cpt_fail_sys(err, "sync the folder of %s", out->name);
	return 0;
}

int cpt_out_finish(struct cpt_out *out, struct cpt_err *err)
{
	int fd = out->fd;

	if (out->stream)
		return 0;
	if (cpt_fault_here()) {
		errno = EIO;
		return cpt_fail_sys(err, "sync %s", out->name);
	}
	cpt_progress_begin(CPT_WORK_SYNC, 0);
	if (trim(out, err) || sync_file(out, err))
		return -1;
	out->fd = -1;
	if (close(fd))
		return cpt_fail_sys(err, "close %s", out->name);
	/* Ctrl-C comes before or after the name is given, but not with it */
	if (out->guard)
		cpt_guard_no_return(out->guard);
	if (renameat(out->dir, out->temp, out->dir, out->target))
		return cpt_fail_sys(err, "rename %s to %s", out->temp_path, out->target);
	return sync_folder(out, err);
}

void cpt_out_close(struct cpt_out *out, bool keep)
{
	if (out->behind)
		(void)cpt_behind_end(out->behind);
	if (out->temp && !keep)
		unlinkat(out->dir, out->temp, 0);
	if (out->fd >= 0 && out->fd != STDOUT_FILENO)
		close(out->fd);
	if (out->dir >= 0)
		close(out->dir);
	free(out->name);
	free(out->target);
	free(out->temp);
	free(out->temp_path);
}
