/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frame.c - is this a whole image? Header by header, everything but page data
 *
 * Each byte is covered: preamble and headers by their own hash, payloads by
 * the hash in their header, padding must be zero, and the commit record says
 * how many records there are and what all their headers hash to.
 */
#include "image/codec.h"
#include "image/pack.h"
#include "image/read.h"

#include <stdio.h>
#include <stdlib.h>

int cpt_bad(const char *name, uint64_t offset, struct cpt_err *err, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return cpt_fail(err, CPT_BAD_IMAGE, "%s: at byte %llu: %s", name,
			(unsigned long long)offset, what);
}

struct walk {
	struct cpt_img *img;
	struct cpt_view view;
	struct cpt_hash headers;		/* all but the commit record's */
	uint64_t offset;
	struct cpt_disk_commit commit;
};

static int zero(struct walk *w, uint64_t from, uint64_t to, struct cpt_err *err)
{
	const char *p;

	if (from == to)
		return 0;
	if (cpt_view_at(&w->view, from, to - from, (const void **)&p, err))
		return -1;
	for (uint64_t i = 0; i < to - from; i++)
		if (p[i])
			return cpt_bad(w->img->name, from + i, err, "padding is not zero");
	return 0;
}

/* what a header may say, by type; numbers only, the file's length is looked at later */
static const char *pages_fault(const struct cpt_disk_record *r)
{
	unsigned codec = r->flags & CPT_DISK_CODEC;

	if (r->npages < 1 || r->npages > CPT_IMG_SPAN_PAGES)
		return "impossible number of pages";
	if (codec && !cpt_codec_name(codec))
		return "pages compressed in a way that this cptool can't read";
	if (codec && r->flags == codec)
		return cpt_pack_fault(r->npages, r->length);
	if (r->flags != CPT_DISK_ALIGNED)
		return "unknown flags";
	if (r->length != r->npages * CPT_PAGE)
		return "length and number of pages contradict each other";
	return NULL;
}

static const char *header_fault(const struct cpt_img *img, const struct cpt_disk_record *r)
{
	bool first = img->nrecords == 0;
	bool after_index = img->by_type[CPT_REC_INDEX].n > 0;

	if (r->room[0] || r->room[1])
		return "reserved words are in use";
	if (r->seq != img->nrecords)
		return "a record is missing or out of place";
	if (r->type < CPT_REC_HEADER || r->type > CPT_REC_COMMIT)
		return "a kind of record that this cptool does not know";
	if (first != (r->type == CPT_REC_HEADER))
		return "the header must be the first record, and only that";
	if (after_index != (r->type == CPT_REC_COMMIT))
		return "the index must be the last but one record, the commit record the last";
	if (r->type == CPT_REC_PAGES)
		return pages_fault(r);
	if (r->flags || r->npages)
		return "unknown flags";
	if (r->key && r->type != CPT_REC_BLOB)
		return "a key where none belongs";
	if (cpt_disk_is_message(r->type) && r->length > CPT_DISK_MESSAGE_MAX)
		return "a message of impossible length";
	return NULL;
}

static int read_header(struct walk *w, struct cpt_found *ret, struct cpt_err *err)
{
	struct cpt_img *img = w->img;
	struct cpt_disk_record *r = &ret->header;
	const char *fault;
	const void *p;

	if (img->size - w->offset < sizeof(*r))
		return cpt_bad(img->name, w->offset, err, "the file ends before its commit record");
	if (cpt_view_at(&w->view, w->offset, sizeof(*r), &p, err))
		return -1;
	memcpy(r, p, sizeof(*r));
	if (r->magic != CPT_DISK_RECORD_MAGIC || r->hash != cpt_disk_seal(r, img->seed))
		return cpt_bad(img->name, w->offset, err, "damaged record header");
	fault = header_fault(img, r);
	if (fault)
		return cpt_bad(img->name, w->offset, err, "%s", fault);
	ret->offset = w->offset;
	ret->data = cpt_disk_data(r, w->offset);
	/* offset <= size < 2^63, so that nothing wraps before this is refused */
	if (ret->data > img->size || r->length > img->size - ret->data ||
	    CPT_DISK_ALIGN(r->length) > img->size - ret->data)
		return cpt_bad(img->name, w->offset, err, "the file ends within this record");
	return 0;
}

static int hash_payload(struct walk *w, const struct cpt_found *f, struct cpt_err *err)
{
	uint64_t length = f->header.length, hash;
	struct cpt_hash state;
	const void *p;

	if (length <= CPT_VIEW_MAX) {
		if (cpt_view_at(&w->view, f->data, length, &p, err))
			return -1;
		hash = cpt_hash(p, length);
		if (f->header.type == CPT_REC_COMMIT && length == sizeof(w->commit))
			memcpy(&w->commit, p, length);
	} else {
		cpt_hash_begin(&state);
		for (uint64_t done = 0; done < length; done += CPT_VIEW_MAX) {
			size_t n = CPT_MIN(length - done, (uint64_t)CPT_VIEW_MAX);

			if (cpt_view_at(&w->view, f->data + done, n, &p, err))
				return -1;
			cpt_hash_add(&state, p, n);
		}
		hash = cpt_hash_end(&state);
	}
	if (hash != f->header.payload_hash)
		return cpt_bad(w->img->name, f->offset, err, "damaged record");
	return 0;
}

