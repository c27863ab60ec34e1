/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.h - what the files of the writer share */
#ifndef CPT_IMAGE_WRITE_H
#define CPT_IMAGE_WRITE_H

#include "image/format.h"

#include <stdatomic.h>

/* a record that has its place in the file */
struct cpt_placed {
	struct cpt_disk_record header;
	uint64_t offset;
	bool open;			/* a span whose data may still be on the way */
};

/* where an image goes */
struct cpt_out {
	int fd;
	bool stream;			/* no seeking, no renaming, nothing to remove */
	int dir;			/* the folder, -1 for a stream */
	char *name;			/* as messages call it */
	char *target;			/* final and temporary name in the folder */
	char *temp;
	char *temp_path;		/* absolute */
	struct cpt_guard *guard;	/* knows of temp_path; NULL: none */
	uint64_t allocated;		/* file space asked for, UINT64_MAX: that is of no use */
	_Atomic uint64_t holes;		/* bytes of pages left out */
	bool in_memory;			/* a file system without a disk; known once the image is large */
	struct cpt_behind *behind;	/* a thread, once the image is large and goes to a disk */
};

struct cpt_img_writer {
	struct cpt_out out;
	struct cpt_disk_preamble preamble;
	uint64_t seed;
	bool failed, begun, committed;

	/* small records, collected; they get their place when they are written */
	struct cpt_buf buf;
	size_t *pending, npending, pending_cap;	/* offsets of headers in buf */
	size_t nplaced;				/* of them */

	uint64_t end;				/* of the file, without buf */
	uint64_t slots;
	struct cpt_placed *records;
	size_t nrecords, records_cap;
	size_t nopen;				/* spans */
	uint64_t taken;				/* slots whose record is not put yet */
	uint64_t hashed;			/* bytes of spans closed */
	char *chunk;				/* to hash with, before there is a thread */
	struct cpt_hasher *hasher;		/* the thread; NULL until there is much to hash */
};

/* ---- out.c: names and files ------------------------------------------ */

int cpt_out_open(struct cpt_out *out, const char *path, struct cpt_guard *guard, struct cpt_err *err) CPT_CHECKED;
/** cpt_out_write - at @at, which for a stream is where it stands */
int cpt_out_write(struct cpt_out *out, const void *data, size_t size, uint64_t at,
		  struct cpt_err *err) CPT_CHECKED;
/** cpt_out_ahead - the file will grow to @end: ask for space in large pieces */
void cpt_out_ahead(struct cpt_out *out, uint64_t end);
/** cpt_out_finish - make it durable under its name */
int cpt_out_finish(struct cpt_out *out, struct cpt_err *err) CPT_CHECKED;
/** cpt_out_close - free; the temporary file goes unless @keep */
void cpt_out_close(struct cpt_out *out, bool keep);

/* ---- behind.c: to the disk meanwhile ----------------------------------- */

/** cpt_behind_start - NULL if there can be no thread; then the sync at the end has more to do */
struct cpt_behind *cpt_behind_start(int fd);
/** cpt_behind_reach - the file has room for records up to @end */
void cpt_behind_reach(struct cpt_behind *b, uint64_t end);
/** cpt_behind_end - of the thread; returns an errno, 0: all that it did went well. The rest, fsync does */
int cpt_behind_end(struct cpt_behind *b);

/* ---- write.c: records ------------------------------------------------- */

/** cpt_img_broken - fails if the writer failed before; every call begins with it */
int cpt_img_broken(const struct cpt_img_writer *w, struct cpt_err *err) CPT_CHECKED;
/** cpt_img_add - a small record to the buffer; returns room for its payload, to be sealed with cpt_img_added */
void *cpt_img_add(struct cpt_img_writer *w, enum cpt_record type, uint64_t key, size_t size);
void cpt_img_added(struct cpt_img_writer *w);
/** cpt_img_place - the buffered records get offset and number */
void cpt_img_place(struct cpt_img_writer *w);
int cpt_img_flush(struct cpt_img_writer *w, struct cpt_err *err) CPT_CHECKED;

/* ---- hasher.c: hashing what others wrote ------------------------------- */

/**
 * cpt_hasher_add - the data of @p is in the file: hash it and write its header, now or soon
 * cpt_hasher_finish - until all of them are done and in w->records; ends the thread
 * cpt_hasher_abandon - the image is given up: end the thread
 *
 * Return an errno, 0 for success: maybe that of an earlier span.
 */
int cpt_hasher_add(struct cpt_img_writer *w, struct cpt_placed *p);
int cpt_hasher_finish(struct cpt_img_writer *w);
void cpt_hasher_abandon(struct cpt_img_writer *w);

#endif
