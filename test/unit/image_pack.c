/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_pack.c - compressed pages: what goes in comes out, whatever is damaged is refused */
#include "unit.h"

#include "../fuzz/reseal.h"
#include "image/codec.h"
#include "image/pack.h"
#include "image_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>


/* page @n: of odd blocks noise when @noise, else something that shrinks */
static void content(unsigned n, bool noise, unsigned char *page)
{
	fixture_page(n, page);
	if (noise && n / CPT_PACK_PAGES % 2)
		return;
	for (unsigned i = 64; i < CPT_PAGE; i++)
		page[i] = page[i % 64];
}

static void pack(struct cpt_packer *p, uint64_t first, uint32_t npages, bool noise, struct cpt_img_packed *ret)
{
	CPT_AUTO(mem) unsigned char *block = cpt_malloc(CPT_PACK_BYTES);

	cpt_pack_begin(p, npages);
	for (uint32_t at = 0, n; at < npages; at += n) {
		n = CPT_MIN(npages - at, (uint32_t)CPT_PACK_PAGES);
		for (uint32_t i = 0; i < n; i++)
			content((unsigned)first + at + i, noise, block + i * CPT_PAGE);
		cpt_pack_add(p, block, n);
	}
	cpt_pack_end(p, ret);
	ret->first_slot = first;
}

static void put(struct cpt_img_writer *w, struct cpt_img_packed *r)
{
	ok(cpt_img_put_packed(w, r, err));
	free(r->payload);
}

/* two records, the second one first in the file, a group between them */
static void write_image(const char *path, enum cpt_codec codec, uint32_t n, uint32_t m, bool noise)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	struct cpt_packer *p = cpt_packer_new(codec, 0);
	struct cpt_img_packed a, b;
	uint64_t first, second;

	ok(cpt_img_create(path, &w, err));
	fixture_header(w);
	ok(cpt_img_take_slots(w, n, &first, err));
	ok(cpt_img_take_slots(w, m, &second, err));
	pack(p, first, n, noise, &a);
	pack(p, second, m, noise, &b);
	put(w, &b);
	fixture_group(w, 0);
	put(w, &a);
	ok(cpt_img_commit(w, err));
	cpt_packer_free(p);
}

static void check_content(struct cpt_img *img, uint64_t slots, bool noise)
{
	unsigned char want[CPT_PAGE], have[CPT_PAGE];
	uint64_t together;

	assert_int_equal(cpt_img_slots(img), slots);
	ok(cpt_img_unpack(img, err));
	ok(cpt_img_unpack(img, err));
	for (uint64_t slot = 0; slot < slots; slot++) {
		uint64_t at = cpt_img_locate(img, slot, &together);

		assert_in_range(together, 1, slots - slot);
		assert_int_equal(cpt_pread_all(cpt_img_slot_fd(img, slot), have, CPT_PAGE, (off_t)at), 0);
		content((unsigned)slot, noise, want);
		assert_memory_equal(have, want, CPT_PAGE);
	}
	ok(cpt_img_check_pages(img, err));
}

static void each_codec(void (*run)(struct fixture *f, enum cpt_codec codec), void **state)
{
	for (unsigned i = CPT_CODEC_ZLIB; i < CPT_CODECS; i++)
		if (cpt_codec_ops(i))
			run(*state, (enum cpt_codec)i);
}

/* ---- what goes in comes out ---------------------------------------------- */

static void round_trip_of(struct fixture *f, enum cpt_codec codec)
{
	static const uint32_t sizes[] = { 1, 63, 64, 65, 700, CPT_IMG_SPAN_PAGES };

	for (size_t i = 0; i < CPT_COUNT(sizes); i++)
		for (int noise = 0; noise < 2; noise++) {
			CPT_AUTO(img) struct cpt_img *img = NULL;

			write_image(f->path, codec, sizes[i], 200, noise);
			ok(fixture_try(f->path, err));
			ok(cpt_image_verify(f->path, err));
			ok(cpt_img_open(f->path, &img, err));
			assert_true(cpt_img_size(img) < cpt_img_slots(img) * CPT_PAGE);
			check_content(img, sizes[i] + 200, noise);
		}
}

static void round_trip(void **state)
{
	each_codec(round_trip_of, state);
}

/* enough for threads */
static void many_of(struct fixture *f, enum cpt_codec codec)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	struct cpt_packer *p = cpt_packer_new(codec, 1);
	CPT_AUTO(img) struct cpt_img *img = NULL;
	struct cpt_img_packed r;
	uint64_t first;

	ok(cpt_img_create(f->path, &w, err));
	fixture_header(w);
	for (unsigned i = 0; i < 6; i++) {
		ok(cpt_img_take_slots(w, CPT_IMG_SPAN_PAGES, &first, err));
		pack(p, first, CPT_IMG_SPAN_PAGES, true, &r);
		put(w, &r);
	}
	ok(cpt_img_commit(w, err));
	cpt_packer_free(p);
	ok(cpt_img_open(f->path, &img, err));
	ok(cpt_img_check_start(img, err));
	ok(cpt_img_check_finish(img, err));
	check_content(img, 6 * CPT_IMG_SPAN_PAGES, true);
}

