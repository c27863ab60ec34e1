/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source.c - the bytes of an image: a file, or a stream copied to an unnamed one
 *
 * Everything is read with pread(2), nothing through a mapping: a file that
 * somebody cuts meanwhile gives an error, not a SIGBUS.
 */
#include "image/read.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FIRST (16 * 1024)
#define SPOOL_CHUNK (1024 * 1024)

static int spool_by_copy(const struct cpt_img *img, int from, struct cpt_err *err)
{
	CPT_AUTO(mem) char *chunk = cpt_malloc(SPOOL_CHUNK);

	for (;;) {
		ssize_t n = read(from, chunk, SPOOL_CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cpt_fail_sys(err, "read %s", img->name);
		if (n == 0)
			return 0;
		if (cpt_write_all(img->fd, chunk, (size_t)n))
			return cpt_fail_sys(err, "keep a copy of %s in memory", img->name);
		cpt_progress_add((uint64_t)n);
	}
}

/* out of a pipe, without a copy on the way */
static int spool_rest(const struct cpt_img *img, int from, struct cpt_err *err)
{
	fcntl(from, F_SETPIPE_SZ, SPOOL_CHUNK);		/* as it is will do too */
	for (;;) {
		ssize_t n = splice(from, NULL, img->fd, NULL, SPOOL_CHUNK, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL)
			return spool_by_copy(img, from, err);
		if (n < 0)
			return cpt_fail_sys(err, "keep a copy of %s in memory", img->name);
		if (n == 0)
			return 0;
		cpt_progress_add((uint64_t)n);
	}
}

/* look at the first bytes before copying without end what is no image */
static int spool(struct cpt_img *img, int from, struct cpt_err *err)
{
	struct cpt_disk_preamble p;

	img->fd = memfd_create("cptool-image", MFD_CLOEXEC);
	if (img->fd < 0)
		return cpt_fail_sys(err, "memfd_create");
	cpt_progress_begin(CPT_WORK_READ, 0);
	if (cpt_read_all(from, &p, sizeof(p))) {
		if (errno)
			return cpt_fail_sys(err, "read %s", img->name);
		return cpt_fail(err, CPT_BAD_IMAGE, "%s ends before an image begins", img->name);
	}
	if (cpt_disk_check_preamble(&p, err))
		return cpt_within(err, "%s", img->name);
	if (cpt_write_all(img->fd, &p, sizeof(p)))
		return cpt_fail_sys(err, "keep a copy of %s in memory", img->name);
	return spool_rest(img, from, err);
}

/* standard input that is a whole file needs no copy */
static bool is_whole_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) == 0;
}

static int open_source(struct cpt_img *img, const char *path, struct cpt_err *err)
{
	CPT_AUTO(fd) int fd = -1;
	bool stdin_ = !strcmp(path, "-");

	img->name = cpt_strdup(stdin_ ? "standard input" : path);
	fd = stdin_ ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cpt_fail_sys(err, "open %s", img->name);
	if (!is_whole_file(fd))
		return spool(img, fd, err);
	img->fd = CPT_TAKE(fd, -1);
	return 0;
}

int cpt_source_open(struct cpt_img *img, const char *path, struct cpt_err *err)
{
	struct stat st;

	if (open_source(img, path, err))
		return -1;
	if (fstat(img->fd, &st))
		return cpt_fail_sys(err, "stat %s", img->name);
	img->size = (uint64_t)st.st_size;
	return 0;
}

int cpt_view_at(struct cpt_view *v, uint64_t offset, size_t size, const void **ret,
		struct cpt_err *err)
{
	uint64_t end = v->offset + v->len;

	if (offset < v->offset || offset + size > end) {
		bool jump = offset < v->offset || offset > end;

		v->next = jump || !v->next ? FIRST : CPT_MIN(2 * v->next, (size_t)CPT_VIEW_MAX);
		v->next = CPT_MAX(v->next, size);
		v->len = 0;
		end = CPT_MIN(v->size - offset, (uint64_t)v->next);
		if (cpt_pread_all(v->fd, v->bytes, end, (off_t)offset))
			return errno ? cpt_fail_sys(err, "read %s", v->name) :
			       cpt_bad(v->name, offset, err, "the file was cut meanwhile");
		v->offset = offset;
		v->len = end;
	}
	*ret = v->bytes + (offset - v->offset);
	return 0;
}
