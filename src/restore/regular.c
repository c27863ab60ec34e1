/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regular.c - files, folders and harmless devices by name; files without one with their content */
#include "restore/files.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* ---- is it there, and as it was? --------------------------------------- */

static const char *kind_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "a file";
	case S_IFDIR: return "a folder";
	case S_IFCHR: return "a device";
	case S_IFLNK: return "a symbolic link";
	case S_IFSOCK: return "a socket";
	case S_IFIFO: return "a fifo";
	default: return "something else";
	}
}

static bool changed(const Cpt__Regular *f, const struct stat *now)
{
	return S_ISREG(f->mode) && !f->live &&
	       ((uint64_t)now->st_size != f->size || now->st_mtim.tv_sec != f->mtime_s ||
		(uint32_t)now->st_mtim.tv_nsec != f->mtime_ns);
}

/* by its handle, in the file system of the folder that it was in */
static int open_handle(struct cpt_restore *r, const Cpt__Regular *f, uint32_t flags)
{
	struct file_handle *h = cpt_arena_alloc(&r->arena, sizeof(*h) + f->handle.len);
	char *folder = cpt_arena_strdup(&r->arena, f->path);

	for (;;) {			/* the folder itself may be gone: the next one above */
		char *slash = strrchr(folder, '/');

		slash[slash == folder] = 0;
		CPT_AUTO(fd) int mount = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (mount < 0 && folder[1])
			continue;
		h->handle_bytes = (unsigned)f->handle.len;
		h->handle_type = f->handle_type;
		memcpy(h->f_handle, f->handle.data, f->handle.len);
		return mount < 0 ? -1 : open_by_handle_at(mount, h, (int)(flags & CPT_OPEN_FLAGS) | O_CLOEXEC);
	}
}

static int look_handle(struct cpt_restore *r, const Cpt__Object *o)
{
	CPT_AUTO(fd) int fd = open_handle(r, o->regular, O_PATH);
	struct stat now;

	if (fd < 0 || fstat(fd, &now) || !S_ISREG(now.st_mode))
		cpt_missing(r, "the file that was %s, and had other names, is gone", o->regular->path);
	else if (changed(o->regular, &now))
		cpt_missing(r, "the file that was %s has changed since the dump", o->regular->path);
	return 0;
}

int cpt_regular_look(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	const Cpt__Regular *f = o->regular;
	struct stat now;

	if (f->carried)
		return 0;
	if (f->has_handle)
		return look_handle(r, o);
	/* what is only pointed at may be a symbolic link itself */
	if (fstatat(AT_FDCWD, f->path, &now, o->flags & O_PATH ? AT_SYMLINK_NOFOLLOW : 0)) {
		if (errno != ENOENT && errno != ENOTDIR)
			return cpt_fail_sys(err, "stat %s", f->path);
		if (strncmp(f->path, "/sys/fs/cgroup/", 15) != 0)	/* the group comes back first */
			cpt_missing(r, "%s is gone; put it back", f->path);
		return 0;
	}
	if ((now.st_mode & S_IFMT) != (f->mode & S_IFMT))
		cpt_missing(r, "%s was %s, and is %s now", f->path, kind_name(f->mode), kind_name(now.st_mode));
	else if (f->has_rdev && now.st_rdev != f->rdev)
		cpt_missing(r, "%s is another device now", f->path);
	else if (changed(f, &now))
		cpt_missing(r, "%s has changed since the dump (size %llu then, %llu now)", f->path,
			    (unsigned long long)f->size, (unsigned long long)now.st_size);
	return 0;
}

/* ---- without a name ----------------------------------------------------- */

/* the folder it was in is best: the same file system */
static int unnamed_file(struct cpt_restore *r, const Cpt__Regular *f, struct cpt_err *err)
{
	char *folder = cpt_arena_strdup(&r->arena, f->path);
	char *slash = strrchr(folder, '/');
	const char *places[] = { folder, "/tmp", "/dev/shm" };

	if (slash)
		slash[slash == folder] = 0;
	for (size_t i = 0; i < CPT_COUNT(places); i++) {
		int fd = open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

		if (fd >= 0)
			return fd;
	}
	return cpt_fail_sys(err, "no place for the deleted file %s", f->path);
}

static int unnamed_folder(struct cpt_restore *r, const Cpt__Regular *f, struct cpt_err *err)
{
	char *name = cpt_arena_printf(&r->arena, "%s.cptool-%d", f->path, getpid());
	int fd;

	if (cpt_guard_add(&r->guard, CPT_UNDO_RMDIR, name, NULL, err))
		return -1;
	if (mkdir(name, 0700)) {
		name = cpt_arena_printf(&r->arena, "/tmp/cptool-deleted-%d", getpid());
		if (mkdir(name, 0700))
			return cpt_fail_sys(err, "no place for the deleted folder %s", f->path);
	}
	fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rmdir(name) || fd < 0)
		return cpt_fail_sys(err, "make a deleted folder at %s", name);
	return fd;
}

static int make_nameless(struct cpt_restore *r, const Cpt__Regular *f, int *ret, struct cpt_err *err)
{
	bool folder = S_ISDIR(f->mode);
	CPT_AUTO(fd) int fd = folder ? unnamed_folder(r, f, err) : unnamed_file(r, f, err);
	struct timespec times[2] = { { 0, UTIME_OMIT }, { f->mtime_s, f->mtime_ns } };

	if (fd < 0)
		return -1;
	if (!folder && ftruncate(fd, (off_t)f->size))
		return cpt_fail_sys(err, "make it %llu bytes long", (unsigned long long)f->size);
	if (f->pages && cpt_restore_file_pages(r, fd, f->pages, err))
		return -1;
	if (fchown(fd, f->uid, f->gid) || fchmod(fd, f->mode & 07777))
		return cpt_fail_sys(err, "set its owner and mode");
	if (!folder && futimens(fd, times))
		return cpt_fail_sys(err, "set its times");
	*ret = CPT_TAKE(fd, -1);
	return 0;
}

/* ---- open ---------------------------------------------------------------- */

int cpt_open_regular(struct cpt_restore *r, const Cpt__Object *o, int *fd, struct cpt_err *err)
{
	const Cpt__Regular *f = o->regular;

	if (f->carried) {
		int *inode = cpt_object_inode(r, o);

		if (*inode < 0 && o->has_inode_of)
			return cpt_fail(err, CPT_BAD_IMAGE, "object %u carries no file", o->inode_of);
		if (*inode < 0 && make_nameless(r, f, inode, err))
			return -1;
		*fd = cpt_object_reopen(*inode, o, err);
		return *fd < 0 ? -1 : 0;
	}
	if (f->has_handle)
		*fd = open_handle(r, f, o->flags);
	else
		*fd = open(f->path, (int)(o->flags & CPT_OPEN_FLAGS) | O_CLOEXEC | O_NOCTTY);
	if (*fd < 0)
		return cpt_fail_sys(err, "open");
	return 0;
}
