/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reseal.h"

#include <stdlib.h>

struct totals {
	uint64_t seed, slots;
	uint32_t records;
	uint64_t index_offset;
	struct cpt_hash headers;
	struct cpt_disk_entry *entries;
	size_t cap;
};

static bool fits(const struct cpt_disk_record *r, uint64_t offset, size_t size)
{
	uint64_t data = cpt_disk_data(r, offset);

	return data <= size && r->length <= size - data &&
	       CPT_DISK_ALIGN(r->length) <= size - data;
}

static void set_index(const struct totals *t, void *payload, uint64_t length)
{
	if (length == t->records * sizeof(*t->entries))
		memcpy(payload, t->entries, length);
}

static void set_commit(const struct totals *t, void *payload, uint64_t length, size_t size)
{
	struct cpt_disk_commit c = {
		.records = t->records,
		.slots = t->slots,
		.index_offset = t->index_offset,
		.bytes = size,
		.frame_hash = cpt_hash_end(&t->headers),
	};

	if (length == sizeof(c))
		memcpy(payload, &c, sizeof(c));
}

static void seal(struct totals *t, unsigned char *image, size_t size, uint64_t offset)
{
	struct cpt_disk_record *r = (void *)(image + offset);
	unsigned char *payload = image + cpt_disk_data(r, offset);

	r->magic = CPT_DISK_RECORD_MAGIC;
	r->seq = t->records;
	if (r->type == CPT_REC_PAGES)
		r->key = t->slots;
	if (r->type == CPT_REC_INDEX)
		set_index(t, payload, r->length);
	if (r->type == CPT_REC_COMMIT)
		set_commit(t, payload, r->length, size);
	r->payload_hash = cpt_hash(payload, r->length);
	r->hash = cpt_disk_seal(r, t->seed);
	cpt_hash_add(&t->headers, r, sizeof(*r));
	CPT_GROW(t->entries, t->records, t->cap);
	t->entries[t->records++] = (struct cpt_disk_entry) { offset, r->type, r->flags, r->npages };
	t->index_offset = offset;
	t->slots += r->npages;
}

void reseal(unsigned char *image, size_t size)
{
	struct cpt_disk_preamble *p = (void *)image;
	struct totals t = { 0 };
	uint64_t offset = sizeof(*p);

	if (size < sizeof(*p))
		return;
	p->hash = cpt_hash(p, offsetof(struct cpt_disk_preamble, hash));
	t.seed = cpt_disk_seed(p);
	cpt_hash_begin(&t.headers);
	while (size - offset >= sizeof(struct cpt_disk_record)) {
		struct cpt_disk_record *r = (void *)(image + offset);

		if (!fits(r, offset, size))
			break;
		seal(&t, image, size, offset);
		offset = cpt_disk_data(r, offset) + CPT_DISK_ALIGN(r->length);
	}
	free(t.entries);
}

struct cpt_disk_record *record_at(unsigned char *image, size_t size, unsigned n)
{
	uint64_t offset = sizeof(struct cpt_disk_preamble);

	for (;;) {
		struct cpt_disk_record *r = (void *)(image + offset);

		if (size - offset < sizeof(*r) || !fits(r, offset, size))
			return NULL;
		if (!n--)
			return r;
		offset = cpt_disk_data(r, offset) + CPT_DISK_ALIGN(r->length);
	}
}
