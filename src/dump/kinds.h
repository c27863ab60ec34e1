/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kinds.h - the room of src/dump: a dump in progress, and what a kind of state is
 *
 * The engine (dump.c) freezes and seizes the group, then for each process:
 *   look     from outside: /proc, pidfd_getfd, prlimit, …; the task is stopped
 *   ask      add calls to the batch of the leader / of each thread
 *   tell     read their results
 *   like     do without: the answers of a thread are those of another (alike.h)
 * and writes one Task record. A kind fills its field of the message; memory
 * comes from d->arena. What can't be carried is refused with cpt_refuse(),
 * which lets the dump go on looking, so that all reasons come out at once.
 */
#ifndef CPT_DUMP_KINDS_H
#define CPT_DUMP_KINDS_H

#include "base/base.h"
#include "base/guard.h"
#include "base/procfs.h"
#include "base/self.h"
#include "freeze/freeze.h"
#include "image/image.h"
#include "remote/remote.h"

#include "header.pb-c.h"
#include "mm.pb-c.h"
#include "objects.pb-c.h"
#include "tasks.pb-c.h"

struct cpt_thread {
	pid_t tid;
	struct cpt_remote remote;	/* .tid is 0 until it is seized */
	bool stopped;
	const struct cpt_facts *facts;	/* alike.h; NULL: nothing known */
	struct cpt_thread *model;	/* which answers for this one; NULL: it is asked itself */
	Cpt__Thread *img;
};

#define CPT_FDS_EACH 3			/* open for a process as long as the dump lasts: .proc, .pidfd, .mm.mem */

struct cpt_task {			/* one process */
	pid_t pid;
	int proc;			/* folder /proc/PID */
	int pidfd;			/* -1 for a zombie */
	unsigned subgroup;		/* index into d->tree.groups == Cgroup.id */
	struct cpt_status status;	/* of the leader */
	struct cpt_stat stat;
	char comm[CPT_COMM];		/* printable */
	bool zombie;
	bool stop_told;			/* stopped, and its parent has waited for that */
	struct cpt_task *parent;	/* inside the group, else NULL */
	struct cpt_thread *threads;	/* [0] is the leader */
	unsigned nthreads;
	struct cpt_remote_mm mm;
	uint64_t vdso_end;		/* 0: it has none */
	bool flags_known;		/* of its mappings, to view.c: maps will do for smaps */
	bool has_children;		/* in the group */
	struct cpt_known *known;	/* private to memory.c */
	struct cpt_kept *kept;		/* private to memory.c: page tables for its children to be compared with */
	bool stored;			/* its memory is */
	bool put;			/* its records are written */
	pid_t twin;			/* a copy-on-write copy of it; 0: none */
	Cpt__Task *img;
	Cpt__Mm *mm_img;
};

struct cpt_dump {
	const struct cpt_dump_options *opt;
	struct cpt_arena arena;		/* lives as long as the dump */
	struct cpt_buf buf;		/* for /proc files; contents valid until the next read */
	struct cpt_batch batch;
	struct cpt_group group;
	struct cpt_grouptree tree;
	struct cpt_guard guard;
	struct cpt_img_writer *img;	/* NULL in cpt_check(): nothing is written */
	struct cpt_task *tasks;		/* ascending by pid; parents may come later */
	unsigned ntasks;
	struct cpt_task *zombies;	/* met while relatives are looked for */
	unsigned nzombies;
	bool checking;			/* cpt_check(): nothing is written */
	bool was_frozen;		/* before we came */
	bool end_frozen;		/* the group is to be frozen when its tasks are let go */
	bool again;			/* this dump is worth nothing, another may be */
	bool exact_flags;		/* smaps is read in the pause, whatever it costs */
	bool no_twin;			/* it was tried, and could not be done */
	bool twins;			/* memory is read from them, when the group runs again */
	bool twin_planned;		/* memory was left for them that would have been copied first */
	bool twin_limited, twin_short;	/* memory has a limit; it is too near, or that of processes */
	uint64_t smaps_ns;		/* spent on reading it in the pause */
	uint64_t last_round;		/* pages copied in it */
	bool copied_running;		/* there was one */
	double copy_page_ns;		/* how long it takes to copy a page */
	struct cpt_precopy *precopies;	/* private to precopy.c */
	size_t nprecopies, cap_precopies;
	struct cpt_huge *huge;		/* private to huge.c */
	size_t nhuge, cap_huge;
	unsigned most_precopies;	/* descriptors allow no more */
	uint64_t group_kib;		/* private memory of all processes, before the pause; … */
	unsigned group_processes;	/* … and how many there were */
	struct cpt_btf *btf;		/* read ahead for the view, or NULL */
	bool roomy;			/* no memory limit is near */
	bool relatives_counted;
	struct cpt_track *track;	/* private to track.c */
	struct cpt_room *rooms;		/* private to room.c */
	size_t nrooms, cap_rooms;
	struct cpt_sleep *sleeps;	/* private to sleeps.c */
	size_t nsleeps, cap_sleeps;
	uint64_t sleeps_looked_at;	/* CLOCK_MONOTONIC, ns */
	uint64_t stop_began;		/* CLOCK_MONOTONIC, ns */
	unsigned refused;		/* reasons so far */
	char first_reason[400];
	struct cpt_stats stats;
	struct cpt_buf maps;		/* for /proc/PID/smaps */
	struct cpt_ahead *ahead;	/* private to ahead.c */
	struct cpt_view *view;		/* private to view.c; NULL: there is none */
	struct cpt_alike *alike;	/* private to alike.c; NULL: nothing known */
	struct cpt_mapped *mapped;	/* private to mm.c */
	struct cpt_objects *objects;	/* private to objects.c */
	struct cpt_dump_memory *memory;	/* private to memory.c */
	struct cpt_self *self;		/* by cpt_dump_self() */
	uint64_t own_namespaces;	/* the view's name for namespaces that are cptool's; 0: unknown */
	bool *self_frozen;		/* by group: frozen by itself before the dump; NULL: not looked yet */
	struct Cpt__Cgroup *cgroups;	/* private to cgroups.c */
};

