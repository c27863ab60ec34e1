/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refs.c - what messages refer to exists: objects, address spaces, groups, processes, slots */
#include "image/fields.h"
#include "image/kinds.h"
#include "image/read.h"

#include "epoll.pb-c.h"
#include "files.pb-c.h"
#include "pidfd.pb-c.h"
#include "unix.pb-c.h"

#include <stdlib.h>

enum target { TO_CGROUP, TO_TASK, TO_MM, TO_OBJECT, TARGETS };

/* a field that holds the id of something, when it is there */
struct ref {
	const ProtobufCMessageDescriptor *in;
	const char *field;
	enum target to;
};

static const struct ref refs_known[] = {
	{ &cpt__task__descriptor, "cgroup", TO_CGROUP },
	{ &cpt__task__descriptor, "mm", TO_MM },
	{ &cpt__fd__descriptor, "object", TO_OBJECT },
	{ &cpt__fs__descriptor, "root", TO_OBJECT },
	{ &cpt__fs__descriptor, "cwd", TO_OBJECT },
	{ &cpt__mm__descriptor, "exe", TO_OBJECT },
	{ &cpt__vma__descriptor, "object", TO_OBJECT },
	{ &cpt__object__descriptor, "inode_of", TO_OBJECT },
	{ &cpt__epoll_target__descriptor, "object", TO_OBJECT },
	{ &cpt__unix_message__descriptor, "objects", TO_OBJECT },
	{ &cpt__unix_message__descriptor, "sender", TO_OBJECT },
	{ &cpt__unix_socket__descriptor, "peer", TO_OBJECT },
	{ &cpt__pidfd__descriptor, "pid", TO_TASK },
};

static const struct {
	enum cpt_record type;
	const char *what, *id;
	uint32_t first;			/* ids count from here without a gap; NO: any numbers */
} targets[TARGETS] = {
#define NO UINT32_MAX
	[TO_CGROUP] = { CPT_REC_CGROUP, "cgroup", "id", 0 },
	[TO_TASK] = { CPT_REC_TASK, "process", "pid", NO },
	[TO_MM] = { CPT_REC_MM, "address space", "id", NO },
	[TO_OBJECT] = { CPT_REC_OBJECT, "object", "id", 1 },
};

struct cpt_refs {
	const struct cpt_img *img;
	struct {
		uint32_t *ids;		/* ascending */
		size_t n;
	} known[TARGETS];
	/* resolved once: the fields of refs_known */
	const ProtobufCFieldDescriptor *fields[CPT_COUNT(refs_known)];
};

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool known(const struct cpt_refs *refs, enum target to, uint32_t id)
{
	return refs->known[to].n &&
	       bsearch(&id, refs->known[to].ids, refs->known[to].n, sizeof(id), by_number);
}

/* absent: 0 */
static uint32_t number(const ProtobufCMessage *m, const char *field)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(m->descriptor, field);

	return cpt_field_count(m, f) ? *(const uint32_t *)cpt_field_value(m, f, 0) : 0;
}

static int collect_ids(struct cpt_img *img, struct cpt_refs *refs, enum target to,
		       struct cpt_err *err)
{
	const struct cpt_found_list *list = &img->by_type[targets[to].type];
	uint32_t *ids = cpt_calloc(list->n, sizeof(*ids));

	refs->known[to].ids = ids;
	refs->known[to].n = list->n;
	for (size_t i = 0; i < list->n; i++)
		ids[i] = number(img->records[list->at[i]].message, targets[to].id);
	qsort(ids, list->n, sizeof(*ids), by_number);
	for (size_t i = 0; i < list->n; i++) {
		if (i && ids[i] == ids[i - 1])
			return cpt_fail(err, CPT_BAD_IMAGE, "%s: %s %u is there twice",
					img->name, targets[to].what, ids[i]);
		if (targets[to].first != NO && ids[i] != targets[to].first + i)
			return cpt_fail(err, CPT_BAD_IMAGE, "%s: there is no %s %zu, but a %u",
					img->name, targets[to].what, targets[to].first + i, ids[i]);
	}
	return 0;
}

int cpt_refs_collect(struct cpt_img *img, struct cpt_refs **ret, struct cpt_err *err)
{
	CPT_AUTO(refs) struct cpt_refs *refs = cpt_calloc(1, sizeof(*refs));

	refs->img = img;
	for (size_t i = 0; i < CPT_COUNT(refs_known); i++)
		refs->fields[i] = protobuf_c_message_descriptor_get_field_by_name(
			refs_known[i].in, refs_known[i].field);
	for (enum target to = 0; to < TARGETS; to++)
		if (collect_ids(img, refs, to, err))
			return -1;
	*ret = CPT_TAKE(refs, NULL);
	return 0;
}

void cpt_refs_free(struct cpt_refs *refs)
{
	if (!refs)
		return;
	for (enum target to = 0; to < TARGETS; to++)
		free(refs->known[to].ids);
	free(refs);
}

/* lengths of the arrays and counts were checked: cpt_check_pages */
static int check_slots(const struct cpt_refs *refs, const Cpt__Pages *p, struct cpt_err *err)
{
	for (size_t i = 0; i < p->n_slot; i++) {
		const struct cpt_img *in = cpt_chain_at(refs->img, p->slot[i]);
		uint64_t slot = p->slot[i] & (CPT_IMG_BASE_SLOT - 1), slots = in ? in->slots : 0;

		if (slot >= slots || p->count[i] > slots - slot)
			return cpt_fail(err, CPT_BAD_IMAGE,
					"%llu pages from slot %llu of %llu that there are",
					(unsigned long long)p->count[i],
					(unsigned long long)slot,
					(unsigned long long)slots);
	}
	return 0;
}

int cpt_refs_check(const struct cpt_refs *refs, const ProtobufCMessage *m, struct cpt_err *err)
{
	for (size_t i = 0; i < CPT_COUNT(refs_known); i++) {
		const struct ref *ref = &refs_known[i];
		size_t n;

		if (ref->in != m->descriptor)
			continue;
		n = cpt_field_count(m, refs->fields[i]);
		for (size_t k = 0; k < n; k++) {
			uint32_t id = *(const uint32_t *)cpt_field_value(m, refs->fields[i], k);

			if (!known(refs, ref->to, id))
				return cpt_fail(err, CPT_BAD_IMAGE, "%s: there is no %s %u",
						ref->field, targets[ref->to].what, id);
		}
	}
	if (m->descriptor == &cpt__pages__descriptor)
		return check_slots(refs, (const Cpt__Pages *)m, err);
	return 0;
}
