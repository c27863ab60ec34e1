/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tables.c - entries of page tables: which lead to the same page */
#include "unit.h"

#include "dump/arch.h"

/* arch/x86/include/asm/pgtable_types.h */
#define PRESENT (1ULL << 0)
#define WRITABLE (1ULL << 1)
#define ACCESSED (1ULL << 5)
#define DIRTY (1ULL << 6)
#define HUGE (1ULL << 7)
#define NOT_FOR_USE (1ULL << 8)		/* PROT_NONE, when not present */
#define UFFD_WP (1ULL << 10)
#define NO_EXEC (1ULL << 63)
#define PAGE(frame) ((uint64_t)(frame) << 12 | PRESENT)

static size_t agree(uint64_t entry, uint64_t kept)
{
	return cpt_arch_agree(&entry, &kept, 1);
}

static void same_page(void **state)
{
	uint64_t kept = cpt_arch_keep(PAGE(0x12345) | WRITABLE | DIRTY | ACCESSED | NO_EXEC);

	assert_int_equal(agree(PAGE(0x12345), kept), 1);
	assert_int_equal(agree(PAGE(0x12345) | UFFD_WP | ACCESSED, kept), 1);
	assert_int_equal(agree(PAGE(0x12344), kept), 0);
	assert_int_equal(agree(PAGE(0x12345 | 1ULL << 39), kept), 0);
}

static void nothing(void **state)
{
	assert_int_equal(agree(0, cpt_arch_keep(0)), 1);
	assert_int_equal(agree(PAGE(0), cpt_arch_keep(0)), 0);
	assert_int_equal(agree(0, cpt_arch_keep(PAGE(5))), 0);
	assert_int_equal(agree(0, cpt_arch_keep(PAGE(0))), 0);
}

/* Swapped out, on the move, a marker, PROT_NONE: like nothing, whatever the other bits. */
static void not_present(void **state)
{
	uint64_t kept = cpt_arch_keep(PAGE(0x12345));

	assert_int_equal(agree(PAGE(0x12345) & ~PRESENT, kept), 0);
	assert_int_equal(agree(WRITABLE, cpt_arch_keep(0)), 0);
	assert_int_equal(agree(NOT_FOR_USE, cpt_arch_keep(0)), 0);
	assert_int_equal(agree(NO_EXEC, cpt_arch_keep(0)), 0);
}

static void unlike(void **state)
{
	assert_int_equal(agree(0, CPT_ARCH_UNLIKE), 0);
	assert_int_equal(agree(PAGE(5), CPT_ARCH_UNLIKE), 0);
	assert_int_equal(agree(CPT_ARCH_UNLIKE, CPT_ARCH_UNLIKE), 0);
	assert_int_equal(agree(CPT_ARCH_UNLIKE | PRESENT, CPT_ARCH_UNLIKE), 0);
}

/* wherever the first one that differs stands, and however many there are */
static void first_that_differs(void **state)
{
	uint64_t entry[100], kept[100];

	for (size_t i = 0; i < 100; i++) {
		entry[i] = i % 3 ? PAGE(i + 7) | (i % 2 ? DIRTY : WRITABLE) : 0;
		kept[i] = cpt_arch_keep(i % 3 ? PAGE(i + 7) | ACCESSED : 0);
	}
	for (size_t n = 0; n <= 100; n++)
		assert_int_equal(cpt_arch_agree(entry, kept, n), n);
	for (size_t i = 0; i < 100; i++) {
		uint64_t was = kept[i];

		kept[i] = CPT_ARCH_UNLIKE;
		assert_int_equal(cpt_arch_agree(entry, kept, 100), i);
		kept[i] = was;
	}
}

static void levels(void **state)
{
	uint64_t frame = 0;

	assert_int_equal(cpt_arch_levels(0xffff888012345000), 4);
	assert_int_equal(cpt_arch_levels(0xff11000012345000), 5);
	assert_int_equal(cpt_arch_levels(0x12345000), 0);
	assert_int_equal(cpt_arch_entry(0, 1, &frame), CPT_ENTRY_NONE);
	assert_int_equal(cpt_arch_entry(PAGE(77), 1, &frame), CPT_ENTRY_TABLE);
	assert_int_equal(frame, 77);
	assert_int_equal(cpt_arch_entry(PAGE(78) | HUGE, 0, &frame), CPT_ENTRY_PAGE);	/* there the bit means something else */
	assert_int_equal(frame, 78);
	assert_int_equal(cpt_arch_entry(PAGE(1024 | 1) | HUGE | NO_EXEC, 1, &frame), CPT_ENTRY_PAGE);
	assert_int_equal(frame, 1024);
	assert_int_equal(cpt_arch_entry(PAGE(1024) & ~PRESENT, 1, &frame), CPT_ENTRY_OTHER);
}

static void direct_map(void **state)
{
	uint64_t top = 0xffff888000000000 + (5ULL << 30) + 0x7000, at;
	unsigned n = 0;

	for (; (at = cpt_arch_direct(top, n)); n++) {
		assert_true(at <= top && at >= 0xffff888000000000);
		assert_int_equal(at % (1ULL << 30), 0);
	}
	assert_int_equal(n, 6);
	assert_int_equal(cpt_arch_direct(0xffff888000000000 - 1, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_page), cmocka_unit_test(nothing), cmocka_unit_test(not_present),
		cmocka_unit_test(unlike), cmocka_unit_test(first_that_differs), cmocka_unit_test(levels),
		cmocka_unit_test(direct_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
