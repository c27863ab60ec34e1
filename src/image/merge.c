/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * merge.c - fold a chain of increments into one full image
 *
 * Messages of the last image name all pages that count. Those are copied, each
 * once, and the messages are written again with the slots of the copies.
 */
#include "image/fields.h"
#include "image/kinds.h"
#include "image/read.h"

#include <stdlib.h>

struct extent {
	uint64_t slot, count;		/* in the chain */
	uint64_t to;			/* the first one's slot in the new image */
};

struct merge {
	struct cpt_img *from;
	struct cpt_img_writer *to;
	struct extent *extents;		/* ascending, apart */
	size_t n, cap;
	struct cpt_stats stats;
	char *buf;			/* pages of the next record */
	uint32_t have;
};

/* ---- which pages ----------------------------------------------------- */

static int collect(void *arg, const ProtobufCMessage *message, struct cpt_err *err)
{
	const Cpt__Pages *p = (const Cpt__Pages *)message;
	struct merge *m = arg;

	for (size_t i = 0; message->descriptor == &cpt__pages__descriptor && i < p->n_slot; i++) {
		CPT_GROW(m->extents, m->n, m->cap);
		m->extents[m->n++] = (struct extent){ p->slot[i], p->count[i], 0 };
	}
	return 0;
}

static int by_slot(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return (x->slot > y->slot) - (x->slot < y->slot);
}

static void join(struct merge *m)
{
	uint64_t to = 0;
	size_t k = 0;

	if (m->n)
		qsort(m->extents, m->n, sizeof(*m->extents), by_slot);
	for (size_t i = 0; i < m->n; i++) {
		struct extent e = m->extents[i], *last = k ? &m->extents[k - 1] : NULL;

		if (last && e.slot <= last->slot + last->count)
			last->count = CPT_MAX(last->count, e.slot + e.count - last->slot);
		else
			m->extents[k++] = e;
	}
	m->n = k;
	for (size_t i = 0; i < k; i++) {
		m->extents[i].to = to;
		to += m->extents[i].count;
	}
}

static int rename_slots(void *arg, const ProtobufCMessage *message, struct cpt_err *err)
{
	/* the messages are ours: kept in the image's own arena */
	Cpt__Pages *p = (Cpt__Pages *)(uintptr_t)message;
	struct merge *m = arg;

	for (size_t i = 0; message->descriptor == &cpt__pages__descriptor && i < p->n_slot; i++) {
		size_t low = 0, high = m->n;

		while (high - low > 1) {
			size_t mid = low + (high - low) / 2;

			if (m->extents[mid].slot <= p->slot[i])
				low = mid;
			else
				high = mid;
		}
		p->slot[i] = m->extents[low].to + (p->slot[i] - m->extents[low].slot);
	}
	return 0;
}

static int each_message(struct merge *m, cpt_visit *visit, struct cpt_err *err)
{
	for (size_t i = 0; i < m->from->nrecords; i++) {
		const ProtobufCMessage *message = m->from->records[i].message;

		if (message && cpt_message_walk(message, visit, m, err))
			return -1;
	}
	return 0;
}

/* ---- copying --------------------------------------------------------- */

static int flush(struct merge *m, struct cpt_err *err)
{
	uint32_t n = CPT_TAKE(m->have, 0u);
	uint64_t first;

	return n ? cpt_img_put_pages(m->to, m->buf, n, &first, err) : 0;
}

static int copy_extent(struct merge *m, const struct extent *e, struct cpt_err *err)
{
	for (uint64_t i = 0; i < e->count;) {
		uint64_t together, offset = cpt_img_locate(m->from, e->slot + i, &together);
		uint64_t n = CPT_MIN(together, e->count - i);

		n = CPT_MIN(n, (uint64_t)(CPT_IMG_SPAN_PAGES - m->have));
		if (cpt_pread_all(cpt_img_slot_fd(m->from, e->slot + i), m->buf + m->have * CPT_PAGE,
				  n * CPT_PAGE, (off_t)offset))
			return cpt_fail_sys(err, "read an image that %s builds on", m->from->name);
		m->have += (uint32_t)n;
		i += n;
		cpt_progress_add(n * CPT_PAGE);
		if (m->have == CPT_IMG_SPAN_PAGES && flush(m, err))
			return -1;
	}
	return 0;
}