static void many(void **state)
{
	each_codec(many_of, state);
}

/* records of pages as they are, between compressed ones */
static void mixed(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	struct cpt_packer *p = cpt_packer_new(CPT_CODEC_ZLIB, 0);
	CPT_AUTO(img) struct cpt_img *img = NULL;
	unsigned char pages[3][CPT_PAGE];
	struct cpt_img_packed r;
	uint64_t first, plain;

	ok(cpt_img_create(f->path, &w, err));
	fixture_header(w);
	ok(cpt_img_take_slots(w, 70, &first, err));
	for (unsigned i = 0; i < 3; i++)
		content(70 + i, false, pages[i]);
	ok(cpt_img_put_pages(w, pages, 3, &plain, err));
	assert_int_equal(plain, 70);
	fails(cpt_img_commit(w, err), CPT_USAGE, "70 pages are on their way");
	pack(p, first, 70, false, &r);
	put(w, &r);
	fails(cpt_img_put_packed(w, &r, err), CPT_USAGE, "not taken");
	ok(cpt_img_commit(w, err));
	cpt_packer_free(p);
	ok(cpt_img_open(f->path, &img, err));
	check_content(img, 73, false);
}

/* nothing shrinks: pages as they are, aligned, and no copy is needed to read them */
static void all_noise(struct fixture *f, enum cpt_codec codec)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	CPT_AUTO(mem) unsigned char *block = cpt_malloc(CPT_PACK_BYTES);
	struct cpt_packer *p = cpt_packer_new(codec, 0);
	CPT_AUTO(img) struct cpt_img *img = NULL;
	struct cpt_img_packed r;
	int fd;

	ok(cpt_img_create(f->path, &w, err));
	fixture_header(w);
	ok(cpt_img_take_slots(w, 3 * CPT_PACK_PAGES, &(uint64_t){ 0 }, err));
	cpt_pack_begin(p, 3 * CPT_PACK_PAGES);
	for (unsigned i = 0; i < 3 * CPT_PACK_PAGES; i++) {
		fixture_page(i, block + i % CPT_PACK_PAGES * CPT_PAGE);
		if (i % CPT_PACK_PAGES == CPT_PACK_PAGES - 1)
			cpt_pack_add(p, block, CPT_PACK_PAGES);
	}
	assert_false(cpt_pack_shrinks(p, block, 4 * CPT_PAGE));
	memset(block, 'x', 4 * CPT_PAGE);
	assert_true(cpt_pack_shrinks(p, block, 4 * CPT_PAGE));
	cpt_pack_end(p, &r);
	assert_int_equal(r.codec, CPT_CODEC_NONE);
	assert_int_equal(r.length, 3 * CPT_PACK_BYTES);
	put(w, &r);
	ok(cpt_img_commit(w, err));
	cpt_packer_free(p);
	ok(cpt_img_open(f->path, &img, err));
	fd = cpt_img_fd(img);
	ok(cpt_img_unpack(img, err));
	assert_int_equal(cpt_img_slot_fd(img, 1), fd);
	fixture_check_pages(img, 3 * CPT_PACK_PAGES);
	ok(cpt_img_check_pages(img, err));
}

static void noise_is_kept_as_it_is(void **state)
{
	each_codec(all_noise, state);
}

static void through_a_pipe(void **state)
{
	CPT_AUTO(img) struct cpt_img *img = NULL;
	char name[32];
	int p[2], status;
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(p[0]);
		snprintf(name, sizeof(name), "/proc/self/fd/%d", p[1]);
		write_image(name, CPT_CODEC_ZLIB, 300, 65, true);
		_exit(0);
	}
	close(p[1]);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", p[0]);
	ok(cpt_img_open(name, &img, err));
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	check_content(img, 365, true);
}

static void codecs(void **state)
{
	ok(cpt_codec_check(CPT_CODEC_ZLIB, 0, err));
	ok(cpt_codec_check(CPT_CODEC_ZLIB, 9, err));
	fails(cpt_codec_check(CPT_CODEC_ZLIB, 10, err), CPT_USAGE, "levels 1 to 9");
	fails(cpt_codec_check((enum cpt_codec)9, 0, err), CPT_USAGE, "no codec 9");
	assert_string_equal(cpt_codec_name(CPT_CODEC_LZ4), "lz4");
	assert_null(cpt_codec_name(CPT_CODEC_NONE));
	assert_null(cpt_codec_name(CPT_CODECS));
	if (!cpt_codec_ops(CPT_CODEC_ZSTD))
		fails(cpt_codec_check(CPT_CODEC_ZSTD, 0, err), CPT_UNSUPPORTED, "without zstd");
}

/* ---- damage --------------------------------------------------------------- */

/* under a sanitizer each try takes thirty times as long: one in so many then, all eight bits in turn */
#ifdef __SANITIZE_ADDRESS__
#define STEP 29
#else
#define STEP 1
#endif

