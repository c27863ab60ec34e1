/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * track.h - what changes after an image is noted, for an increment on it
 *
 * The descriptors of write protection (precopy.c) outlive the dump in a small
 * process, the holder, which knows the image they belong to. The next dump of
 * the group takes them over, and ends the holder: from then on the protection
 * tells of changes since another instant.
 */
#ifndef CPT_DUMP_TRACK_H
#define CPT_DUMP_TRACK_H

#include "dump/engine.h"

/* flags of a mapping (CPT_VM_…) as smaps told them */
struct cpt_flags {
	uint64_t start, end, flags;
};

/* one process under write protection; pid and start time tell it from a later one */
struct cpt_held {
	int32_t pid;
	int32_t uffd;			/* -1: taken, or only asked about */
	uint64_t start_time;
	uint64_t nflags;
	struct cpt_flags *flags;	/* ascending, as they were at the image; owned */
};

struct cpt_held_list {
	uint8_t id[CPT_IMG_ID];		/* of the image */
	struct cpt_held *v;
	size_t n, cap;
};
void cpt_held_free(struct cpt_held_list *list);

/* holder.c */

/** cpt_holder_start - fork a holder, which waits; *ret: the way to it. It ends when that is closed before cpt_holder_give. */
int cpt_holder_start(const char *name, int *ret, struct cpt_err *err) CPT_CHECKED;
/** cpt_holder_give - hand it descriptors; returns when it can be found under its name */
int cpt_holder_give(int holder, const struct cpt_held_list *list, struct cpt_err *err) CPT_CHECKED;
/** cpt_holder_ask - what a holder of this name has; @take: with the descriptors, and it ends. Returns 1, 0 if there is none, -1. */
int cpt_holder_ask(const char *name, bool take, struct cpt_held_list *ret, struct cpt_err *err);

/* track.c */

/** cpt_track_begin - open the base, find out whether changes since it are known */
int cpt_track_begin(struct cpt_dump *d, struct cpt_err *err) CPT_CHECKED;
/** cpt_track_header - name the base in the image's header */
void cpt_track_header(struct cpt_dump *d, Cpt__Header *h);
/** cpt_track_has_base - will it be an increment? */
bool cpt_track_has_base(const struct cpt_dump *d);
/** cpt_track_held - what was taken over of this process, or NULL */
struct cpt_held *cpt_track_held(struct cpt_dump *d, pid_t pid, uint64_t start_time);
/** cpt_track_base_pages - of the process with this pid in the base, or NULL */
const Cpt__Pages *cpt_track_base_pages(const struct cpt_dump *d, pid_t pid);
/** cpt_track_keep - @uffd (owned from now on) goes to the holder */
void cpt_track_keep(struct cpt_dump *d, pid_t pid, uint64_t start_time, int uffd);
/** cpt_track_keep_flags - so do these, which are owned from now on; of a process that is kept, else they are freed */
void cpt_track_keep_flags(struct cpt_dump *d, pid_t pid, struct cpt_flags *flags, size_t n);
/** cpt_track_commit - the image is there: the holder has what was kept */
void cpt_track_commit(struct cpt_dump *d);
void cpt_track_free(struct cpt_dump *d);

#endif
