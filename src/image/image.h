/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.h - the container: one stream of checksummed records
 *
 * An image is a sequence of records; each has a header (magic, type, flags,
 * length, hash of the payload, hash of the header itself), a payload and
 * padding. Payloads are protobuf messages or pages. Page data is aligned to
 * 4096 in the file. Every page stored has a number, its *slot*, counted from 0
 * in the order of the file; a message names the content of memory by slots, so
 * that a page stored once can be used many times. The last two records are the
 * index and the commit record; without the latter the image is worthless.
 */
#ifndef CPT_IMAGE_H
#define CPT_IMAGE_H

#include "base/base.h"
#include "base/guard.h"

#include <protobuf-c/protobuf-c.h>

/* the numbers are the format: append only */
enum cpt_record {
	CPT_REC_HEADER = 1,	/* first; proto/header.proto */
	CPT_REC_CGROUP,		/* proto/cgroups.proto */
	CPT_REC_TASK,		/* proto/tasks.proto: one process with its threads and all per-task kinds */
	CPT_REC_MM,		/* proto/mm.proto: one address space */
	CPT_REC_OBJECT,		/* proto/objects.proto: one open file description or other shared object */
	CPT_REC_PAGES,		/* page data, no message */
	CPT_REC_BLOB,		/* raw bytes that belong to an object (content of a deleted file, …): id + data */
	CPT_REC_INDEX,
	CPT_REC_COMMIT,
};

/* bytes of an image's random id, the identity that an increment's base is known by */
#define CPT_IMG_ID 16

/* ---- writing --------------------------------------------------------- */

/*
 * A writer that fails stays failed: it can only be discarded. Nothing here
 * touches signal dispositions: who writes to a pipe ignores SIGPIPE (and
 * SIGXFSZ, if there is a file size limit) and gets EPIPE (EFBIG) reported.
 */
struct cpt_img_writer;

/**
 * cpt_img_create - begin an image
 * @path: file name (written under a temporary name beside it, mode 0600, to
 *        which a symlink is followed), or "-" for standard output. What exists
 *        and is no regular file (a fifo, a device) is written as a stream.
 */
int cpt_img_create(const char *path, struct cpt_img_writer **ret, struct cpt_err *err) CPT_CHECKED;
/** cpt_img_create_guarded - the same; @guard is told of the temporary file before there is one */
int cpt_img_create_guarded(const char *path, struct cpt_guard *guard, struct cpt_img_writer **ret,
			   struct cpt_err *err) CPT_CHECKED;
/** cpt_img_temp - absolute name of the temporary file ; NULL for a stream */
const char *cpt_img_temp(const struct cpt_img_writer *w);
/** cpt_img_writer_id - the image's id, CPT_IMG_ID bytes; borrowed */
const uint8_t *cpt_img_writer_id(const struct cpt_img_writer *w);
/**
 * cpt_img_put - append a message; the first is the one CPT_REC_HEADER
 *
 * Small records are collected before they are written. Records of one type
 * keep their order; between types the order in the file may differ.
 */
int cpt_img_put(struct cpt_img_writer *w, enum cpt_record type,
		const ProtobufCMessage *msg, struct cpt_err *err) CPT_CHECKED;
/** cpt_img_put_blob - append raw bytes under an id of the caller's (unique) */
int cpt_img_put_blob(struct cpt_img_writer *w, uint64_t id, const void *data, size_t size,
		     struct cpt_err *err) CPT_CHECKED;

/* pages of one record at most: what is hashed, read and lost together */
#define CPT_IMG_SPAN_PAGES 1024

/**
 * struct cpt_img_span - room for pages in a seekable image
 *
 * The bytes [offset, offset + npages * 4096) of @fd are written by anybody in
 * any order (pwritev by the task that owns the memory), then the span is closed.
 */
struct cpt_img_span {
	int fd;
	uint64_t offset;
	uint64_t first_slot;
	uint32_t npages;
	uint32_t record;	/* private */
};

