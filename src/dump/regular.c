/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * regular.c - files and folders that have a name, files that have none any
 * more, and devices without a state
 *
 * A file is carried by its name; that it is the same file then is known by
 * size and time of change. A file without a name is carried with its content.
 */
#include "dump/files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#ifndef SYSFS_MAGIC
#define SYSFS_MAGIC 0x62656572
#endif

static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

static void fill(const struct cpt_fd *f, const char *path, Cpt__Regular *r)
{
	r->path = (char *)path;
	CPT_SET(r, mode, f->st.st_mode);
	if (S_ISREG(f->st.st_mode)) {
		CPT_SET(r, size, (uint64_t)f->st.st_size);
		CPT_SET(r, mtime_s, f->st.st_mtim.tv_sec);
		CPT_SET(r, mtime_ns, (uint32_t)f->st.st_mtim.tv_nsec);
	}
	if (S_ISCHR(f->st.st_mode) || S_ISBLK(f->st.st_mode))
		CPT_SET(r, rdev, f->st.st_rdev);
}

const char *cpt_last_name(struct cpt_dump *d, struct cpt_fd *f)
{
	static const char tail[] = " (deleted)";
	char *path = cpt_arena_strdup(&d->arena, cpt_fd_link(d, f));
	size_t len = strlen(path);

	if (len > sizeof(tail) && strcmp(path + len - sizeof(tail) + 1, tail) == 0)
		path[len - sizeof(tail) + 1] = 0;
	return path;
}

static int carry_content(struct cpt_dump *d, struct cpt_fd *f, Cpt__Regular *r, struct cpt_err *err)
{
	char name[40];

	if (!S_ISREG(f->st.st_mode) || !f->st.st_size)
		return 0;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", f->fd);
	CPT_AUTO(fd) int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cpt_fail_sys(err, "open the deleted file %s for reading", r->path);
	return cpt_dump_file_pages(d, fd, (uint64_t)f->st.st_size, &r->pages, err);
}

/* without a name: the first description carries the content for all */
static int look_nameless(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	struct cpt_inode *i = cpt_dump_inode(d, &f->st);

	if (f->flags & O_PATH && !S_ISREG(f->st.st_mode) && !S_ISDIR(f->st.st_mode)) {
		cpt_refuse_fd(d, f, "%s: a deleted special file can't be dumped", cpt_fd_link(d, f));
		return 0;
	}
	fill(f, cpt_last_name(d, f), o->regular);
	CPT_SET(o->regular, carried, true);
	if (i->first) {
		CPT_SET(o, inode_of, i->first->id);
		return 0;
	}
	i->first = o;
	CPT_SET(o->regular, uid, f->st.st_uid);
	CPT_SET(o->regular, gid, f->st.st_gid);
	return carry_content(d, f, o->regular, err);
}

/* known to its file system by a handle, however its names change */
static int look_handle(struct cpt_dump *d, struct cpt_fd *f, Cpt__Regular *r)
{
	struct file_handle *h = cpt_arena_alloc(&d->arena, sizeof(*h) + MAX_HANDLE_SZ);
	int mount;

	h->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(f->fd, "", h, &mount, AT_EMPTY_PATH))
		return -1;
	fill(f, cpt_last_name(d, f), r);
	CPT_SET(r, handle_type, h->handle_type);
	r->has_handle = true;
	r->handle = (ProtobufCBinaryData){ h->handle_bytes, h->f_handle };
	return 0;
}

/* files that the kernel makes up when they are read */
static int is_live(struct cpt_fd *f, bool *live, struct cpt_err *err)
{
	struct statfs fs;

	*live = false;
	if (f->st.st_size && f->st.st_size != 4096)	/* sysfs says 4096 */
		return 0;
	if (fstatfs(f->fd, &fs))
		return cpt_fail_sys(err, "fstatfs");
	*live = fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC ||
		fs.f_type == CGROUP2_SUPER_MAGIC || fs.f_type == DEBUGFS_MAGIC || fs.f_type == TRACEFS_MAGIC;
	return 0;
}

static bool in_proc_of_task(const char *path)
{
	return strncmp(path, "/proc/", 6) == 0 && path[6] >= '0' && path[6] <= '9';
}

/* a path that leads to the very file; NULL: known by its handle, or refused */
static const char *find_name(struct cpt_dump *d, struct cpt_fd *f, const Cpt__Object *o, struct cpt_inode *i)
{
	const char *path = cpt_fd_link(d, f);
	struct stat st;

	if (path[0] == '/' && lstat(path, &st) == 0 && same_inode(&st, &f->st))
		return path;
	if (i->path)
		return i->path;
	if (path[0] == '/' && S_ISREG(f->st.st_mode) && !look_handle(d, f, o->regular))
		return NULL;
	if (path[0] != '/')
		cpt_refuse_fd(d, f, "%s can't be dumped yet", path);
	else
		cpt_refuse_fd(d, f, "%s: the file has another name now, or something is mounted over it; "
			      "open it by a name that stays", path);
	return NULL;
}

int cpt_look_regular(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	struct cpt_inode *i = cpt_dump_inode(d, &f->st);
	const char *path;
	bool live;

	o->regular = CPT_MESSAGE(d, Cpt__Regular, cpt__regular__init);
	if (f->st.st_nlink == 0)
		return look_nameless(d, f, o, err);
	path = i->path && f->st.st_nlink == 1 ? i->path : find_name(d, f, o, i);
	if (!path)
		return 0;
	i->path = path;
	if (in_proc_of_task(path)) {
		cpt_refuse_fd(d, f, "%s: open files of /proc/PID can't be dumped yet", path);
		return 0;
	}
	fill(f, path, o->regular);
	if (!S_ISREG(f->st.st_mode))
		return 0;
	if (is_live(f, &live, err))
		return -1;
	if (live)
		CPT_SET(o->regular, live, true);
	return 0;
}

/* devices that remember nothing of who opened them */
static bool is_harmless(const struct stat *st)
{
	static const unsigned char minors[] = { 3, 5, 7, 8, 9 };	/* null zero full random urandom */

	if (!S_ISCHR(st->st_mode) || major(st->st_rdev) != 1)
		return false;
	return memchr(minors, (int)minor(st->st_rdev), sizeof(minors)) && minor(st->st_rdev) < 256;
}

static bool is_terminal(const struct stat *st)
{
	unsigned m = major(st->st_rdev);

	return S_ISCHR(st->st_mode) && (m == 4 || m == 5 || (m >= 136 && m <= 143));
}

int cpt_look_device(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	if (is_harmless(&f->st))
		return cpt_look_regular(d, f, o, err);
	if (is_terminal(&f->st))
		cpt_refuse_fd(d, f, "terminal %s: it belongs to the world outside; start the program with its "
			      "input and output redirected (--shell-job is not there yet)", cpt_fd_link(d, f));
	else
		cpt_refuse_fd(d, f, "device %s (%u:%u): its state can't be dumped", cpt_fd_link(d, f),
			      major(f->st.st_rdev), minor(f->st.st_rdev));
	return 0;
}
