/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* span.c - page data: room in the file that others fill, or pages from memory */
#include "image/write.h"

#include <sys/uio.h>

/* may pages be put now? */
static int allowed(const struct cpt_img_writer *w, uint32_t npages, struct cpt_err *err)
{
	if (cpt_img_broken(w, err))
		return -1;
	if (!w->begun || npages < 1 || npages > CPT_IMG_SPAN_PAGES)
		return cpt_fail(err, CPT_USAGE, "a record of %u pages does not belong here", npages);
	return 0;
}

/* a record of pages at the end of the file; what is buffered goes before it if it is the first */
static int append(struct cpt_img_writer *w, const struct cpt_img_packed *r, struct cpt_placed **ret,
		  struct cpt_err *err)
{
	struct cpt_placed *p;

	if ((w->out.stream || !w->end) && cpt_img_flush(w, err))
		return -1;
	CPT_GROW(w->records, w->nrecords, w->records_cap);
	p = &w->records[w->nrecords];
	*p = (struct cpt_placed) {
		.header = {
			.magic = CPT_DISK_RECORD_MAGIC,
			.type = CPT_REC_PAGES,
			.flags = r->codec ? (uint16_t)r->codec : (uint16_t)CPT_DISK_ALIGNED,
			.seq = (uint32_t)w->nrecords,
			.npages = r->npages,
			.length = r->length,
			.key = r->first_slot,
			.payload_hash = r->hash,
		},
		.offset = w->end,
	};
	w->nrecords++;
	w->end = cpt_disk_data(&p->header, p->offset) + CPT_DISK_ALIGN(p->header.length);
	*ret = p;
	cpt_out_ahead(&w->out, w->end);
	return 0;
}

/* the same for pages as they are; they get the next slots */
static int reserve(struct cpt_img_writer *w, uint32_t npages, struct cpt_placed **ret,
		   struct cpt_err *err)
{
	struct cpt_img_packed r = { .first_slot = w->slots, .npages = npages, .length = npages * CPT_PAGE };

	if (allowed(w, npages, err) || append(w, &r, ret, err))
		return -1;
	w->slots += npages;
	return 0;
}

int cpt_img_span_open(struct cpt_img_writer *w, uint32_t npages, struct cpt_img_span *ret,
		      struct cpt_err *err)
{
	struct cpt_placed *p;

	if (w->out.stream)
		return cpt_fail(err, CPT_USAGE, "%s can't be written out of order", w->out.name);
	if (reserve(w, npages, &p, err))
		return -1;
	p->open = true;
	w->nopen++;
	*ret = (struct cpt_img_span) {
		.fd = w->out.fd,
		.offset = cpt_disk_data(&p->header, p->offset),
		.first_slot = p->header.key,
		.npages = npages,
		.record = p->header.seq,
	};
	return 0;
}

static int broke(struct cpt_img_writer *w, int sys, struct cpt_err *err)
{
	w->failed = true;
	return cpt_fail_errno(err, sys, "write pages to %s", w->out.name);
}

/* an open span becomes a closed one */
static int take_open(struct cpt_img_writer *w, const struct cpt_img_span *s,
		     struct cpt_placed **ret, struct cpt_err *err)
{
	if (cpt_img_broken(w, err))
		return -1;
	if (s->record >= w->nrecords || !w->records[s->record].open)
		return cpt_fail(err, CPT_USAGE, "this span is not open");
	*ret = &w->records[s->record];
	(*ret)->open = false;
	w->nopen--;
	return 0;
}

int cpt_img_span_close(struct cpt_img_writer *w, const struct cpt_img_span *s,
		       struct cpt_err *err)
{
	struct cpt_placed *p;
	int sys;

	if (take_open(w, s, &p, err))
		return -1;
	sys = cpt_fault_here() ? EIO : cpt_hasher_add(w, p);
	return sys ? broke(w, sys, err) : 0;
}

int cpt_img_span_close_hashed(struct cpt_img_writer *w, const struct cpt_img_span *s, uint64_t hash,
			      struct cpt_err *err)
{
	struct cpt_placed *p;