/** cpt_img_seekable - true: spans can be used. False (a pipe): only cpt_img_put_pages */
bool cpt_img_seekable(const struct cpt_img_writer *w);
/** cpt_img_span_open - reserve a record of @npages (1 to CPT_IMG_SPAN_PAGES). Several may be open at once; other records may be put meanwhile. */
int cpt_img_span_open(struct cpt_img_writer *w, uint32_t npages, struct cpt_img_span *ret, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_img_span_close - the bytes are there: hash them (read back through the page cache) and write the record's header
 *
 * In a large image a thread of the writer's does so meanwhile; an error may
 * then come out of a later call.
 */
int cpt_img_span_close(struct cpt_img_writer *w, const struct cpt_img_span *s, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_img_span_close_hashed - the same by who has hashed the bytes while they passed by
 * @hash: of all bytes of the span in their order; image/hash.h. Wrong: the image can't be read.
 */
int cpt_img_span_close_hashed(struct cpt_img_writer *w, const struct cpt_img_span *s, uint64_t hash,
			      struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_img_write_pages - into the file at @offset, within a span that is open; from any thread
 * @zero: grows by how many pages were all zero; those are left out, and are holes in the file
 */
int cpt_img_write_pages(struct cpt_img_writer *w, const void *pages, uint32_t npages, uint64_t offset,
			uint32_t *zero, struct cpt_err *err) CPT_CHECKED;
/** cpt_zero_pages - how many of them are all zero */
uint32_t cpt_zero_pages(const void *pages, uint32_t npages);
/** cpt_img_put_pages - append pages from memory, one record of at most CPT_IMG_SPAN_PAGES; works on pipes too */
int cpt_img_put_pages(struct cpt_img_writer *w, const void *data, uint32_t npages,
		      uint64_t *first_slot, struct cpt_err *err) CPT_CHECKED;

/**
 * struct cpt_img_packed - a record of pages, compressed or not, ready to be written; made by image/pack.h
 * @payload: @length bytes, @hash is theirs
 */
struct cpt_img_packed {
	uint64_t first_slot;
	uint32_t npages;
	enum cpt_codec codec;
	void *payload;
	size_t length;
	uint64_t hash;
};

/**
 * cpt_img_take_slots - the numbers of pages that are still on their way to becoming a record
 *
 * All of them must be put before the commit, in any order.
 */
int cpt_img_take_slots(struct cpt_img_writer *w, uint32_t npages, uint64_t *first_slot, struct cpt_err *err) CPT_CHECKED;
/** cpt_img_put_packed - append a record whose slots were taken; works on pipes too */
int cpt_img_put_packed(struct cpt_img_writer *w, const struct cpt_img_packed *p, struct cpt_err *err) CPT_CHECKED;

/** cpt_img_written - pages stored so far, but for those of nothing but zeros, which are left out */
uint64_t cpt_img_written(const struct cpt_img_writer *w, uint64_t *zero);
/** cpt_img_bytes - length so far */
uint64_t cpt_img_bytes(const struct cpt_img_writer *w);
/** cpt_img_commit - close spans' bookkeeping, write index and commit record, sync, rename into place. After success the image is durable. */
int cpt_img_commit(struct cpt_img_writer *w, struct cpt_err *err) CPT_CHECKED;
/** cpt_img_discard - free; removes the temporary file unless committed; NULL is fine */
void cpt_img_discard(struct cpt_img_writer *w);
static inline void cpt_auto_img_writer(struct cpt_img_writer **w)
{
	cpt_img_discard(*w);
}

/* ---- reading --------------------------------------------------------- */

struct cpt_img;

/**
 * cpt_img_open - open an image, check its frame
 * @path: file name, or "-" (standard input is copied to an unnamed file first)
 *
 * Checks every record's header, the hash of every record but PAGES, that the
 * slots are contiguous, index and commit record. Says what is wrong and at which
 * offset, CPT_BAD_IMAGE. Page data is checked by cpt_img_check_pages.
 */
int cpt_img_open(const char *path, struct cpt_img **ret, struct cpt_err *err) CPT_CHECKED;
void cpt_img_close(struct cpt_img *img);
static inline void cpt_auto_img(struct cpt_img **img)
{
	cpt_img_close(*img);
}
/** cpt_img_id - CPT_IMG_ID bytes; borrowed */
const uint8_t *cpt_img_id(const struct cpt_img *img);
/** cpt_img_size - of the whole file, bytes */
uint64_t cpt_img_size(const struct cpt_img *img);
/**
 * cpt_img_unpack - make pages readable in place that are compressed in the image
 *
 * Decompresses all of them, by several threads, into an unnamed file, and
 * checks their hashes on the way. Does nothing when there are none. Before
 * cpt_img_locate is used.
 */
int cpt_img_unpack(struct cpt_img *img, struct cpt_err *err) CPT_CHECKED;
/** cpt_img_fd - the (seekable) file, for reading pages in place; borrowed */
int cpt_img_fd(const struct cpt_img *img);

/**
 * cpt_img_check_messages - unpack every message; is each sane, and does all exist that it refers to?
 *
 * What restore and verify have in common; src/image/kinds.c has the table.
 * The messages are kept: cpt_img_get is then free of cost.
 */
int cpt_img_check_messages(struct cpt_img *img, struct cpt_err *err) CPT_CHECKED;

/**
 * cpt_img_count - how many records of a type
 * cpt_img_get - the n-th of them; not to be changed, it lives until @arena or @img ends
 *
 * CPT_BAD_IMAGE when the bytes are no such message, or one with fields that
 * this cptool does not know.
 */
size_t cpt_img_count(const struct cpt_img *img, enum cpt_record type);
int cpt_img_get(const struct cpt_img *img, enum cpt_record type, size_t n,
		const ProtobufCMessageDescriptor *desc, struct cpt_arena *arena,
		void *ret /* MessageType ** */, struct cpt_err *err) CPT_CHECKED;
/** cpt_img_blob - the bytes of a blob, read when asked for, borrowed from @img */
int cpt_img_blob(const struct cpt_img *img, uint64_t id, const void **data, size_t *size, struct cpt_err *err) CPT_CHECKED;

/*
 * An increment names pages of the images it builds on: the upper bits of a
 * slot are the number of the ancestor, 1 for its base. An ancestor's own slots
 * seen from its child are CPT_IMG_BASE_SLOT higher.
 */
#define CPT_IMG_FILE_SHIFT 48
#define CPT_IMG_BASE_SLOT (1ULL << CPT_IMG_FILE_SHIFT)
#define CPT_IMG_CHAIN_MAX 1000		/* images that an increment may build on, one on the other */

/** cpt_img_builds_on - is that file the image, or one that it builds on? */
bool cpt_img_builds_on(const struct cpt_img *img, dev_t dev, ino_t ino);
/** cpt_img_depth - on how many images it builds, one on the other; after cpt_img_check_messages */
unsigned cpt_img_depth(const struct cpt_img *img);
/** cpt_img_slots - how many pages are stored in this very image */
uint64_t cpt_img_slots(const struct cpt_img *img);
/**
 * cpt_img_locate - file offset of a slot, and how many slots from there on stand next to each other in the file
 * The slot must exist. It is of the file cpt_img_slot_fd(), which is cpt_img_fd() but for pages of ancestors and of compressed records.
 */
uint64_t cpt_img_locate(const struct cpt_img *img, uint64_t slot, uint64_t *contiguous);
int cpt_img_slot_fd(const struct cpt_img *img, uint64_t slot);

/*
 * Pages that are wanted later only. After cpt_img_need_none, cpt_img_unpack
 * and the checks below leave out every record that cpt_img_need did not ask
 * for; slots of ancestors are meant as well.
 */
void cpt_img_need_none(struct cpt_img *img);
void cpt_img_need(struct cpt_img *img, uint64_t slot, uint64_t count);

/**
 * struct cpt_img_reader - room for the pages of one record
 *
 * One for each thread; an image may be read by several.
 */
struct cpt_img_reader;
struct cpt_img_reader *cpt_img_reader_new(void);
void cpt_img_reader_free(struct cpt_img_reader *r);
/** cpt_img_reader_read - read the record that holds @slot, compare its hash, decompress it */
int cpt_img_reader_read(struct cpt_img_reader *r, const struct cpt_img *img, uint64_t slot,
			struct cpt_err *err) CPT_CHECKED;
/** cpt_img_reader_pages - its pages in their order, after a read; borrowed, and always at the same place */
const void *cpt_img_reader_pages(const struct cpt_img_reader *r);
/** cpt_img_record - first slot and number of pages of the record that holds @slot */
void cpt_img_record(const struct cpt_img *img, uint64_t slot, uint64_t *first, uint32_t *npages);
/** cpt_img_fds - descriptors of the image and all it builds on; returns how many there are, borrowed */
size_t cpt_img_fds(const struct cpt_img *img, int *ret, size_t room);

/**
 * cpt_img_check_pages - compare the hash of all page data
 * cpt_img_check_start / _finish: the same on threads of its own meanwhile; the
 * caller's other work goes on. Finish must be called once after a start. All of
 * them after cpt_img_check_messages(), which opens the images that it builds on.
 */
int cpt_img_check_pages(const struct cpt_img *img, struct cpt_err *err) CPT_CHECKED;
int cpt_img_check_start(struct cpt_img *img, struct cpt_err *err) CPT_CHECKED;
int cpt_img_check_finish(struct cpt_img *img, struct cpt_err *err) CPT_CHECKED;

#endif
