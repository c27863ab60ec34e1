/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kinds.h - the room of src/restore: a restore in progress, and what a kind of state is
 *
 * The engine (restore.c) reads and checks the image, makes the cgroups, then:
 *   prepare   once, before any task exists: open objects here in cptool, …
 *   (engine)  processes are made, parents before children, memory in place
 *   build     calls made by the leader of each process, still with cptool's
 *             credentials and alone in its process; all processes exist
 *   (engine)  threads are made
 *   outside   by cptool from outside, once per process
 *   thread    calls made by each thread (the leader too), in the table's order;
 *             credentials and what takes rights away come last
 *   late      by cptool, once, when all of it stands
 *   (engine)  own registers and masks, everybody let go at once
 * All tasks are traced with EXITKILL and stopped; their scratch mapping and
 * control descriptors go away at the end.
 */
#ifndef CPT_RESTORE_KINDS_H
#define CPT_RESTORE_KINDS_H

#include "base/base.h"
#include "base/guard.h"
#include "base/self.h"
#include "base/vdso.h"
#include "freeze/freeze.h"
#include "image/image.h"
#include "remote/remote.h"

#include "cgroups.pb-c.h"
#include "header.pb-c.h"
#include "mm.pb-c.h"
#include "objects.pb-c.h"
#include "tasks.pb-c.h"

struct cpt_rthread {
	pid_t tid;
	struct cpt_remote remote;
	const Cpt__Thread *img;
};

struct cpt_rtask {
	pid_t pid;
	char comm[16];			/* printable, for messages */
	const Cpt__Task *img;
	const Cpt__Mm *mm_img;		/* NULL for a zombie */
	struct cpt_rtask *parent;	/* NULL: outside the group */
	struct cpt_rthread *threads;
	unsigned nthreads;
	struct cpt_remote_mm mm;
	/* the engine's own */
	struct cpt_rtask **children;
	unsigned nchildren;
	const Cpt__Mm *base;		/* what its address space held when it was made: the parent's; NULL: nothing */
	const Cpt__Mm *birth_mm;	/* what its children are born with: mm_img, but for pages they share among them */
	pid_t birth_session;		/* the session its creator must be in when it is made; 0: any */
	bool made;			/* it exists, stopped */
	bool grown;			/* its memory is in place, its children are made */
};

/* what comes after the processes run, private to lazy.c and the pager */
struct cpt_lazy {
	struct cpt_lazy_mm *v;
	size_t n;
	uint64_t pages;			/* of all */
};

struct cpt_restore {
	const struct cpt_restore_options *opt;
	struct cpt_arena arena;
	struct cpt_batch batch, other_batch;
	struct cpt_img *img;
	const Cpt__Header *header;
	const Cpt__Cgroup **cgroups;
	unsigned ncgroups;
	int *cgroup_fds;		/* folders of the groups made, by Cgroup.id */
	const Cpt__Object **objects;	/* by id; [0] is NULL */
	unsigned nobjects;		/* ids are below this */
	int *object_fds;		/* by id: this process's descriptor of it, or -1 */
	struct cpt_rtask *tasks;
	struct cpt_rtask **order;	/* the same, parents before children */
	unsigned ntasks;
	struct cpt_group group;
	uint64_t ignored;		/* signals that cptool ignores, which its children begin with */
	struct cpt_guard guard;
	int self_fd;			/* number, in every restored task, of a pidfd of cptool */
	int image_fd;			/* number, in every restored task, of the image */
	int spare_fd;			/* a number that no task uses, for a moment's need */
	uint64_t scratch;		/* where code and batches stand, in cptool and in every restored task */
	size_t scratch_size;
	uint64_t stage;			/* room for the vdso block while mappings change */
	struct cpt_vdso vdso;		/* cptool's own, moved into the tasks */
	Cpt__Mm **mms;			/* ascending by id */
	unsigned nmms;
	struct cpt_rtask **by_pid;	/* ascending */
	struct cpt_helper *helpers;	/* private to sessions.c */
	unsigned nhelpers;
	bool born_outside;		/* CLONE_INTO_CGROUP does not work for this group */
	bool checking;			/* page data is being checked on threads */
	unsigned missing;		/* reasons why it can't be done here */
	char first_missing[400];
	struct cpt_stats stats;
	struct cpt_self *self;		/* by cpt_restore_self() */
	bool charged_at_birth;		/* the first processes join a v1 memory group before they have memory */
	struct cpt_place *places;	/* private to hierarchies.c */
	bool timer_ids;			/* the ids of POSIX timers can be asked for */
	struct cpt_lazy lazy;
	struct {
		struct cpt_rtask *task;	/* NULL: nobody */
		struct cpt_batch batch;
	} beside;			/* private to tree.c: reads its memory while others are made */
	struct cpt_restore_objects *own;	/* private to objects.c and the kinds of objects */
};

