/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read.c - an open image: its records, its messages, where its pages are */
#include "image/fields.h"
#include "image/read.h"

#include <stdlib.h>

int cpt_img_open(const char *path, struct cpt_img **ret, struct cpt_err *err)
{
	CPT_AUTO(img) struct cpt_img *img = cpt_calloc(1, sizeof(*img));

	img->fd = img->spool = -1;
	if (cpt_source_open(img, path, err) || cpt_frame_check(img, err) ||
	    cpt_blobs_index(img, err))
		return -1;
	*ret = CPT_TAKE(img, NULL);
	return 0;
}

void cpt_img_close(struct cpt_img *img)
{
	if (!img)
		return;
	cpt_pages_stop(img);
	cpt_img_close(img->base);
	cpt_blobs_free(img);
	for (size_t i = 0; i < CPT_COUNT(img->by_type); i++)
		free(img->by_type[i].at);
	cpt_arena_free(&img->arena);
	free(img->records);
	free(img->needed);
	free(img->name);
	if (img->fd >= 0)
		close(img->fd);
	if (img->spool >= 0)
		close(img->spool);
	free(img);
}

int cpt_img_fd(const struct cpt_img *img)
{
	return img->fd;
}

const uint8_t *cpt_img_id(const struct cpt_img *img)
{
	return img->preamble.id;
}

uint64_t cpt_img_size(const struct cpt_img *img)
{
	return img->size;
}

size_t cpt_img_count(const struct cpt_img *img, enum cpt_record type)
{
	return type < CPT_COUNT(img->by_type) ? img->by_type[type].n : 0;
}

int cpt_img_payload(const struct cpt_img *img, const struct cpt_found *f, void *ret,
		    struct cpt_err *err)
{
	if (cpt_pread_all(img->fd, ret, f->header.length, (off_t)f->data))
		return errno ? cpt_fail_sys(err, "read %s", img->name) :
		       cpt_bad(img->name, f->offset, err, "the file was cut meanwhile");
	if (cpt_hash(ret, f->header.length) != f->header.payload_hash)
		return cpt_bad(img->name, f->offset, err, "the record was changed meanwhile");
	return 0;
}

/* ---- messages ---------------------------------------------------------- */

/*
 * A few bytes can ask for many messages of many fields: more memory than this
 * times the length of the payload is no honest message.
 */
#define INFLATE 128
#define INFLATE_FREE (64 * 1024)

struct budget {
	struct cpt_arena *arena;
	uint64_t left;
};

static void *budget_alloc(void *data, size_t size)
{
	struct budget *b = data;

	if (size > b->left)
		return NULL;
	b->left -= size;
	return cpt_arena_alloc(b->arena, size);
}

static void budget_free(void *data, void *p)
{
}

/* fields that this reader does not know would be lost in silence */
static int refuse_unknown(void *arg, const ProtobufCMessage *m, struct cpt_err *err)
{
	return m->n_unknown_fields ? 1 : 0;
}

static int unpack(const struct cpt_img *img, const struct cpt_found *f,
		  const ProtobufCMessageDescriptor *desc, struct cpt_arena *arena,
		  ProtobufCMessage **ret, struct cpt_err *err)
{
	char small[4096];
	CPT_AUTO(mem) void *large = NULL;
	struct budget budget = { arena, f->header.length * INFLATE + INFLATE_FREE };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
	void *payload = small;

	if (f->header.length > sizeof(small))
		payload = large = cpt_malloc(f->header.length);
	if (cpt_img_payload(img, f, payload, err))
		return -1;
	*ret = protobuf_c_message_unpack(desc, &allocator, f->header.length, payload);
	if (!*ret)
		return cpt_bad(img->name, f->offset, err, "this %s makes no sense",
			       desc->short_name);
	if (cpt_message_walk(*ret, refuse_unknown, NULL, err))
		return cpt_bad(img->name, f->offset, err,
			       "a %s with fields that this cptool does not know",
			       desc->short_name);
	return 0;
}

int cpt_img_get(const struct cpt_img *img, enum cpt_record type, size_t n,
		const ProtobufCMessageDescriptor *desc, struct cpt_arena *arena,
		void *ret, struct cpt_err *err)
{
	const struct cpt_found *f;

	if (!cpt_disk_is_message(type) || n >= img->by_type[type].n)
		return cpt_fail(err, CPT_BAD_IMAGE, "%s: there is no %s number %zu", img->name,
				desc->short_name, n);
	f = &img->records[img->by_type[type].at[n]];
	if (!f->message || f->message->descriptor != desc)
		return unpack(img, f, desc, arena, ret, err);
	*(ProtobufCMessage **)ret = f->message;
	return 0;
}

/* ---- pages -------------------------------------------------------------- */

uint64_t cpt_img_slots(const struct cpt_img *img)
{
	return img->slots;
}

size_t cpt_record_index(const struct cpt_img *in, uint64_t slot)
{
	const struct cpt_found_list *list = &in->by_type[CPT_REC_PAGES];
	size_t low = 0, high = list->n;

	while (high - low > 1) {	/* the last record that begins at or before @slot */
		size_t mid = low + (high - low) / 2;

		if (in->records[list->at[mid]].header.key <= slot)
			low = mid;
		else
			high = mid;
	}
	return low;
}

const struct cpt_found *cpt_record_of(const struct cpt_img *img, uint64_t *slot, const struct cpt_img **in)
{
	*in = cpt_chain_at(img, *slot);
	*slot &= CPT_IMG_BASE_SLOT - 1;
	return &(*in)->records[(*in)->by_type[CPT_REC_PAGES].at[cpt_record_index(*in, *slot)]];
}

static bool is_unpacked(const struct cpt_img *img, const struct cpt_found *f)
{
	return img->spool >= 0 && f->header.flags & CPT_DISK_CODEC;
}

uint64_t cpt_img_locate(const struct cpt_img *img, uint64_t slot, uint64_t *contiguous)
{
	const struct cpt_img *in;
	const struct cpt_found *f = cpt_record_of(img, &slot, &in);

	*contiguous = f->header.npages - (slot - f->header.key);
	return is_unpacked(in, f) ? slot * CPT_PAGE : f->data + (slot - f->header.key) * CPT_PAGE;
}

int cpt_img_slot_fd(const struct cpt_img *img, uint64_t slot)
{
	const struct cpt_img *in;
	const struct cpt_found *f = cpt_record_of(img, &slot, &in);

	return is_unpacked(in, f) ? in->spool : in->fd;
}
