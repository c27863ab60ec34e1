/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pack.c - compress the pages of a record, block by block, and back */
#include "image/pack.h"

#include "image/codec.h"
#include "image/hash.h"

#include <stdlib.h>

#define WORTH(size) ((size) - (size) / 16)	/* a block that does not lose that much is stored as it is */

/* ---- making one ------------------------------------------------------- */

struct cpt_packer {
	enum cpt_codec codec;
	const struct cpt_codec_ops *ops;
	void *state;
	char *payload;			/* of the record begun */
	size_t length;
	uint32_t npages, block;
	uint32_t stored[CPT_PACK_BLOCKS(CPT_IMG_SPAN_PAGES)];
	bool shrunk;			/* at least one block did */
	bool missed;			/* the last block did not */
	struct cpt_hash hash;
	char *scratch;			/* what becomes of a sample */
};

struct cpt_packer *cpt_packer_new(enum cpt_codec codec, int level)
{
	struct cpt_packer *p = cpt_calloc(1, sizeof(*p));

	p->codec = codec;
	p->ops = cpt_codec_ops(codec);
	p->state = p->ops->pack_open(level ? level : p->ops->usual);
	return p;
}

void cpt_packer_free(struct cpt_packer *p)
{
	if (!p)
		return;
	p->ops->pack_close(p->state);
	free(p->payload);
	free(p->scratch);
	free(p);
}

bool cpt_pack_shrinks(struct cpt_packer *p, const void *bytes, size_t size)
{
	if (!p->scratch)
		p->scratch = cpt_malloc(CPT_PACK_BYTES);
	return p->ops->pack(p->state, bytes, size, p->scratch, WORTH(size)) > 0;
}

void cpt_pack_begin(struct cpt_packer *p, uint32_t npages)
{
	free(p->payload);
	p->payload = cpt_malloc(npages * CPT_PAGE + CPT_PACK_TABLE(npages));
	p->length = 0;
	p->npages = npages;
	p->block = 0;
	p->shrunk = false;
	cpt_hash_begin(&p->hash);
}

/* A codec can take long to find that it can do nothing: after a miss it is shown a page first. */
static bool try_block(struct cpt_packer *p, const char *pages, size_t size)
{
	return !p->missed || size <= CPT_PAGE || cpt_pack_shrinks(p, pages + size / 2 / CPT_PAGE * CPT_PAGE, CPT_PAGE);
}

void cpt_pack_add(struct cpt_packer *p, const void *pages, uint32_t npages)
{
	size_t size = npages * CPT_PAGE, n = 0;
	char *to = p->payload + p->length;

	if (try_block(p, pages, size))
		n = p->ops->pack(p->state, pages, size, to, WORTH(size));
	p->missed = !n;
	if (n) {
		p->shrunk = true;
	} else {
		n = size;
		memcpy(to, pages, n);
	}
	cpt_hash_add(&p->hash, to, n);
	p->stored[p->block++] = (uint32_t)n;
	p->length += n;
}

void cpt_pack_end(struct cpt_packer *p, struct cpt_img_packed *ret)
{
	size_t table = CPT_PACK_TABLE(p->npages);

	if (p->shrunk) {
		memcpy(p->payload + p->length, p->stored, table);
		cpt_hash_add(&p->hash, p->stored, table);
		p->length += table;
	}
	*ret = (struct cpt_img_packed) {
		.npages = p->npages,
		.codec = p->shrunk ? p->codec : CPT_CODEC_NONE,
		.payload = CPT_TAKE(p->payload, NULL),
		.length = p->length,
		.hash = cpt_hash_end(&p->hash),
	};
}

/* ---- taking one apart -------------------------------------------------- */

struct cpt_unpacker {
	void *state[CPT_CODECS];
	bool open[CPT_CODECS];
	char block[CPT_PACK_BYTES];
};

struct cpt_unpacker *cpt_unpacker_new(void)
{
	return cpt_calloc(1, sizeof(struct cpt_unpacker));
}

void cpt_unpacker_free(struct cpt_unpacker *u)
{
	for (unsigned i = 0; u && i < CPT_CODECS; i++)
		if (u->open[i])
			cpt_codec_ops(i)->unpack_close(u->state[i]);
	free(u);
}

const char *cpt_pack_fault(uint32_t npages, uint64_t length)
{
	uint64_t table = CPT_PACK_TABLE(npages);

	if (length <= table || length >= table + npages * CPT_PAGE)
		return "length and number of pages contradict each other";
	return NULL;
}

static int unpack_block(struct cpt_unpacker *u, unsigned codec, const char *from, uint32_t stored, size_t size,
			const void **ret, struct cpt_err *err)
{
	const struct cpt_codec_ops *ops = cpt_codec_ops(codec);

	*ret = from;
	if (stored == size)
		return 0;
	if (!u->open[codec]) {
		u->state[codec] = ops->unpack_open();
		u->open[codec] = true;
	}
	*ret = u->block;
	if (stored > size || !ops->unpack(u->state[codec], from, stored, u->block, size))
		return cpt_fail(err, CPT_BAD_IMAGE, "damaged %s block", cpt_codec_name(codec));
	return 0;
}

int cpt_unpack(struct cpt_unpacker *u, unsigned codec, uint32_t npages, const void *payload, uint64_t length,
	       cpt_unpacked_fn *each, void *arg, struct cpt_err *err)
{
	uint64_t blocks_end = length - CPT_PACK_TABLE(npages), at = 0;
	const char *bytes = payload;
	const void *block;

	if (!cpt_codec_ops(codec))
		return cpt_fail(err, CPT_UNSUPPORTED, "compressed with %s, which this cptool was built without",
				cpt_codec_name(codec));
	for (uint32_t page = 0, i = 0; page < npages; page += CPT_PACK_PAGES, i++) {
		size_t size = CPT_MIN(npages - page, (uint32_t)CPT_PACK_PAGES) * CPT_PAGE;
		uint32_t stored;

		memcpy(&stored, bytes + blocks_end + i * sizeof(stored), sizeof(stored));
		if (stored > blocks_end - at)
			return cpt_fail(err, CPT_BAD_IMAGE, "a block that is longer than its record");
		if (unpack_block(u, codec, bytes + at, stored, size, &block, err))
			return -1;
		if (each && each(arg, page, block, size, err))
			return -1;
		at += stored;
	}
	return at == blocks_end ? 0 : cpt_fail(err, CPT_BAD_IMAGE, "bytes behind the last block");
}
