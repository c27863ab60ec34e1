/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.h - how the files that deal with pages meet
 *
 * memory.c finds out which pages are to be stored, known.c remembers what was
 * found in parents, own.c asks with PAGEMAP_SCAN where nothing can be shared,
 * queue.c brings the bytes into the image.
 */
#ifndef CPT_DUMP_MEMORY_H
#define CPT_DUMP_MEMORY_H

#include "dump/engine.h"

#include <pthread.h>

/* runs of pages, growing; becomes a Pages message */
struct cpt_pages {
	uint64_t *index, *count, *slot;
	size_t n, cap;
};
/** cpt_pages_add - append a run; joined to the last one where it continues it */
void cpt_pages_add(struct cpt_pages *p, uint64_t index, uint64_t count, uint64_t slot);
/** cpt_pages_merge - both lists as one */
void cpt_pages_merge(struct cpt_pages *p, const Cpt__Pages *other);
/** cpt_pages_message - as a message in @a; empties @p */
Cpt__Pages *cpt_pages_message(struct cpt_pages *p, struct cpt_arena *a);

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_PRESENT (1ULL << 63)
#define PM_SWAP (1ULL << 62)
#define PM_FILE (1ULL << 61)		/* page of a file or of shared memory */
#define PM_GUARD (1ULL << 58)
#define PM_UFFD_WP (1ULL << 57)		/* not written to since it was protected */
#define PM_EXCLUSIVE (1ULL << 56)	/* mapped nowhere else */
#define PM_PFN ((1ULL << 55) - 1)
#define NO_SLOT UINT64_MAX

/* page frame number -> slot, and who showed it first: open addressing; frame 0 is never shared */
struct cpt_frames {
	struct cpt_frame {
		uint64_t pfn, slot, vpn;
		const struct cpt_task *t;
	} *table;
	uint64_t mask, used;
	unsigned shift;
	struct cpt_frame *trusted;	/* those that were found again */
	size_t ntrusted, cap_trusted;
};
/** cpt_frame_find - the slot of a frame seen before, or NO_SLOT */
uint64_t cpt_frame_find(struct cpt_dump *d, uint64_t pfn);
void cpt_frame_remember(struct cpt_dump *d, const struct cpt_task *t, uint64_t vpn, uint64_t pfn, uint64_t slot);
/** cpt_frames_expect - so many more will be remembered, perhaps */
void cpt_frames_expect(struct cpt_dump *d, uint64_t n);
void cpt_frames_free(struct cpt_frames *f);

/** cpt_count_moves - a number that changes when the kernel has moved pages between frames; UINT64_MAX: it may any time */
uint64_t cpt_count_moves(void);
/**
 * cpt_frames_check - after all has been read: were frames what they were taken for?
 * Fails with EAGAIN and d->again set when a page has moved: the next dump is careful.
 */