static int remember(struct walk *w, const struct cpt_found *f, struct cpt_err *err)
{
	struct cpt_img *img = w->img;
	struct cpt_found_list *list = &img->by_type[f->header.type];

	if (img->nrecords == UINT32_MAX)
		return cpt_bad(img->name, f->offset, err, "too many records");
	CPT_GROW(img->records, img->nrecords, img->records_cap);
	CPT_GROW(list->at, list->n, list->cap);
	list->at[list->n++] = (uint32_t)img->nrecords;
	img->records[img->nrecords++] = *f;
	if (f->header.type != CPT_REC_PAGES)
		return 0;
	img->slots += f->header.npages;
	if (f->header.flags & CPT_DISK_CODEC) {
		img->codec = f->header.flags & CPT_DISK_CODEC;
		img->packed_slots += f->header.npages;
		img->packed_bytes += f->header.length;
	}
	return 0;
}

static int step(struct walk *w, struct cpt_err *err)
{
	struct cpt_found f = { 0 };
	uint64_t end;

	if (read_header(w, &f, err))
		return -1;
	if (zero(w, w->offset + sizeof(f.header), f.data, err))
		return -1;
	if (f.header.type != CPT_REC_PAGES && hash_payload(w, &f, err))
		return -1;
	end = f.data + f.header.length;
	w->offset = CPT_DISK_ALIGN(end);
	if (zero(w, end, w->offset, err))
		return -1;
	if (f.header.type != CPT_REC_COMMIT)
		cpt_hash_add(&w->headers, &f.header, sizeof(f.header));
	return remember(w, &f, err);
}

static int by_slot(const void *a, const void *b, void *records)
{
	const struct cpt_found *r = records;
	uint64_t x = r[*(const uint32_t *)a].header.key, y = r[*(const uint32_t *)b].header.key;

	return (x > y) - (x < y);
}

/* Records that were compressed at the same time stand in the order in which they were ready. */
static int order_pages(struct cpt_img *img, struct cpt_err *err)
{
	struct cpt_found_list *list = &img->by_type[CPT_REC_PAGES];
	uint64_t slot = 0;

	if (list->n)
		qsort_r(list->at, list->n, sizeof(*list->at), by_slot, img->records);
	for (size_t i = 0; i < list->n; i++) {
		const struct cpt_found *f = &img->records[list->at[i]];

		if (f->header.key != slot)
			return cpt_bad(img->name, f->offset, err, "pages are missing before this record");
		slot += f->header.npages;
	}
	return 0;
}

/* the index holds what the walk found: compare by its hash, which was checked */
static int check_index(const struct cpt_img *img, struct cpt_err *err)
{
	const struct cpt_found *f = &img->records[img->by_type[CPT_REC_INDEX].at[0]];
	size_t n = img->nrecords - 2;
	CPT_AUTO(mem) struct cpt_disk_entry *e = cpt_calloc(n, sizeof(*e));

	for (size_t i = 0; i < n; i++)
		e[i] = (struct cpt_disk_entry) {
			.offset = img->records[i].offset,
			.type = img->records[i].header.type,
			.flags = img->records[i].header.flags,
			.npages = img->records[i].header.npages,
		};
	if (f->header.length != n * sizeof(*e) ||
	    f->header.payload_hash != cpt_hash(e, n * sizeof(*e)))
		return cpt_bad(img->name, f->offset, err, "the index is not of these records");
	return 0;
}

static int check_commit(struct walk *w, struct cpt_err *err)
{
	const struct cpt_img *img = w->img;
	const struct cpt_found *f = &img->records[img->nrecords - 1];
	const struct cpt_disk_commit *c = &w->commit;

	if (w->offset != img->size)
		return cpt_bad(img->name, w->offset, err, "bytes after the commit record");
	if (f->header.length != sizeof(*c) || c->room ||
	    c->records != img->nrecords - 1 || c->slots != img->slots ||
	    c->index_offset != img->records[img->nrecords - 2].offset ||
	    c->bytes != img->size || c->frame_hash != cpt_hash_end(&w->headers))
		return cpt_bad(img->name, f->offset, err, "the commit record is not of this image");
	return 0;
}

static int walk_all(struct walk *w, struct cpt_err *err)
{
	do {
		if (step(w, err))
			return -1;
	} while (!w->img->by_type[CPT_REC_COMMIT].n);
	if (order_pages(w->img, err) || check_index(w->img, err))
		return -1;
	return check_commit(w, err);
}

int cpt_frame_check(struct cpt_img *img, struct cpt_err *err)
{
	CPT_AUTO(mem) char *bytes = cpt_malloc(CPT_MIN(img->size, (uint64_t)CPT_VIEW_MAX));
	struct walk w = {
		.img = img,
		.view = { .fd = img->fd, .name = img->name, .size = img->size, .bytes = bytes },
		.offset = sizeof(img->preamble),
	};
	const void *p;

	if (img->size < sizeof(img->preamble))
		return cpt_bad(img->name, img->size, err, "the file ends before an image begins");
	if (cpt_view_at(&w.view, 0, sizeof(img->preamble), &p, err))
		return -1;
	memcpy(&img->preamble, p, sizeof(img->preamble));
	if (cpt_disk_check_preamble(&img->preamble, err))
		return cpt_within(err, "%s", img->name);
	img->seed = cpt_disk_seed(&img->preamble);
	cpt_hash_begin(&w.headers);
	return walk_all(&w, err);
}
