/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * record.c - single records of pages: read one by one, or left out for later
 *
 * A restore that brings pages in later reads whole records, since a record is
 * what a hash covers, into memory of its own: what was found good there is
 * what is used, whatever becomes of the file.
 */
#include "image/pack.h"
#include "image/read.h"

#include <stdlib.h>

struct cpt_img_reader {
	char *pages;			/* of the record read last */
	char *payload;			/* if that was compressed */
	struct cpt_unpacker *unpacker;
};

struct cpt_img_reader *cpt_img_reader_new(void)
{
	struct cpt_img_reader *r = cpt_calloc(1, sizeof(*r));

	r->pages = cpt_malloc(CPT_IMG_SPAN_PAGES * CPT_PAGE);
	return r;
}

void cpt_img_reader_free(struct cpt_img_reader *r)
{
	if (!r)
		return;
	cpt_unpacker_free(r->unpacker);
	free(r->payload);
	free(r->pages);
	free(r);
}

const void *cpt_img_reader_pages(const struct cpt_img_reader *r)
{
	return r->pages;
}

void cpt_img_record(const struct cpt_img *img, uint64_t slot, uint64_t *first, uint32_t *npages)
{
	uint64_t file = slot & ~(CPT_IMG_BASE_SLOT - 1);
	const struct cpt_img *in;
	const struct cpt_found *f = cpt_record_of(img, &slot, &in);

	*first = file | f->header.key;
	*npages = f->header.npages;
}

/* hashed piece by piece while it is in the cache */
static int read_payload(const struct cpt_img *in, const struct cpt_found *f, char *to, struct cpt_err *err)
{
	uint64_t length = f->header.length;
	struct cpt_hash hash;

	cpt_hash_begin(&hash);
	for (uint64_t at = 0; at < length; at += CPT_HASH_CHUNK) {
		size_t n = CPT_MIN(length - at, (uint64_t)CPT_HASH_CHUNK);

		if (cpt_pread_all(in->fd, to + at, n, (off_t)(f->data + at)))
			return errno ? cpt_fail_sys(err, "read %s", in->name) :
			       cpt_bad(in->name, f->offset, err, "the file was cut meanwhile");
		cpt_hash_add(&hash, to + at, n);
	}
	return cpt_hash_end(&hash) == f->header.payload_hash ? 0 : cpt_bad(in->name, f->offset, err, "damaged pages");
}

static int keep(void *arg, uint32_t page, const void *bytes, size_t size, struct cpt_err *err)
{
	memcpy((char *)arg + page * CPT_PAGE, bytes, size);
	return 0;
}

int cpt_img_reader_read(struct cpt_img_reader *r, const struct cpt_img *img, uint64_t slot, struct cpt_err *err)
{
	const struct cpt_img *in;
	const struct cpt_found *f = cpt_record_of(img, &slot, &in);

	if (!(f->header.flags & CPT_DISK_CODEC))
		return read_payload(in, f, r->pages, err);
	if (!r->unpacker) {
		r->unpacker = cpt_unpacker_new();
		r->payload = cpt_malloc(CPT_IMG_SPAN_PAGES * CPT_PAGE + CPT_PACK_TABLE(CPT_IMG_SPAN_PAGES));
	}
	if (read_payload(in, f, r->payload, err))
		return -1;
	if (cpt_unpack(r->unpacker, f->header.flags & CPT_DISK_CODEC, f->header.npages, r->payload,
		       f->header.length, keep, r->pages, err))
		return cpt_within(err, "%s: at byte %llu", in->name, (unsigned long long)f->offset);
	return 0;
}

/* ---- left out --------------------------------------------------------- */

void cpt_img_need_none(struct cpt_img *img)
{
	for (; img; img = img->base) {
		free(img->needed);
		img->needed = cpt_calloc(img->by_type[CPT_REC_PAGES].n + 1, sizeof(*img->needed));
	}
}

void cpt_img_need(struct cpt_img *img, uint64_t slot, uint64_t count)
{
	struct cpt_img *in = img;

	for (uint64_t n = slot >> CPT_IMG_FILE_SHIFT; n; n--)
		in = in->base;
	while (count) {
		uint64_t first, n;
		uint32_t npages;

		in->needed[cpt_record_index(in, slot & (CPT_IMG_BASE_SLOT - 1))] = true;
		cpt_img_record(img, slot, &first, &npages);
		n = CPT_MIN(count, first + npages - slot);
		slot += n;
		count -= n;
	}
}

/* ---- open files ------------------------------------------------------- */

size_t cpt_img_fds(const struct cpt_img *img, int *ret, size_t room)
{
	size_t n = 0;

	for (; img; img = img->base, n++)
		if (n < room)
			ret[n] = img->fd;
	return n;
}
