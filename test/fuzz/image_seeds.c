/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image_seeds.c - small images for the fuzzer to begin with: image_seeds FOLDER
 *
 * Messages are filled through their descriptors, so that a new kind of state
 * is in the corpus as soon as it is in the image.
 */
#include "image/codec.h"
#include "image/fields.h"
#include "image/kinds.h"
#include "image/pack.h"

#include <stdio.h>
#include <stdlib.h>

static void die(const struct cpt_err *err)
{
	fprintf(stderr, "image_seeds: %s\n", err->text);
	exit(1);
}

#define must(call) do { struct cpt_err e_ = { 0 }, *err = &e_; if (call) die(err); } while (0)

/* ---- messages with every field set ---------------------------------------- */

static ProtobufCMessage *filled(const ProtobufCMessageDescriptor *d, unsigned repeat,
				struct cpt_arena *arena);

static void fill_value(const ProtobufCFieldDescriptor *f, void *to, unsigned repeat,
		       struct cpt_arena *arena)
{
	static uint8_t bytes[] = { 0, 1, 0xff };
	ProtobufCBinaryData data = { sizeof(bytes), bytes };
	uint64_t one = 1;
	const char *text = "/a";
	ProtobufCMessage *m;

	switch ((int)f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		m = filled(f->descriptor, repeat, arena);
		memcpy(to, &m, sizeof(m));
		break;
	case PROTOBUF_C_TYPE_STRING:
		memcpy(to, &text, sizeof(text));
		break;
	case PROTOBUF_C_TYPE_BYTES:
		memcpy(to, &data, sizeof(data));
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		memcpy(to, &one, 8);
		break;
	default:
		memcpy(to, &one, 4);
	}
}

static void fill_field(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, unsigned repeat,
		       struct cpt_arena *arena)
{
	char *at = (char *)m + f->offset, *quantifier = (char *)m + f->quantifier_offset;
	size_t n = repeat;
	char *values;

	if (f->label != PROTOBUF_C_LABEL_REPEATED) {
		fill_value(f, at, repeat, arena);
		if (f->quantifier_offset)
			memcpy(quantifier, &(protobuf_c_boolean) { 1 }, sizeof(protobuf_c_boolean));
		return;
	}
	values = cpt_arena_alloc(arena, n * sizeof(ProtobufCBinaryData));
	memcpy(at, &values, sizeof(values));
	memcpy(quantifier, &n, sizeof(n));
	for (size_t i = 0; i < n; i++)
		fill_value(f, (char *)(uintptr_t)cpt_field_value(m, f, i), repeat, arena);
}

static ProtobufCMessage *filled(const ProtobufCMessageDescriptor *d, unsigned repeat,
				struct cpt_arena *arena)
{
	ProtobufCMessage *m = cpt_arena_alloc(arena, d->sizeof_message);

	protobuf_c_message_init(d, m);
	for (unsigned i = 0; i < d->n_fields; i++)
		fill_field(m, &d->fields[i], repeat, arena);
	return m;
}

/* ---- images ------------------------------------------------------------------ */

struct shape {
	const char *name;
	unsigned messages, repeat, pages, blobs;
	enum cpt_codec codec;		/* of two more records of pages; the second has a block that does not shrink */
};

static void put(struct cpt_img_writer *w, enum cpt_record type, unsigned repeat)
{
	struct cpt_arena arena = { 0 };
	ProtobufCMessage *m = filled(cpt_kind_of(type), repeat, &arena);

	/* so that the first of each is what a reference to 1 means */
	if (type == CPT_REC_CGROUP)
		((Cpt__Cgroup *)m)->id = 0;
	if (type == CPT_REC_HEADER) {
		((Cpt__Header *)m)->features = 0;
		((Cpt__Header *)m)->page_size = CPT_PAGE;
		((Cpt__Header *)m)->has_id = false;
	}
	must(cpt_img_put(w, type, m, err));
	cpt_arena_free(&arena);
}

static void put_packed(struct cpt_img_writer *w, struct cpt_packer *packer, unsigned noise)
{
	CPT_AUTO(mem) unsigned char *block = cpt_calloc(CPT_PACK_PAGES, CPT_PAGE);
	struct cpt_img_packed p;
	uint64_t first;
	uint32_t x = 1;

	must(cpt_img_take_slots(w, CPT_PACK_PAGES + 1, &first, err));
	cpt_pack_begin(packer, CPT_PACK_PAGES + 1);
	memcpy(block, "text", 4);
	cpt_pack_add(packer, block, CPT_PACK_PAGES);
	for (unsigned i = 0; i < noise; i++)
		block[i] = (unsigned char)((x = x * 1664525u + 1013904223u) >> 24);
	cpt_pack_add(packer, block, 1);
	cpt_pack_end(packer, &p);
	p.first_slot = first;
	must(cpt_img_put_packed(w, &p, err));
	free(p.payload);
}

static void put_codec(struct cpt_img_writer *w, enum cpt_codec codec)
{
	struct cpt_packer *packer = cpt_packer_new(codec, 0);

	put_packed(w, packer, 0);
	put_packed(w, packer, CPT_PAGE);
	cpt_packer_free(packer);
}

static void make(const char *folder, const struct shape *s)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	static const unsigned char page[CPT_PAGE] = { 1, 2, 3 };
	char path[4096];
	uint64_t slot;

	snprintf(path, sizeof(path), "%s/%s", folder, s->name);
	must(cpt_img_create(path, &w, err));
	put(w, CPT_REC_HEADER, s->repeat);
	for (unsigned i = 0; i < s->messages; i++)
		for (enum cpt_record type = CPT_REC_CGROUP; cpt_kind_of(type); type++)
			put(w, type, s->repeat);
	for (unsigned i = 0; i < s->pages; i++)
		must(cpt_img_put_pages(w, page, 1, &slot, err));
	if (s->codec && cpt_codec_ops(s->codec))
		put_codec(w, s->codec);
	for (unsigned i = 0; i < s->blobs; i++)
		must(cpt_img_put_blob(w, i, "blob", i, err));
	must(cpt_img_commit(w, err));
}

int main(int argc, char **argv)
{
	static const struct shape shapes[] = {
		{ "empty" },
		{ "pages", .pages = 2 },
		{ "blobs", .blobs = 4 },
		{ "messages", .messages = 1, .repeat = 1 },
		{ "bare", .messages = 1 },
		{ "zlib", .pages = 1, .codec = CPT_CODEC_ZLIB },
		{ "zstd", .pages = 1, .codec = CPT_CODEC_ZSTD },
		{ "lz4", .pages = 1, .codec = CPT_CODEC_LZ4 },
		{ "more", .messages = 2, .repeat = 2, .pages = 1, .blobs = 2 },
	};

	if (argc != 2)
		return 2;
	for (size_t i = 0; i < CPT_COUNT(shapes); i++)
		make(argv[1], &shapes[i]);
	return 0;
}