/** cpt_restore_self - see that r->self is there: what cptool itself is, and so all that it makes */
static inline int cpt_restore_self(struct cpt_restore *r, struct cpt_err *err)
{
	return r->self ? 0 : cpt_self_read(&r->arena, &r->self, err);
}

/** cpt_missing - one reason why this image can't be restored here; all are collected before anything is touched */
void cpt_missing(struct cpt_restore *r, const char *fmt, ...) CPT_PRINTF(2, 3);

struct cpt_restore_kind {
	const char *name;
	/* any may be NULL */
	int (*look)(struct cpt_restore *r, struct cpt_err *err);	/* can it be done here? cpt_missing() */
	int (*prepare)(struct cpt_restore *r, struct cpt_err *err);
	int (*build)(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err);
	int (*outside)(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err);
	int (*thread)(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rthread *th, struct cpt_batch *b, struct cpt_err *err);
	int (*late)(struct cpt_restore *r, struct cpt_err *err);
};
extern const struct cpt_restore_kind *const cpt_restore_kinds[];	/* kinds.c; NULL-terminated */

/** cpt_restore_object_fd - cptool's descriptor of an object, -1 if it has none */
static inline int cpt_restore_object_fd(const struct cpt_restore *r, uint32_t id)
{
	return id < r->nobjects ? r->object_fds[id] : -1;
}

/**
 * cpt_restore_take - add calls that bring descriptor @from of cptool into the task
 * Returns the index of the call whose result is the new (close-on-exec)
 * descriptor, the lowest free one.
 */
size_t cpt_restore_take(struct cpt_restore *r, struct cpt_batch *b, int from);

/* ---- signals.c -------------------------------------------------------- */

/** cpt_restore_stop_signal - one that can end the batches of a process: not pending anywhere in it */
int cpt_restore_stop_signal(const Cpt__Task *img);
/** cpt_restore_objects_free - close what objects.c holds beside r->object_fds; before those are closed */
void cpt_restore_objects_free(struct cpt_restore *r);

/* ---- cgroups.c -------------------------------------------------------- */

/** cpt_restore_cgroups_make - find or make all groups; fills r->group and r->cgroup_fds; tells the guard */
int cpt_restore_cgroups_make(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
/** cpt_restore_cgroups_freeze - sub-groups that were frozen by themselves, are; from then on no batch can run in them */
int cpt_restore_cgroups_freeze(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_restore_memory_group - where charged_at_birth, move a process into its v1 memory group
 *
 * There, what a process has is not charged to the group that it moves to later.
 */
void cpt_restore_memory_group(struct cpt_restore *r, const struct cpt_rtask *t);

/** cpt_restore_cgroup_attach - move a process into the group with this Cgroup.id */
int cpt_restore_cgroup_attach(struct cpt_restore *r, unsigned cgroup, pid_t pid, struct cpt_err *err) CPT_CHECKED;

/** cpt_restore_file_pages - fill @fd (already of its size) with stored pages */
int cpt_restore_file_pages(struct cpt_restore *r, int fd, const Cpt__Pages *pages, struct cpt_err *err) CPT_CHECKED;

#endif
