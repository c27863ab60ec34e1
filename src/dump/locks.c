/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * locks.c - file locks: POSIX ones of a process, OFD and flock of a description
 *
 * fdinfo of a descriptor tells which it has, at some 6 us each; /proc/locks tells
 * at once which inodes of the machine have any, but takes a system-wide lock
 * for some 10 ms. So that is asked only when there are many descriptors.
 */
#include "dump/files.h"
#include "dump/fdinfo.h"
#include "dump/table.h"

#include <fcntl.h>
#include <stdio.h>

#define MANY 1500			/* descriptors of files */

struct seen {
	bool ask_all;			/* there are few: /proc/locks was not read */
	struct cpt_table locked;	/* inode numbers with a lock */
	struct cpt_table processes;	/* process and inode: POSIX locks noted */
	struct cpt_table objects;	/* ids whose own locks are noted */
};

static void cpt_auto_seen(const struct seen *s)
{
	free(s->locked.slots);
	free(s->processes.slots);
	free(s->objects.slots);
}

/* true the first time */
static bool first_time(struct cpt_table *t, uint64_t key)
{
	if (cpt_table_get(t, key))
		return false;
	cpt_table_put(t, key, t);
	return true;
}

/* which inodes of the whole machine have locks */
static int read_all(struct cpt_dump *d, struct seen *s, struct cpt_err *err)
{
	if (cpt_read_at(AT_FDCWD, "/proc/locks", &d->buf, err))
		return -1;
	for (const char *line = d->buf.data; line && *line; line = strchr(line, '\n')) {
		unsigned long ino;

		line += *line == '\n';
		if (sscanf(line, "%*d: %*s %*s %*s %*d %*x:%*x:%lu", &ino) == 1 ||
		    sscanf(line, "%*d: -> %*s %*s %*s %*d %*x:%*x:%lu", &ino) == 1)
			cpt_table_put(&s->locked, ino, s);
	}
	return 0;
}

static void add(struct cpt_dump *d, Cpt__Lock ***v, size_t *n, Cpt__Lock *lock)
{
	Cpt__Lock **grown = cpt_arena_array(&d->arena, Cpt__Lock *, *n + 1);

	if (*n)
		memcpy(grown, *v, *n * sizeof(*grown));
	grown[(*n)++] = lock;
	*v = grown;
}

struct line {
	char kind[8], mode[8], end[24];
	unsigned long long start;
};

static Cpt__Lock *parse(struct cpt_dump *d, const struct line *l)
{
	Cpt__Lock *lock = CPT_MESSAGE(d, Cpt__Lock, cpt__lock__init);

	if (strcmp(l->kind, "POSIX") == 0)
		CPT_SET(lock, kind, CPT__LOCK_KIND__LOCK_POSIX);
	else if (strcmp(l->kind, "OFDLCK") == 0)
		CPT_SET(lock, kind, CPT__LOCK_KIND__LOCK_OFD);
	else if (strcmp(l->kind, "FLOCK") == 0)
		CPT_SET(lock, kind, CPT__LOCK_KIND__LOCK_FLOCK);
	else
		return NULL;
	CPT_SET(lock, write, strcmp(l->mode, "WRITE") == 0);
	CPT_SET(lock, start, l->start);
	if (strcmp(l->end, "EOF") != 0)
		CPT_SET(lock, length, strtoull(l->end, NULL, 10) - l->start + 1);
	return lock;
}

/* the lock lines of one descriptor; @t NULL: it is ours */
static void note(struct cpt_dump *d, struct cpt_task *t, uint32_t fd, struct cpt_description *desc,
		 bool posix, bool own)
{
	const char *at = d->buf.data;
	struct line l;

	while ((at = cpt_fdinfo_line(at, "lock:"))) {
		Cpt__Lock *lock;

		if (sscanf(at, "%*d: %7s %*s %7s %*d %*x:%*x:%*u %llu %23s", l.kind, l.mode, &l.start, l.end) != 4 ||
		    !(lock = parse(d, &l))) {
			cpt_refuse(d, t, "fd %u: it has a file lease, or a lock of an unknown kind", fd);
			continue;
		}
		if (lock->kind == CPT__LOCK_KIND__LOCK_POSIX && posix && t) {
			CPT_SET(lock, fd, fd);
			add(d, &t->img->files->locks, &t->img->files->n_locks, lock);
		} else if (lock->kind != CPT__LOCK_KIND__LOCK_POSIX && own) {
			add(d, &desc->img->locks, &desc->img->n_locks, lock);
		}
	}
}

static int look_at(struct cpt_dump *d, struct seen *s, struct cpt_task *t, uint32_t fd,
		   struct cpt_description *desc, struct cpt_err *err)
{
	char path[40];
	bool posix, own;

	if (!desc || !desc->inode || !desc->img->regular ||
	    (!s->ask_all && !cpt_table_get(&s->locked, desc->ino)))
		return 0;
	snprintf(path, sizeof(path), "fdinfo/%u", fd);
	if (cpt_read_at(t->proc, path, &d->buf, err))
		return cpt_within(err, "process %d", t->pid);
	posix = first_time(&s->processes, cpt_table_mix(desc->ino, (uint64_t)t->pid) | 1);
	own = first_time(&s->objects, desc->img->id);
	note(d, t, fd, desc, posix, own);
	return 0;
}

static int look_everywhere(struct cpt_dump *d, struct cpt_err *err)
{
	CPT_AUTO(seen) struct seen s = { 0 };
	size_t n = 0;

	for (unsigned i = 0; i < d->ntasks; i++)
		n += d->tasks[i].img && d->tasks[i].img->files ? d->tasks[i].img->files->n_fds : 0;
	s.ask_all = n <= MANY;
	if (!s.ask_all && read_all(d, &s, err))
		return -1;
	if (!s.ask_all && !s.locked.n)
		return 0;
	for (unsigned i = 0; i < d->ntasks; i++) {
		struct cpt_task *t = &d->tasks[i];
		const Cpt__Files *files = t->img ? t->img->files : NULL;

		for (size_t k = 0; files && k < files->n_fds; k++)
			if (look_at(d, &s, t, files->fds[k]->fd, cpt_dump_described(d, files->fds[k]->object), err))
				return -1;
	}
	return 0;
}

const struct cpt_dump_kind cpt_dump_locks = {
	.name = "locks",
	.group = look_everywhere,
};
