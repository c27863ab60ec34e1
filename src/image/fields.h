/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fields.h - messages of every kind, looked at through their descriptors */
#ifndef CPT_IMAGE_FIELDS_H
#define CPT_IMAGE_FIELDS_H

#include "base/base.h"

#include <protobuf-c/protobuf-c.h>

/** cpt_field_count - how many values a field has: 0 when it is absent */
size_t cpt_field_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);
/** cpt_field_value - where the @i-th of them lies: a number, char *, ProtobufCBinaryData or ProtobufCMessage * */
const void *cpt_field_value(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i);
/** cpt_field_message - the @i-th value of a field of messages */
static inline const ProtobufCMessage *cpt_field_message(const ProtobufCMessage *m,
							 const ProtobufCFieldDescriptor *f, size_t i)
{
	return *(const ProtobufCMessage *const *)cpt_field_value(m, f, i);
}

/** cpt_enum_name - NULL when the number has none */
const char *cpt_enum_name(const ProtobufCFieldDescriptor *f, int value);

/**
 * cpt_visit - called with a message and then with each one inside it
 *
 * 0 goes on; anything else ends the walk, which returns it.
 */
typedef int cpt_visit(void *arg, const ProtobufCMessage *m, struct cpt_err *err);
int cpt_message_walk(const ProtobufCMessage *m, cpt_visit *visit, void *arg, struct cpt_err *err) CPT_CHECKED;

#endif
