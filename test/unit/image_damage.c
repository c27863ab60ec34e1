/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_damage.c - no damage goes unseen: cuts, flipped bits, records moved, forged ones */
#include "unit.h"

#include "../fuzz/reseal.h"
#include "header.pb-c.h"
#include "image_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* a small image with every kind of gap and padding, in memory */
struct whole {
	unsigned char *bytes;
	size_t size;
};

static struct whole make(struct fixture *f)
{
	struct whole w;

	fixture_write(f->path, 3, 2);
	w.bytes = fixture_bytes(f->path, &w.size);
	return w;
}

static void every_cut(void **state)
{
	struct fixture *f = *state;
	struct whole w = make(f);

	for (size_t size = w.size; size--;) {
		assert_int_equal(truncate(f->path, (off_t)size), 0);
		fails(fixture_try(f->path, err), CPT_BAD_IMAGE, f->path);
	}
	free(w.bytes);
}

static void every_bit(void **state)
{
	struct fixture *f = *state;
	struct whole w = make(f);
	int fd = open(f->path, O_WRONLY | O_CLOEXEC);

	for (size_t bit = 0; bit < 8 * w.size; bit++) {
		unsigned char c = w.bytes[bit / 8] ^ (unsigned char)(1 << bit % 8);

		assert_int_equal(pwrite(fd, &c, 1, (off_t)(bit / 8)), 1);
		fails(fixture_try(f->path, err), CPT_BAD_IMAGE, f->path);
		assert_int_equal(pwrite(fd, w.bytes + bit / 8, 1, (off_t)(bit / 8)), 1);
	}
	close(fd);
	ok(fixture_try(f->path, err));
	free(w.bytes);
}

static void bytes_behind(void **state)
{
	struct fixture *f = *state;
	struct whole w = make(f);

	for (size_t more = 1; more < 20; more++) {
		w.bytes = cpt_realloc(w.bytes, w.size + more, 1);
		memset(w.bytes + w.size, 0, more);
		fixture_put_bytes(f->path, w.bytes, w.size + more);
		fails(fixture_try(f->path, err), CPT_BAD_IMAGE, "after the commit record");
	}
	/* the image twice */
	w.bytes = cpt_realloc(w.bytes, 2 * w.size, 1);
	memcpy(w.bytes + w.size, w.bytes, w.size);
	fixture_put_bytes(f->path, w.bytes, 2 * w.size);
	fails(fixture_try(f->path, err), CPT_BAD_IMAGE, "after the commit record");
	free(w.bytes);
}

/* [0] header, [1] two pages, [2] to [4] groups, [5] blob, [6] index, [7] commit */
static struct cpt_disk_record *record(struct whole *w, unsigned n)
{
	struct cpt_disk_record *r = record_at(w->bytes, w->size, n);

	assert_non_null(r);
	return r;
}

static size_t extent(const struct cpt_disk_record *r)
{
	return sizeof(*r) + CPT_DISK_ALIGN(r->length);
}

static void records_swapped(void **state)
{
	struct fixture *f = *state;
	struct whole w = make(f);
	struct cpt_disk_record *a = record(&w, 3), *b = record(&w, 4);
	unsigned char kept[512];
	size_t size = extent(a);

	assert_int_equal(size, extent(b));
	assert_in_range(size, 1, sizeof(kept));
	memcpy(kept, a, size);
	memcpy(a, b, size);
	memcpy(b, kept, size);
	fixture_put_bytes(f->path, w.bytes, w.size);
	fails(fixture_try(f->path, err), CPT_BAD_IMAGE, "missing or out of place");
	free(w.bytes);
}

static void record_dropped(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 8; n++) {
		struct whole w = make(f);
		struct cpt_disk_record *r = record(&w, n);
		unsigned char *from = (unsigned char *)r;
		unsigned char *to = n < 7 ? (unsigned char *)record(&w, n + 1) : w.bytes + w.size;

		memmove(from, to, w.size - (size_t)(to - w.bytes));
		fixture_put_bytes(f->path, w.bytes, w.size - (size_t)(to - from));
		fails(fixture_try(f->path, err), CPT_BAD_IMAGE, f->path);
		free(w.bytes);
	}
}