	if (take_open(w, s, &p, err))
		return -1;
	p->header.payload_hash = hash;
	p->header.hash = cpt_disk_seal(&p->header, w->seed);
	if (cpt_pwrite_all(w->out.fd, &p->header, sizeof(p->header), (off_t)p->offset))
		return broke(w, errno, err);
	return 0;
}

/* header, zeros up to the payload, payload, zeros up to the next record: one system call */
static int write_record(struct cpt_out *out, const struct cpt_placed *p, const void *data)
{
	static const char zeros[CPT_PAGE];
	size_t head = sizeof(p->header);
	size_t pad = cpt_disk_data(&p->header, p->offset) - p->offset - head;
	struct iovec v[4] = {
		{ (void *)&p->header, head },
		{ (void *)zeros, pad },
		{ (void *)data, p->header.length },
		{ (void *)zeros, CPT_DISK_ALIGN(p->header.length) - p->header.length },
	};
	size_t i = 0;
	uint64_t at = p->offset;

	while (i < CPT_COUNT(v)) {
		ssize_t n = out->stream ?
			writev(out->fd, v + i, (int)(CPT_COUNT(v) - i)) :
			pwritev(out->fd, v + i, (int)(CPT_COUNT(v) - i), (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += (uint64_t)n;
		while (i < CPT_COUNT(v) && (size_t)n >= v[i].iov_len)
			n -= (ssize_t)v[i++].iov_len;
		if (i < CPT_COUNT(v)) {
			v[i].iov_base = (char *)v[i].iov_base + n;
			v[i].iov_len -= (size_t)n;
		}
	}
	return 0;
}

/* uncompressed pages into a file: what is zero is left out */
static int write_sparse(struct cpt_img_writer *w, const struct cpt_placed *p, const void *data, struct cpt_err *err)
{
	uint32_t ignored = 0;

	if (cpt_pwrite_all(w->out.fd, &p->header, sizeof(p->header), (off_t)p->offset))
		return cpt_fail_sys(err, "write pages to %s", w->out.name);
	return cpt_img_write_pages(w, data, p->header.npages, cpt_disk_data(&p->header, p->offset), &ignored, err);
}

static int put_record(struct cpt_img_writer *w, struct cpt_placed *p, const void *data, struct cpt_err *err)
{
	bool sparse = !w->out.stream && !(p->header.flags & CPT_DISK_CODEC);

	p->header.hash = cpt_disk_seal(&p->header, w->seed);
	w->failed = true;
	if (cpt_fault_here()) {
		errno = EIO;
		return cpt_fail_sys(err, "write pages to %s", w->out.name);
	}
	if (sparse && write_sparse(w, p, data, err))
		return -1;
	if (!sparse && write_record(&w->out, p, data))
		return cpt_fail_sys(err, "write pages to %s", w->out.name);
	w->failed = false;
	return 0;
}

int cpt_img_put_pages(struct cpt_img_writer *w, const void *data, uint32_t npages,
		      uint64_t *first_slot, struct cpt_err *err)
{
	struct cpt_placed *p;

	if (reserve(w, npages, &p, err))
		return -1;
	*first_slot = p->header.key;
	p->header.payload_hash = cpt_hash(data, p->header.length);
	return put_record(w, p, data, err);
}

int cpt_img_take_slots(struct cpt_img_writer *w, uint32_t npages, uint64_t *first_slot, struct cpt_err *err)
{
	if (allowed(w, npages, err))
		return -1;
	*first_slot = w->slots;
	w->slots += npages;
	w->taken += npages;
	return 0;
}

int cpt_img_put_packed(struct cpt_img_writer *w, const struct cpt_img_packed *packed, struct cpt_err *err)
{
	struct cpt_placed *p;

	if (allowed(w, packed->npages, err))
		return -1;
	if (packed->npages > w->taken || packed->first_slot + packed->npages > w->slots)
		return cpt_fail(err, CPT_USAGE, "these slots were not taken");
	if (append(w, packed, &p, err))
		return -1;
	w->taken -= packed->npages;
	return put_record(w, p, packed->payload, err);
}