static void every_cut_and_bit_of(struct fixture *f, enum cpt_codec codec)
{
	unsigned char *bytes;
	size_t size;
	int fd;

	write_image(f->path, codec, 3, CPT_PACK_PAGES + 1, false);
	bytes = fixture_bytes(f->path, &size);
	fd = open(f->path, O_WRONLY | O_CLOEXEC);
	for (size_t bit = 0; bit < 8 * size; bit += STEP) {
		unsigned char c = bytes[bit / 8] ^ (unsigned char)(1 << bit % 8);

		assert_int_equal(pwrite(fd, &c, 1, (off_t)(bit / 8)), 1);
		fails(fixture_try(f->path, err), CPT_BAD_IMAGE, f->path);
		assert_int_equal(pwrite(fd, bytes + bit / 8, 1, (off_t)(bit / 8)), 1);
	}
	ok(fixture_try(f->path, err));
	for (size_t cut = size - 1; cut < size; cut -= STEP) {
		assert_int_equal(ftruncate(fd, (off_t)cut), 0);
		fails(fixture_try(f->path, err), CPT_BAD_IMAGE, f->path);
	}
	close(fd);
	free(bytes);
}

static void every_cut_and_bit(void **state)
{
	each_codec(every_cut_and_bit_of, state);
}

/* whatever a forger wrote, both ways of reading say the same, and no more than the pages come out */
static bool forged(const char *path, unsigned char *bytes, size_t size)
{
	CPT_AUTO(img) struct cpt_img *img = NULL;
	struct cpt_err err = { 0 }, other = { 0 };
	int checked, unpacked;

	reseal(bytes, size);
	fixture_put_bytes(path, bytes, size);
	if (cpt_img_open(path, &img, &err)) {
		assert_int_equal(err.fault, CPT_BAD_IMAGE);
		return false;
	}
	checked = cpt_img_check_pages(img, &err);
	unpacked = cpt_img_unpack(img, &other);
	assert_int_equal(checked, unpacked);
	if (checked) {
		assert_int_equal(err.fault, CPT_BAD_IMAGE);
		assert_non_null(strstr(err.text, path));
	}
	return !checked;
}

/* the lengths of the blocks, each bit; all hashes are right */
static void forged_tables_of(struct fixture *f, enum cpt_codec codec)
{
	struct cpt_disk_record *r;
	unsigned char *bytes, *copy;
	uint64_t table;
	size_t size;

	write_image(f->path, codec, 130, 64, true);
	bytes = fixture_bytes(f->path, &size);
	r = record_at(bytes, size, 2);		/* the one of 130 pages: blocks that shrink, do not, shrink */
	while (r->type != CPT_REC_PAGES || r->npages != 130)
		r = (void *)((unsigned char *)(r + 1) + CPT_DISK_ALIGN(r->length));
	assert_int_equal(r->flags, codec);
	table = (uint64_t)((unsigned char *)(r + 1) - bytes) + r->length - CPT_PACK_TABLE(130);
	copy = cpt_malloc(size);
	for (unsigned bit = 0; bit < 8 * CPT_PACK_TABLE(130); bit++) {
		memcpy(copy, bytes, size);
		copy[table + bit / 8] ^= (unsigned char)(1 << bit % 8);
		assert_false(forged(f->path, copy, size));
	}
	assert_true(forged(f->path, bytes, size));
	free(copy);
	free(bytes);
}

static void forged_tables(void **state)
{
	each_codec(forged_tables_of, state);
}

/* bytes of the blocks, and other codecs; some of that decompresses to other pages, none of it does harm */
static void forged_blocks_of(struct fixture *f, enum cpt_codec codec)
{
	unsigned char *bytes, *copy;
	uint32_t x = codec;
	size_t size;

	write_image(f->path, codec, 65, 2, false);
	bytes = fixture_bytes(f->path, &size);
	copy = cpt_malloc(size);
	for (unsigned i = 0; i < 3000; i++) {
		struct cpt_disk_record *r;

		memcpy(copy, bytes, size);
		r = record_at(copy, size, 1);
		while (r->type != CPT_REC_PAGES)
			r = (void *)((unsigned char *)(r + 1) + CPT_DISK_ALIGN(r->length));
		x = x * 1664525u + 1013904223u;
		((unsigned char *)(r + 1))[(x >> 8) % r->length] ^= (unsigned char)(1 + (x >> 24) % 255);
		if (i % 8 == 0)
			r->flags = (uint16_t)(1 + i / 8 % (CPT_CODECS - 1));
		if (cpt_codec_ops(r->flags))
			forged(f->path, copy, size);
	}
	free(copy);
	free(bytes);
}

static void forged_blocks(void **state)
{
	each_codec(forged_blocks_of, state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(codecs),
		CASE(round_trip),
		CASE(many),
		CASE(mixed),
		CASE(noise_is_kept_as_it_is),
		CASE(through_a_pipe),
		CASE(every_cut_and_bit),
		CASE(forged_tables),
		CASE(forged_blocks),
	};

	return cmocka_run_group_tests_name("image_pack", tests, NULL, NULL);
}