static void record_of_another_image(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < 8; n++) {
		struct whole w = make(f), other = make(f);

		assert_int_equal(w.size, other.size);
		memcpy(record(&w, n), record(&other, n), sizeof(struct cpt_disk_record));
		fixture_put_bytes(f->path, w.bytes, w.size);
		fails(fixture_try(f->path, err), CPT_BAD_IMAGE, "damaged record header");
		free(w.bytes);
		free(other.bytes);
	}
}

/* all hashes are right, and yet it is refused */
static void refuse(struct fixture *f, struct whole *w, const char *why)
{
	reseal(w->bytes, w->size);
	fixture_put_bytes(f->path, w->bytes, w->size);
	fails(fixture_try(f->path, err), CPT_BAD_IMAGE, why);
	free(w->bytes);
}

#define FORGE(n, change, why)						\
	do {								\
		struct whole w = make(f);				\
		struct cpt_disk_record *r __attribute__((unused)) =	\
			record(&w, (n));				\
									\
		change;							\
		refuse(f, &w, (why));					\
	} while (0)

static void forged_headers(void **state)
{
	struct fixture *f = *state;

	FORGE(0, r->type = CPT_REC_TASK, "header must be the first");
	FORGE(2, r->type = CPT_REC_HEADER, "header must be the first");
	FORGE(2, r->type = 0, "does not know");
	FORGE(2, r->type = CPT_REC_COMMIT + 1, "does not know");
	FORGE(2, r->type = CPT_REC_COMMIT, "must be the last");
	FORGE(2, r->type = CPT_REC_INDEX, "must be the last");
	FORGE(2, r->flags = 1, "unknown flags");
	FORGE(2, r->flags = CPT_DISK_ALIGNED, f->path);
	FORGE(2, r->npages = 1, "unknown flags");
	FORGE(2, r->key = 1, "a key");
	FORGE(2, r->room[1] = 1, "reserved words");
	FORGE(2, r->length += 8, f->path);
	FORGE(2, r->length = UINT64_MAX, "damaged record header");
	FORGE(1, r->npages = 0, "number of pages");
	FORGE(1, r->npages = CPT_IMG_SPAN_PAGES + 1, "number of pages");
	FORGE(1, r->npages = 1, "contradict");
	FORGE(1, r->flags |= 9, "compressed in a way");
	FORGE(1, r->flags |= CPT_CODEC_ZLIB, "unknown flags");
	FORGE(1, r->flags = 0, f->path);
	FORGE(1, r->flags |= 0x8000, "unknown flags");
	FORGE(6, r->length -= 8, f->path);
	FORGE(7, r->length -= 8, f->path);
}

static void rehash(struct whole *w, struct cpt_disk_record *r)
{
	r->payload_hash = cpt_hash(r + 1, r->length);
	r->hash = cpt_disk_seal(r, cpt_disk_seed((void *)w->bytes));
}

/* the words of the commit record and of the index, each wrong in turn */
static void forged_totals(void **state)
{
	struct fixture *f = *state;
	struct whole w = make(f);
	struct cpt_disk_record *commit = record(&w, 7), *index = record(&w, 6);
	uint64_t *words = (uint64_t *)(commit + 1), *entries = (uint64_t *)(index + 1);
	struct cpt_disk_commit *c = (void *)words;

	for (size_t i = 0; i < sizeof(*c) / 8; i++) {
		words[i]++;
		rehash(&w, commit);
		fixture_put_bytes(f->path, w.bytes, w.size);
		fails(fixture_try(f->path, err), CPT_BAD_IMAGE, "not of this image");
		words[i]--;
	}
	for (size_t i = 0; i < index->length / 8; i++) {
		struct cpt_hash h;

		entries[i]++;
		rehash(&w, index);
		cpt_hash_begin(&h);
		for (unsigned n = 0; n < 7; n++)
			cpt_hash_add(&h, record(&w, n), sizeof(*index));
		c->frame_hash = cpt_hash_end(&h);
		rehash(&w, commit);
		fixture_put_bytes(f->path, w.bytes, w.size);
		fails(fixture_try(f->path, err), CPT_BAD_IMAGE, "the index is not");
		entries[i]--;
	}
	free(w.bytes);
}

