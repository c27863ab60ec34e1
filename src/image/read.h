/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read.h - what the files of the reader share */
#ifndef CPT_IMAGE_READ_H
#define CPT_IMAGE_READ_H

#include "image/format.h"

/* a record whose frame was found good */
struct cpt_found {
	struct cpt_disk_record header;
	uint64_t offset, data;		/* of header and payload */
	ProtobufCMessage *message;	/* kept by cpt_img_check_messages, else NULL */
};

struct cpt_found_list {
	uint32_t *at;			/* indices into cpt_img.records */
	size_t n, cap;
};

struct cpt_img {
	int fd;
	char *name;			/* as messages call it */
	uint64_t size;
	struct cpt_disk_preamble preamble;
	uint64_t seed, slots;
	unsigned codec;			/* enum cpt_codec of compressed records: the last one's */
	uint64_t packed_slots, packed_bytes;	/* in such records; what they take */
	int spool;			/* what was compressed, slot n at n * 4096; or -1 */
	struct cpt_found *records;
	size_t nrecords, records_cap;
	struct cpt_found_list by_type[CPT_REC_COMMIT + 1];
	struct cpt_blob_view *blobs;	/* sorted by id */
	struct cpt_arena arena;		/* of messages kept */
	struct cpt_page_check *check;	/* threads at work, or NULL */
	struct cpt_img *base;		/* what an increment builds on, once opened; owned */
	bool *needed;			/* records of pages, by their place in by_type; NULL: all are */
};

/* ---- source.c: where the bytes come from ------------------------------ */

/** cpt_source_open - a seekable, readable file with the bytes of @path; "-" is spooled */
int cpt_source_open(struct cpt_img *img, const char *path, struct cpt_err *err) CPT_CHECKED;

/**
 * struct cpt_view - a window on the file that moves forward
 *
 * Grows while one reads on, starts small after a jump: page data is skipped.
 */
struct cpt_view {
	int fd;
	const char *name;
	uint64_t size;			/* of the file */
	uint64_t offset;		/* of the window */
	size_t len, next;		/* bytes in the window; how many to read next */
	char *bytes;
};
#define CPT_VIEW_MAX (1024 * 1024)

/** cpt_view_at - @size (<= CPT_VIEW_MAX) bytes at @offset, inside the file; live until the next call */
int cpt_view_at(struct cpt_view *v, uint64_t offset, size_t size, const void **ret,
		struct cpt_err *err) CPT_CHECKED;

/* ---- frame.c ----------------------------------------------------------- */

/** cpt_frame_check - walk over all records, fill in img->records and by_type */
int cpt_frame_check(struct cpt_img *img, struct cpt_err *err) CPT_CHECKED;

/** cpt_bad - CPT_BAD_IMAGE naming image and offset; returns -1 */
int cpt_bad(const char *name, uint64_t offset, struct cpt_err *err, const char *fmt, ...)
	CPT_PRINTF(4, 5);

/* ---- blobs.c ----------------------------------------------------------- */

/** cpt_blobs_index - sort them by id; an id seen twice is an error */
int cpt_blobs_index(struct cpt_img *img, struct cpt_err *err) CPT_CHECKED;
void cpt_blobs_free(struct cpt_img *img);

/* ---- read.c ------------------------------------------------------------ */

/** cpt_img_payload - the payload into @ret (room for its length), hash compared once more */
int cpt_img_payload(const struct cpt_img *img, const struct cpt_found *f, void *ret,
		    struct cpt_err *err) CPT_CHECKED;

/** cpt_record_index - which of the records of pages of this very image holds @slot, a number of its own; place in by_type */
size_t cpt_record_index(const struct cpt_img *in, uint64_t slot);
/** cpt_record_of - the record that holds @slot, which becomes the number in @in, the image of the chain that it is in */
const struct cpt_found *cpt_record_of(const struct cpt_img *img, uint64_t *slot, const struct cpt_img **in);

/* ---- chain.c ----------------------------------------------------------- */

/** cpt_chain_open - open the images that an increment builds on, one after the other; each must have the id that is meant */
int cpt_chain_open(struct cpt_img *img, struct cpt_err *err) CPT_CHECKED;
/** cpt_chain_at - the image in whose own store @slot is, NULL if there is none */
const struct cpt_img *cpt_chain_at(const struct cpt_img *img, uint64_t slot);

/* ---- pages.c ----------------------------------------------------------- */

/** cpt_pages_spool - all compressed pages, decompressed and checked, to @to: slot n at n * 4096 */
int cpt_pages_spool(const struct cpt_img *img, int to, struct cpt_err *err) CPT_CHECKED;
/** cpt_pages_stop - end the threads of a check that was not finished */
void cpt_pages_stop(struct cpt_img *img);

#endif