int cpt_frames_check(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;

/* content of a page -> slot: open addressing by a hash with a secret seed, which nobody can aim at */
struct cpt_contents {
	struct cpt_content {
		uint64_t hash[2], slot;
	} *table;
	size_t mask, used;
	uint64_t seed;
};
/** cpt_content_slot - where the slot of this content is kept: UINT64_MAX when it is new, to be filled in */
uint64_t *cpt_content_slot(struct cpt_contents *c, const void *page);

/* what stood in the pagemap of a process that has children, and where it was stored */
struct cpt_known_run {
	uint64_t vpn;
	size_t n;
	uint64_t *entry, *slot;
};
struct cpt_known {
	struct cpt_known_run *runs;	/* ascending */
	size_t n, cap;
};
struct cpt_known_run *cpt_known_add(struct cpt_known *k, uint64_t vpn, const uint64_t *entry, size_t n);
const struct cpt_known_run *cpt_known_find(const struct cpt_known *k, uint64_t vpn);
void cpt_known_free(struct cpt_known *k);
/**
 * cpt_known_refresh - read [@vpn, @vpn + @n) of @pagemap into @entry, while what is known of @parent there is as it stands
 * A page that has moved since is known by its new frame then.
 */
int cpt_known_refresh(const struct cpt_task *parent, int pagemap, uint64_t vpn, uint64_t *entry, size_t n,
		      struct cpt_err *err) CPT_CHECKED;

/* pagemaps.c: pagemaps of related processes, read ahead by threads */
struct cpt_entries {
	uint64_t vpn, *entry;
	size_t n;
};
/**
 * cpt_pagemaps_between - entries of [@start, @end) of a task, a mapping of it: *@ret, *@n ranges with something in them
 * Valid until cpt_pagemaps_done(). false: they were not read ahead.
 */
bool cpt_pagemaps_between(struct cpt_dump *d, const struct cpt_task *t, uint64_t start, uint64_t end,
			  const struct cpt_entries **ret, size_t *n);
void cpt_pagemaps_done(struct cpt_dump *d, const struct cpt_task *t);
void cpt_pagemaps_end(struct cpt_dump *d);

/* bytes still to be brought into the image: from a task's memory, or from a file */
struct cpt_run {
	pid_t pid;			/* 0: from @fd */
	int fd;				/* owned by the queue */
	uint64_t at;			/* address, or offset in the file; bytes */
	uint32_t npages;
	bool shared;			/* some of it may be shared with another task */
	bool running;			/* the task runs: what can't be read any more does not matter */
};

struct cpt_dump_memory {
	bool sharing;			/* there is more than one address space */
	bool no_scan;			/* this kernel has no PAGEMAP_SCAN */
	bool careful;			/* frames are compared at one time, not one after the other */
	uint64_t moves;			/* cpt_count_moves() at the beginning */
	struct cpt_pagemaps *ahead;	/* private to pagemaps.c */
	bool not_ahead;
	struct cpt_tables *tables;	/* page tables can be compared; NULL: not */
	bool tables_tried;
	uint64_t zero_pfn;
	uint64_t next_slot;
	struct cpt_pages pages;
	uint64_t *stacks;		/* where the stacks of all processes begin, ascending; made when asked for */
	unsigned nstacks;
	struct cpt_frames frames;
	struct cpt_contents contents;
	struct cpt_run *runs;		/* what the next record of pages is made of */
	size_t nruns, cap;
	uint32_t queued;		/* pages in it */
	struct cpt_copiers *copiers;	/* threads, once there is much to do */
};

/** cpt_compares_tables - are page tables of this process compared with its parent's, in place of pagemaps? */
bool cpt_compares_tables(const struct cpt_dump *d, const struct cpt_task *t);
/** cpt_may_share - may this process share pages with another of the group? */
bool cpt_may_share(struct cpt_dump *d, const struct cpt_task *t);
/** cpt_pagemap_open - of a process, or of its twin, if @twin is not 0 */
int cpt_pagemap_open(const struct cpt_task *t, pid_t twin);
/** cpt_private_memory - is it private, and not the kernel's own? */
bool cpt_private_memory(const Cpt__Vma *v);
/** cpt_memory_cloned - a mapping that a clone of the address space has, with its content */
bool cpt_memory_cloned(const Cpt__Vma *v);
/** cpt_dump_memory_of - d->memory, made if need be */
struct cpt_dump_memory *cpt_dump_memory_of(struct cpt_dump *d);
/**
 * cpt_precopied - the slot of a page copied then; it counts only if the page was not written to since
 * @near: where to begin to look, 0 at first
 */
bool cpt_precopied(const struct cpt_precopy *p, size_t *near, uint64_t address, uint64_t *slot);

/** cpt_precopy_relatives_watched - were all that @t may share pages with copied first, as it was itself? In the pause or later. */
bool cpt_precopy_relatives_watched(struct cpt_dump *d, const struct cpt_task *t);

/**
 * cpt_precopied_run - how many pages from @start on have slots in a row (or none: *slot UINT64_MAX); at least 1
 * @from: where to go on looking; 0 at first, then @start must ascend
 */
uint64_t cpt_precopied_run(const struct cpt_precopy *p, size_t *from, uint64_t start, uint64_t end, uint64_t *slot);

/** cpt_precopy_protected - with --track, all that was written in [start, end) has been protected again in the pause */
void cpt_precopy_protected(struct cpt_dump *d, pid_t pid, uint64_t start, uint64_t end);

/** cpt_store - bring [@start, @end) into the image, and into the list of pages */
typedef int (*cpt_store)(void *arg, uint64_t start, uint64_t end, struct cpt_err *err);

/**
 * cpt_scan_own - pages of @v that have a content of their own
 * @pre: of a mapping under protection, or NULL
 * @store: who takes pages that were not copied before; NULL where none can be shared
 */
int cpt_scan_own(struct cpt_dump *d, struct cpt_task *t, const struct cpt_precopy *pre, int pagemap,
		 const Cpt__Vma *v, cpt_store store, void *arg, struct cpt_err *err) CPT_CHECKED;

/** cpt_scan_twin - the same of its twin, after cpt_precopy_settle(); @pagemap is that of the twin */
int cpt_scan_twin(struct cpt_dump *d, pid_t twin, const struct cpt_precopy *pre, int pagemap, const Cpt__Vma *v,
		  cpt_store store, void *arg, struct cpt_err *err) CPT_CHECKED;

/**
 * cpt_precopy_note - in the pause: note what was written to since it was copied
 * cpt_precopy_settle - later, for twins: forget the copies of that. What cpt_precopied() finds is then what the twins hold.
 */
int cpt_precopy_note(struct cpt_dump *d, const struct cpt_task *t, struct cpt_err *err) CPT_CHECKED;
void cpt_precopy_settle(struct cpt_dump *d);

/* of a process, after cpt_precopy_note() */
struct cpt_precopy_sum {
	uint64_t left;			/* pages that have to be copied; an estimate */
	uint64_t huge_kib;		/* in huge pages */
};
/** cpt_precopy_sum - @anon_kib: what it has now */
void cpt_precopy_sum(const struct cpt_dump *d, pid_t pid, uint64_t anon_kib, struct cpt_precopy_sum *ret);
/** cpt_precopy_join - when all is read: what was copied before and not written to since is added to the lists of pages */
void cpt_precopy_join(struct cpt_dump *d);
/** cpt_precopy_calm - was so little left after the last round that the pause will be short anyway? */
bool cpt_precopy_calm(const struct cpt_dump *d);

/**
 * cpt_queue_memory - store @count pages at @address of a task, from slot m->next_slot on
 * @shared: some of them may be shared with another task
 */
int cpt_queue_memory(struct cpt_dump *d, pid_t pid, uint64_t address, uint64_t count, bool shared, struct cpt_err *err) CPT_CHECKED;
/** cpt_queue_running - the same of a task that runs */
int cpt_queue_running(struct cpt_dump *d, pid_t pid, uint64_t address, uint64_t count, bool shared, struct cpt_err *err) CPT_CHECKED;
/** cpt_queue_drain - returns when everything queued so far stands in the image */
int cpt_queue_drain(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_queue_pause_ns - how long so many pages take in the pause; an estimate */
uint64_t cpt_queue_pause_ns(const struct cpt_dump *d, uint64_t pages);
/** cpt_queue_late - the group runs again: compress and write what was only read in the pause; fine when there is nothing */
int cpt_queue_late(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_queue_file - the same from a file; @fd is duplicated when needed later */
int cpt_queue_file(struct cpt_dump *d, int fd, uint64_t offset, uint64_t count, struct cpt_err *err) CPT_CHECKED;
void cpt_queue_free(struct cpt_dump_memory *m);

#endif
