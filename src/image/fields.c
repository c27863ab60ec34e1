/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fields.c - the memory layout of protobuf-c messages, in one place */
#include "image/fields.h"

static const char *at(const ProtobufCMessage *m, unsigned offset)
{
	return (const char *)m + offset;
}

static bool is_pointer(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE;
}

size_t cpt_field_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)at(m, f->quantifier_offset);
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)at(m, f->quantifier_offset) == f->id;
	if (is_pointer(f))
		return *(const void *const *)at(m, f->offset) != NULL;
	return *(const protobuf_c_boolean *)at(m, f->quantifier_offset) != 0;
}

static size_t value_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_BOOL:
	case PROTOBUF_C_TYPE_ENUM:
	default:
		return 4;
	}
}

const void *cpt_field_value(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i)
{
	const char *value = at(m, f->offset);

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		value = *(const char *const *)value + i * value_size(f);
	return value;
}

const char *cpt_enum_name(const ProtobufCFieldDescriptor *f, int value)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(f->descriptor, value);

	return v ? v->name : NULL;
}

int cpt_message_walk(const ProtobufCMessage *m, cpt_visit *visit, void *arg, struct cpt_err *err)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	int result = visit(arg, m, err);

	for (unsigned i = 0; !result && i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		size_t n;

		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		n = cpt_field_count(m, f);
		for (size_t k = 0; !result && k < n; k++)
			result = cpt_message_walk(cpt_field_message(m, f, k), visit, arg, err);
	}
	return result;
}