static void forged_preamble(void **state)
{
	struct fixture *f = *state;

	FORGE(0, ((struct cpt_disk_preamble *)w.bytes)->version++, "reads format 1");
	FORGE(0, ((struct cpt_disk_preamble *)w.bytes)->features = 2, "features 0x2");
	FORGE(0, ((struct cpt_disk_preamble *)w.bytes)->reserved = 1, "reserved");
	FORGE(0, ((struct cpt_disk_preamble *)w.bytes)->magic[7] = '\r', "not an image");
}

/* lengths that no file can have, in every record, with the hash of the header right */
static void forged_lengths(void **state)
{
	static const uint64_t lengths[] = {
		0, 1, CPT_DISK_MESSAGE_MAX, CPT_DISK_MESSAGE_MAX + 1, INT64_MAX, UINT64_MAX,
		UINT64_MAX - 7, UINT64_MAX - 63, UINT64_MAX - 4095, 1ULL << 63, UINT32_MAX,
	};
	struct fixture *f = *state;

	for (unsigned n = 0; n < 8; n++)
		for (size_t i = 0; i < CPT_COUNT(lengths); i++) {
			struct whole w = make(f);
			struct cpt_disk_record *r = record(&w, n);

			r->length = lengths[i];
			r->hash = cpt_disk_seal(r, cpt_disk_seed((void *)w.bytes));
			fixture_put_bytes(f->path, w.bytes, w.size);
			fails(fixture_try(f->path, err), CPT_BAD_IMAGE, f->path);
			free(w.bytes);
		}
}

static void blob_twice(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;

	ok(cpt_img_create(f->path, &w, err));
	fixture_header(w);
	for (unsigned i = 0; i < 3; i++)
		ok(cpt_img_put_blob(w, i % 2, "x", 1, err));
	ok(cpt_img_commit(w, err));
	fails(fixture_try(f->path, err), CPT_BAD_IMAGE, "a second blob 0");
}

/* the file is cut or changed while it is open: an error, no crash */
static void changed_while_open(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img) struct cpt_img *img = NULL;
	struct cpt_arena arena = { 0 };
	struct whole w = make(f);
	Cpt__Header *h;
	const void *data;
	size_t size;

	ok(cpt_img_open(f->path, &img, err));
	((unsigned char *)(record(&w, 0) + 1))[3] ^= 1;
	fixture_put_bytes(f->path, w.bytes, w.size);
	fails(cpt_img_get(img, CPT_REC_HEADER, 0, &cpt__header__descriptor, &arena, &h, err),
	      CPT_BAD_IMAGE, "changed meanwhile");
	assert_int_equal(truncate(f->path, 70), 0);
	fails(cpt_img_get(img, CPT_REC_HEADER, 0, &cpt__header__descriptor, &arena, &h, err),
	      CPT_BAD_IMAGE, "cut meanwhile");
	fails(cpt_img_blob(img, 7, &data, &size, err), CPT_BAD_IMAGE, "cut meanwhile");
	fails(cpt_img_check_pages(img, err), CPT_BAD_IMAGE, "cut meanwhile");
	cpt_arena_free(&arena);
	free(w.bytes);
}

/* damage among many pages is found by the threads */
static void one_page_of_many(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img) struct cpt_img *img = NULL;
	uint64_t n;
	int fd;

	fixture_write(f->path, 1, 5 * CPT_IMG_SPAN_PAGES);
	ok(cpt_img_open(f->path, &img, err));
	fd = open(f->path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, (off_t)cpt_img_locate(img, 3333, &n) + 99), 1);
	close(fd);
	fails(cpt_img_check_pages(img, err), CPT_BAD_IMAGE, "damaged pages");
	ok(cpt_img_check_start(img, err));
	fails(cpt_img_check_finish(img, err), CPT_BAD_IMAGE, "damaged pages");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(every_cut),
		CASE(every_bit),
		CASE(bytes_behind),
		CASE(records_swapped),
		CASE(record_dropped),
		CASE(record_of_another_image),
		CASE(forged_headers),
		CASE(forged_totals),
		CASE(forged_preamble),
		CASE(forged_lengths),
		CASE(blob_twice),
		CASE(changed_while_open),
		CASE(one_page_of_many),
	};

	return cmocka_run_group_tests_name("image_damage", tests, NULL, NULL);
}