/** cpt_dump_self - see that d->self is there: what cptool itself is */
static inline int cpt_dump_self(struct cpt_dump *d, struct cpt_err *err)
{
	return d->self ? 0 : cpt_self_read(&d->arena, &d->self, err);
}

/**
 * cpt_refuse - one reason why this group can't be dumped: "what: why; way out"
 * The task is put before it: "task 123 (redis-server): fd 7: …". @t may be NULL.
 */
void cpt_refuse(struct cpt_dump *d, const struct cpt_task *t, const char *fmt, ...) CPT_PRINTF(3, 4);

/** cpt_dump_find - the process with this pid in the dump, or NULL */
struct cpt_task *cpt_dump_find(struct cpt_dump *d, pid_t pid);

struct cpt_dump_kind {
	const char *name;
	/* any may be NULL; all but `group` are called once per (living) process or thread */
	int (*look)(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err);
	int (*look_thread)(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err);
	/* *state: the kind's own between ask and tell (offsets, call numbers); arena memory */
	int (*ask)(struct cpt_dump *d, struct cpt_task *t, struct cpt_batch *b, void **state, struct cpt_err *err);
	int (*tell)(struct cpt_dump *d, struct cpt_task *t, const struct cpt_batch *b, void *state, struct cpt_err *err);
	int (*ask_thread)(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_batch *b, void **state, struct cpt_err *err);
	int (*tell_thread)(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, const struct cpt_batch *b, void *state, struct cpt_err *err);
	/* instead of both: th->model has been told, th->facts says what is different */
	int (*like_thread)(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err);
	/* once, when all processes have been looked at and before records are written */
	int (*group)(struct cpt_dump *d, struct cpt_err *err);
	/* once, at the end: write records of its own (objects, cgroups, …) */
	int (*write)(struct cpt_dump *d, struct cpt_err *err);
};
extern const struct cpt_dump_kind *const cpt_dump_kinds[];	/* kinds.c; NULL-terminated */

/* ---- objects.c: open file descriptions and shared memory -------------- */

/**
 * cpt_dump_mapped - the object behind a file mapping [start, end) of @t
 * @write: opened for writing when restored (a shared mapping that may be written)
 * Content of deleted files is carried. Same inode and mode: same object.
 */
int cpt_dump_mapped(struct cpt_dump *d, struct cpt_task *t, uint64_t start, uint64_t end,
		    bool write, uint32_t *object, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_path - an object for a directory or file that /proc/PID/@link points at (exe, cwd, root) */
int cpt_dump_path(struct cpt_dump *d, struct cpt_task *t, const char *link,
		  uint32_t *object, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_new_object - a new, empty object with an id; kept in order of ids and written at the end */
Cpt__Object *cpt_dump_new_object(struct cpt_dump *d);
/** cpt_dump_objects_free - whatever objects.c holds; fine when there is nothing */
void cpt_dump_objects_free(struct cpt_dump *d);

/* ---- memory.c -------------------------------------------------------- */

/**
 * cpt_dump_file_pages - store the content of [0, @size) of @fd as pages
 * Holes and zero pages are left out. For memfds, deleted files, shared memory.
 */
int cpt_dump_file_pages(struct cpt_dump *d, int fd, uint64_t size, Cpt__Pages **ret, struct cpt_err *err) CPT_CHECKED;

#endif
