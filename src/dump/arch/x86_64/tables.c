/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tables.c - page tables of x86-64 (arch/x86/include/asm/pgtable_types.h, Documentation/arch/x86/x86_64/mm.rst) */
#include "dump/arch.h"

#define PRESENT (1ULL << 0)
#define HUGE (1ULL << 7)
#define FRAME 0x000ffffffffff000ULL
#define GIB (1ULL << 30)
#define MOST_GIB 16384
#define SAME (FRAME | PRESENT)

/* where the direct map may begin, without and with five levels; randomized by GiB */
#define DIRECT_4 0xffff888000000000ULL
#define DIRECT_5 0xff11000000000000ULL
#define KERNEL_4 0xffff800000000000ULL

unsigned cpt_arch_levels(uint64_t top)
{
	if (top < DIRECT_5)
		return 0;
	return top < KERNEL_4 ? 5 : 4;
}

enum cpt_entry cpt_arch_entry(uint64_t entry, unsigned level, uint64_t *frame)
{
	if (!entry)
		return CPT_ENTRY_NONE;
	if (!(entry & PRESENT))
		return CPT_ENTRY_OTHER;
	*frame = (entry & FRAME) >> 12;
	if (!level)
		return CPT_ENTRY_PAGE;
	if (!(entry & HUGE))
		return CPT_ENTRY_TABLE;
	*frame &= ~((1ULL << 9 * level) - 1);	/* the lowest bit is one of its attributes */
	return CPT_ENTRY_PAGE;
}

uint64_t cpt_arch_direct(uint64_t address, unsigned k)
{
	uint64_t first = address < KERNEL_4 ? DIRECT_5 : DIRECT_4, at = (address & ~(GIB - 1)) - k * GIB;

	return k < MOST_GIB && at >= first && at <= address ? at : 0;
}

uint64_t cpt_arch_keep(uint64_t entry)
{
	return entry & SAME;
}

/* 0: the same page, or nothing in both; what is neither present nor 0 (swapped out) is like nothing else */
static inline uint64_t differ(uint64_t entry, uint64_t kept)
{
	return ((entry ^ kept) & SAME) | (entry & ((entry & PRESENT) - 1));
}

size_t cpt_arch_agree(const uint64_t *entry, const uint64_t *kept, size_t n)
{
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		uint64_t any = 0;

		for (size_t k = i; k < i + 16; k++)
			any |= differ(entry[k], kept[k]);
		if (any)
			break;
	}
	while (i < n && !differ(entry[i], kept[i]))
		i++;
	return i;
}
