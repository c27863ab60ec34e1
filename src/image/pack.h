/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pack.h - the payload of a record of compressed pages
 *
 * The pages of a record are cut into blocks of CPT_PACK_PAGES, the last one
 * may be shorter. Each is compressed by itself, or stored as it is when that
 * is not smaller. The blocks stand one after the other; behind them is a table
 * with the stored length of each (32 bits). A block as long as its pages is
 * one that is stored as it is.
 */
#ifndef CPT_IMAGE_PACK_H
#define CPT_IMAGE_PACK_H

#include "image/image.h"

#define CPT_PACK_PAGES 64
#define CPT_PACK_BYTES (CPT_PACK_PAGES * CPT_PAGE)
#define CPT_PACK_BLOCKS(npages) (((npages) + CPT_PACK_PAGES - 1) / CPT_PACK_PAGES)
/* of a record */
#define CPT_PACK_TABLE(npages) (CPT_PACK_BLOCKS(npages) * sizeof(uint32_t))

/* ---- making one ------------------------------------------------------- */

/** struct cpt_packer - what a thread needs to compress; used for one record after the other */
struct cpt_packer;
/** cpt_packer_new - for a codec that cpt_codec_check found good, but not CPT_CODEC_NONE; never fails */
struct cpt_packer *cpt_packer_new(enum cpt_codec codec, int level);
/** cpt_packer_free - NULL is fine */
void cpt_packer_free(struct cpt_packer *p);
/** cpt_pack_shrinks - do these bytes, a sample of what is to come, get notably smaller? At most CPT_PACK_BYTES. */
bool cpt_pack_shrinks(struct cpt_packer *p, const void *bytes, size_t size);

/** cpt_pack_begin - a record of @npages, up to CPT_IMG_SPAN_PAGES; what was begun before is dropped */
void cpt_pack_begin(struct cpt_packer *p, uint32_t npages);
/** cpt_pack_add - the next CPT_PACK_PAGES pages, at the end of the record fewer */
void cpt_pack_add(struct cpt_packer *p, const void *pages, uint32_t npages);
/** cpt_pack_end - fills in all of @ret but its first slot; the payload is the caller's to free */
void cpt_pack_end(struct cpt_packer *p, struct cpt_img_packed *ret);

/* ---- taking one apart -------------------------------------------------- */

/** struct cpt_unpacker - what a thread needs to decompress */
struct cpt_unpacker;
struct cpt_unpacker *cpt_unpacker_new(void);
void cpt_unpacker_free(struct cpt_unpacker *u);

/** cpt_pack_fault - what is wrong with the length of such a record; NULL: nothing */
const char *cpt_pack_fault(uint32_t npages, uint64_t length);

/* gets each block in turn; @page: number in the record. -1 with @err ends it. */
typedef int cpt_unpacked_fn(void *arg, uint32_t page, const void *bytes, size_t size, struct cpt_err *err);

/**
 * cpt_unpack - decompress all blocks of a payload; whatever the bytes are
 * @codec:  one that has a name
 * @length: cpt_pack_fault found nothing wrong with it
 * @each:   may be NULL
 *
 * CPT_BAD_IMAGE: a block is not exactly its pages. CPT_UNSUPPORTED: a codec
 * that was not built in.
 */
int cpt_unpack(struct cpt_unpacker *u, unsigned codec, uint32_t npages, const void *payload, uint64_t length,
	       cpt_unpacked_fn *each, void *arg, struct cpt_err *err) CPT_CHECKED;

#endif
