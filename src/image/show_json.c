/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * show_json.c - an image as one JSON document
 *
 * Names are those of the messages' fields. 64-bit numbers are numbers, bytes
 * are hexadecimal strings, enums their names. The document is put together
 * record by record; json-c makes the text of each.
 */
#include "image/codec.h"
#include "image/fields.h"
#include "image/kinds.h"
#include "image/show.h"

#include <json.h>
#include <stdlib.h>

#define FORM (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

static struct json_object *from_message(const ProtobufCMessage *m);

static struct json_object *from_string(const char *s)
{
	CPT_AUTO(mem) char *clean = cpt_show_clean(s);

	return json_object_new_string(clean);
}

static struct json_object *from_bytes(const ProtobufCBinaryData *b)
{
	CPT_AUTO(mem) char *hex = cpt_show_hex(b->data, b->len, b->len);

	return json_object_new_string(hex);
}

static struct json_object *from_enum(const ProtobufCFieldDescriptor *f, int value)
{
	const char *name = cpt_enum_name(f, value);

	return name ? json_object_new_string(name) : json_object_new_int(value);
}

static struct json_object *from_value(const ProtobufCFieldDescriptor *f, const void *v)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_object_new_int(*(const int32_t *)v);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_object_new_int64(*(const uint32_t *)v);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return json_object_new_int64(*(const int64_t *)v);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return json_object_new_uint64(*(const uint64_t *)v);
	case PROTOBUF_C_TYPE_FLOAT:
		return json_object_new_double((double)*(const float *)v);
	case PROTOBUF_C_TYPE_DOUBLE:
		return json_object_new_double(*(const double *)v);
	case PROTOBUF_C_TYPE_BOOL:
		return json_object_new_boolean(*(const protobuf_c_boolean *)v);
	case PROTOBUF_C_TYPE_ENUM:
		return from_enum(f, *(const int *)v);
	case PROTOBUF_C_TYPE_STRING:
		return from_string(*(const char *const *)v);
	case PROTOBUF_C_TYPE_BYTES:
		return from_bytes(v);
	case PROTOBUF_C_TYPE_MESSAGE:
		return from_message(*(const ProtobufCMessage *const *)v);
	default:
		return NULL;
	}
}

static struct json_object *from_field(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	size_t n = cpt_field_count(m, f);
	struct json_object *array;

	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return from_value(f, cpt_field_value(m, f, 0));
	array = json_object_new_array_ext((int)CPT_MIN(n, (size_t)INT32_MAX));
	for (size_t i = 0; i < n; i++)
		json_object_array_add(array, from_value(f, cpt_field_value(m, f, i)));
	return array;
}

static struct json_object *from_message(const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	struct json_object *o = json_object_new_object();

	for (unsigned i = 0; i < d->n_fields; i++)
		if (cpt_field_count(m, &d->fields[i]))
			json_object_object_add(o, d->fields[i].name, from_field(m, &d->fields[i]));
	return o;
}

/* ---- the document ------------------------------------------------------- */

/* the lines of @o, moved in; @before goes before the first, @after behind the last */
static void print(struct cpt_sink out, struct json_object *o, const char *indent,
		  const char *before, const char *after)
{
	CPT_AUTO(mem) char *text = cpt_strdup(json_object_to_json_string_ext(o, FORM));
	char *save = NULL, *line = strtok_r(text, "\n", &save);

	while (line) {
		char *next = strtok_r(NULL, "\n", &save);

		cpt_show_line(out, "%s%s%s%s", indent, before, line, next ? "" : after);
		before = "";
		line = next;
	}
	json_object_put(o);
}

static struct json_object *frame(const struct cpt_img *img)
{
	struct json_object *o = json_object_new_object();
	CPT_AUTO(mem) char *id = cpt_show_hex(img->preamble.id, CPT_IMG_ID, CPT_IMG_ID);

	json_object_object_add(o, "id", json_object_new_string(id));
	json_object_object_add(o, "format", json_object_new_int64(img->preamble.version));
	json_object_object_add(o, "features", json_object_new_uint64(img->preamble.features));
	json_object_object_add(o, "bytes", json_object_new_uint64(img->size));
	json_object_object_add(o, "records", json_object_new_uint64(img->nrecords));
	json_object_object_add(o, "pages", json_object_new_uint64(img->slots));
	if (img->packed_slots) {
		json_object_object_add(o, "codec", json_object_new_string(cpt_codec_name(img->codec)));
		json_object_object_add(o, "packed_pages", json_object_new_uint64(img->packed_slots));
		json_object_object_add(o, "packed_bytes", json_object_new_uint64(img->packed_bytes));
	}
	return o;
}

static int message(struct cpt_img *img, enum cpt_record type, size_t n,
		   struct json_object **ret, struct cpt_err *err)
{
	struct cpt_arena arena = { 0 };
	ProtobufCMessage *m;
	int rc = cpt_img_get(img, type, n, cpt_kind_of(type), &arena, &m, err);

	if (!rc)
		*ret = from_message(m);
	cpt_arena_free(&arena);
	return rc;
}

static int list(struct cpt_img *img, enum cpt_record type, struct cpt_sink out, struct cpt_err *err)
{
	size_t n = cpt_img_count(img, type);
	struct json_object *o;

	cpt_show_line(out, "  \"%s\": [%s", cpt_show_types[type], n ? "" : "],");
	for (size_t i = 0; i < n; i++) {
		if (message(img, type, i, &o, err))
			return -1;
		print(out, o, "    ", "", i + 1 < n ? "," : "");
	}
	if (n)
		cpt_show_line(out, "  ],");
	return 0;
}

static void blobs(const struct cpt_img *img, struct cpt_sink out)
{
	const struct cpt_found_list *found = &img->by_type[CPT_REC_BLOB];
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < found->n; i++) {
		const struct cpt_disk_record *r = &img->records[found->at[i]].header;
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "id", json_object_new_uint64(r->key));
		json_object_object_add(o, "bytes", json_object_new_uint64(r->length));
		json_object_array_add(array, o);
	}
	print(out, array, "  ", "\"blobs\": ", "");
}

int cpt_show_json(struct cpt_img *img, struct cpt_sink out, struct cpt_err *err)
{
	struct json_object *header;

	if (message(img, CPT_REC_HEADER, 0, &header, err))
		return -1;
	cpt_show_line(out, "{");
	print(out, frame(img), "  ", "\"image\": ", ",");
	print(out, header, "  ", "\"header\": ", ",");
	for (enum cpt_record type = CPT_REC_CGROUP; cpt_kind_of(type); type++)
		if (list(img, type, out, err))
			return -1;
	blobs(img, out);
	cpt_show_line(out, "}");
	return 0;
}