static int copy_pages(struct merge *m, struct cpt_err *err)
{
	const struct extent *last = m->n ? &m->extents[m->n - 1] : NULL;

	cpt_progress_begin(CPT_WORK_COPY, last ? (last->to + last->count) * CPT_PAGE : 0);
	for (size_t i = 0; i < m->n; i++)
		if (copy_extent(m, &m->extents[i], err))
			return -1;
	return flush(m, err);
}

static int put_header(struct merge *m, struct cpt_err *err)
{
	Cpt__Header h = *(const Cpt__Header *)m->from->records[0].message;

	h.has_id = true;
	h.id.len = CPT_IMG_ID;
	h.id.data = (uint8_t *)(uintptr_t)cpt_img_writer_id(m->to);
	h.has_base_id = false;
	h.base_name = NULL;
	return cpt_img_put(m->to, CPT_REC_HEADER, &h.base, err);
}

static int put_rest(struct merge *m, struct cpt_err *err)
{
	for (size_t i = 1; i < m->from->nrecords; i++) {
		const struct cpt_found *f = &m->from->records[i];
		const void *data;
		size_t size;

		if (f->message && cpt_img_put(m->to, f->header.type, f->message, err))
			return -1;
		if (f->header.type == CPT_REC_BLOB &&
		    (cpt_img_blob(m->from, f->header.key, &data, &size, err) ||
		     cpt_img_put_blob(m->to, f->header.key, data, size, err)))
			return -1;
	}
	return 0;
}

static int copy(struct merge *m, struct cpt_err *err)
{
	uint64_t begin = cpt_now_ns(), end;

	if (put_header(m, err) || copy_pages(m, err))
		return -1;
	end = cpt_now_ns();
	m->stats.memory_ns = end - begin;
	if (each_message(m, rename_slots, err) || put_rest(m, err) || cpt_img_commit(m->to, err))
		return -1;
	m->stats.write_ns = cpt_now_ns() - end;
	m->stats.image_bytes = cpt_img_bytes(m->to);
	m->stats.pages_written = cpt_img_written(m->to, &m->stats.pages_zero);
	return 0;
}

static int merge(struct merge *m, const char *image, const char *output, struct cpt_guard *guard, struct cpt_err *err)
{
	uint64_t begin = cpt_now_ns();

	if (cpt_img_open(image, &m->from, err) || cpt_img_check_messages(m->from, err) ||
	    cpt_img_unpack(m->from, err) || cpt_img_check_pages(m->from, err) || each_message(m, collect, err))
		return -1;
	m->stats.state_ns = cpt_now_ns() - begin;
	join(m);
	if (cpt_guard_start(guard, err) || cpt_img_create_guarded(output, guard, &m->to, err))
		return -1;
	m->buf = cpt_malloc(CPT_IMG_SPAN_PAGES * CPT_PAGE);
	return copy(m, err);
}

int cpt_image_merge(const char *image, const char *output, struct cpt_stats *ret, struct cpt_err *err)
{
	struct cpt_guard guard = CPT_GUARD_NONE;
	struct merge m = { 0 };
	uint64_t begin = cpt_now_ns();
	int rc = merge(&m, image ? image : "checkpoint.cpt", output, &guard, err);

	if (!rc)
		cpt_guard_success(&guard);
	cpt_guard_undo(&guard);
	cpt_img_discard(m.to);
	cpt_img_close(m.from);
	free(m.extents);
	free(m.buf);
	m.stats.total_ns = cpt_now_ns() - begin;
	if (ret)
		*ret = m.stats;
	return rc;
}
