/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* blobs.c - raw bytes found by their id, read when they are asked for */
#include "image/read.h"

#include <stdlib.h>

struct cpt_blob_view {
	uint64_t id;
	const struct cpt_found *found;
	void *bytes;			/* NULL: not read yet */
};

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct cpt_blob_view *)a)->id;
	uint64_t y = ((const struct cpt_blob_view *)b)->id;

	return x < y ? -1 : x > y;
}

int cpt_blobs_index(struct cpt_img *img, struct cpt_err *err)
{
	const struct cpt_found_list *list = &img->by_type[CPT_REC_BLOB];

	if (!list->n)
		return 0;
	img->blobs = cpt_calloc(list->n, sizeof(*img->blobs));
	for (size_t i = 0; i < list->n; i++) {
		img->blobs[i].found = &img->records[list->at[i]];
		img->blobs[i].id = img->blobs[i].found->header.key;
	}
	qsort(img->blobs, list->n, sizeof(*img->blobs), by_id);
	for (size_t i = 1; i < list->n; i++)
		if (img->blobs[i].id == img->blobs[i - 1].id)
			return cpt_bad(img->name, img->blobs[i].found->offset, err,
				       "a second blob %llu",
				       (unsigned long long)img->blobs[i].id);
	return 0;
}

void cpt_blobs_free(struct cpt_img *img)
{
	for (size_t i = 0; img->blobs && i < img->by_type[CPT_REC_BLOB].n; i++)
		free(img->blobs[i].bytes);
	free(img->blobs);
}

int cpt_img_blob(const struct cpt_img *img, uint64_t id, const void **data, size_t *size,
		 struct cpt_err *err)
{
	struct cpt_blob_view key = { .id = id }, *b = NULL;

	if (img->blobs)
		b = bsearch(&key, img->blobs, img->by_type[CPT_REC_BLOB].n, sizeof(key), by_id);
	if (!b)
		return cpt_fail(err, CPT_BAD_IMAGE, "%s: there is no blob %llu", img->name,
				(unsigned long long)id);
	if (!b->bytes) {
		CPT_AUTO(mem) void *bytes = cpt_malloc(b->found->header.length);

		if (cpt_img_payload(img, b->found, bytes, err))
			return -1;
		b->bytes = CPT_TAKE(bytes, NULL);
	}
	*data = b->bytes;
	*size = b->found->header.length;
	return 0;
}
