/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - a writer's life, and the small records: collected, placed, written */
#include "image/write.h"

#include <stdlib.h>

#define FLUSH_AT (256 * 1024)

int cpt_img_broken(const struct cpt_img_writer *w, struct cpt_err *err)
{
	if (w->committed)
		return cpt_fail(err, CPT_USAGE, "%s is written already", w->out.name);
	if (w->failed)
		return cpt_fail(err, CPT_SYSTEM, "%s could not be written", w->out.name);
	return 0;
}

/* @size zeroed bytes at the end of the buffer; the pointer lives until the next call */
static void *extend(struct cpt_buf *b, size_t size)
{
	void *p;

	if (b->cap - b->len < size) {
		b->cap = CPT_MAX(2 * b->cap, b->len + size);
		b->data = cpt_realloc(b->data, b->cap, 1);
	}
	p = b->data + b->len;
	memset(p, 0, size);
	b->len += size;
	return p;
}

int cpt_img_create(const char *path, struct cpt_img_writer **ret, struct cpt_err *err)
{
	return cpt_img_create_guarded(path, NULL, ret, err);
}

int cpt_img_create_guarded(const char *path, struct cpt_guard *guard, struct cpt_img_writer **ret,
			   struct cpt_err *err)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = cpt_calloc(1, sizeof(*w));

	if (cpt_out_open(&w->out, path, guard, err) || cpt_disk_begin(&w->preamble, err))
		return -1;
	w->seed = cpt_disk_seed(&w->preamble);
	w->buf.cap = 16384;
	w->buf.data = cpt_malloc(w->buf.cap);
	memcpy(extend(&w->buf, sizeof(w->preamble)), &w->preamble, sizeof(w->preamble));
	*ret = CPT_TAKE(w, NULL);
	return 0;
}

const char *cpt_img_temp(const struct cpt_img_writer *w)
{
	return w->out.temp_path;
}

const uint8_t *cpt_img_writer_id(const struct cpt_img_writer *w)
{
	return w->preamble.id;
}

bool cpt_img_seekable(const struct cpt_img_writer *w)
{
	return !w->out.stream;
}

uint64_t cpt_img_written(const struct cpt_img_writer *w, uint64_t *zero)
{
	*zero = w->out.holes / CPT_PAGE;
	return w->slots - *zero;
}

uint64_t cpt_img_bytes(const struct cpt_img_writer *w)
{
	return w->end + w->buf.len;
}

void *cpt_img_add(struct cpt_img_writer *w, enum cpt_record type, uint64_t key, size_t size)
{
	struct cpt_disk_record *r;
	size_t at = w->buf.len;

	CPT_GROW(w->pending, w->npending, w->pending_cap);
	w->pending[w->npending++] = at;
	r = extend(&w->buf, sizeof(*r) + CPT_DISK_ALIGN(size));
	*r = (struct cpt_disk_record) {
		.magic = CPT_DISK_RECORD_MAGIC,
		.type = (uint16_t)type,
		.length = size,
		.key = key,
	};
	return r + 1;
}

static struct cpt_disk_record *pending(const struct cpt_img_writer *w, size_t n)
{
	return (struct cpt_disk_record *)(w->buf.data + w->pending[n]);
}

void cpt_img_added(struct cpt_img_writer *w)
{
	struct cpt_disk_record *r = pending(w, w->npending - 1);

	r->payload_hash = cpt_hash(r + 1, r->length);
}

void cpt_img_place(struct cpt_img_writer *w)
{
	for (; w->nplaced < w->npending; w->nplaced++) {
		struct cpt_disk_record *r = pending(w, w->nplaced);

		r->seq = (uint32_t)w->nrecords;
		r->hash = cpt_disk_seal(r, w->seed);
		CPT_GROW(w->records, w->nrecords, w->records_cap);
		w->records[w->nrecords++] = (struct cpt_placed) {
			.header = *r,
			.offset = w->end + w->pending[w->nplaced],
		};
	}
}

int cpt_img_flush(struct cpt_img_writer *w, struct cpt_err *err)
{
	cpt_img_place(w);
	if (w->buf.len && cpt_out_write(&w->out, w->buf.data, w->buf.len, w->end, err)) {
		w->failed = true;
		return -1;
	}
	w->end += w->buf.len;
	w->buf.len = w->npending = w->nplaced = 0;
	return 0;
}

int cpt_img_put(struct cpt_img_writer *w, enum cpt_record type,
		const ProtobufCMessage *msg, struct cpt_err *err)
{
	size_t size;

	if (cpt_img_broken(w, err))
		return -1;
	if (!cpt_disk_is_message(type) || (type == CPT_REC_HEADER) == w->begun)
		return cpt_fail(err, CPT_USAGE, "a record of type %u does not belong here", type);
	size = protobuf_c_message_get_packed_size(msg);
	if (size > CPT_DISK_MESSAGE_MAX)
		return cpt_fail(err, CPT_UNSUPPORTED, "a %s of %zu bytes is too large for an image",
				msg->descriptor->short_name, size);
	w->begun = true;
	protobuf_c_message_pack(msg, cpt_img_add(w, type, 0, size));
	cpt_img_added(w);
	return w->buf.len < FLUSH_AT ? 0 : cpt_img_flush(w, err);
}

int cpt_img_put_blob(struct cpt_img_writer *w, uint64_t id, const void *data, size_t size,
		     struct cpt_err *err)
{
	void *to;

	if (cpt_img_broken(w, err))
		return -1;
	if (!w->begun)
		return cpt_fail(err, CPT_USAGE, "the first record must be the header");
	to = cpt_img_add(w, CPT_REC_BLOB, id, size);
	if (size)
		memcpy(to, data, size);
	cpt_img_added(w);
	return w->buf.len < FLUSH_AT ? 0 : cpt_img_flush(w, err);
}

void cpt_img_discard(struct cpt_img_writer *w)
{
	if (!w)
		return;
	cpt_hasher_abandon(w);
	cpt_out_close(&w->out, w->committed);
	free(w->chunk);
	free(w->buf.data);
	free(w->pending);
	free(w->records);
	free(w);
}
