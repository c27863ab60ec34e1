/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* format.c - hashes and places of preamble and records */
#include "image/format.h"

#include <sys/random.h>

static uint64_t preamble_hash(const struct cpt_disk_preamble *p)
{
	return cpt_hash(p, offsetof(struct cpt_disk_preamble, hash));
}

int cpt_disk_begin(struct cpt_disk_preamble *ret, struct cpt_err *err)
{
	*ret = (struct cpt_disk_preamble) {
		.version = CPT_DISK_VERSION,
		.features = CPT_DISK_FEATURES,
	};
	memcpy(ret->magic, CPT_DISK_MAGIC, sizeof(ret->magic));
	if (getrandom(ret->id, sizeof(ret->id), 0) != sizeof(ret->id))
		return cpt_fail_sys(err, "getrandom");
	ret->hash = preamble_hash(ret);
	return 0;
}

uint64_t cpt_disk_seed(const struct cpt_disk_preamble *p)
{
	return cpt_hash(p->id, sizeof(p->id));
}

uint64_t cpt_disk_seal(const struct cpt_disk_record *r, uint64_t seed)
{
	return cpt_hash_seeded(r, offsetof(struct cpt_disk_record, hash), seed);
}

uint64_t cpt_disk_data(const struct cpt_disk_record *r, uint64_t offset)
{
	uint64_t data = offset + sizeof(*r);

	return r->flags & CPT_DISK_ALIGNED ? CPT_PAGE_ALIGN(data) : data;
}

int cpt_disk_check_preamble(const struct cpt_disk_preamble *p, struct cpt_err *err)
{
	if (memcmp(p->magic, CPT_DISK_MAGIC, sizeof(p->magic)))
		return cpt_fail(err, CPT_BAD_IMAGE, "not an image of cptool");
	if (p->hash != preamble_hash(p))
		return cpt_fail(err, CPT_BAD_IMAGE, "the first 64 bytes are damaged");
	if (p->version != CPT_DISK_VERSION)
		return cpt_fail(err, CPT_BAD_IMAGE, "format %u; this cptool reads format %u",
				p->version, CPT_DISK_VERSION);
	if (p->features & ~CPT_DISK_FEATURES)
		return cpt_fail(err, CPT_BAD_IMAGE, "needs features %#llx that this cptool lacks",
				(unsigned long long)(p->features & ~CPT_DISK_FEATURES));
	if (p->reserved || p->room[0] || p->room[1])
		return cpt_fail(err, CPT_BAD_IMAGE, "reserved words of the preamble are in use");
	return 0;
}
