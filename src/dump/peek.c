/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* peek.c - a BPF program that copies pages of the kernel's memory into a map, which is mapped here */
#include "dump/peek.h"

#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* newer than some headers (include/uapi/linux/bpf.h) */
#define PROG_TYPE_SYSCALL 31

/* the map's only value: addresses, which become results, and behind them the pages */
#define SIZE ((1 + CPT_PEEK_PAGES) * (size_t)CPT_PAGE)

struct cpt_peek {
	int map, program;
	uint64_t *value;
};

static int bpf(int cmd, union bpf_attr *a)
{
	return (int)syscall(SYS_bpf, cmd, a, sizeof(*a));
}

static int make_map(void)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_ARRAY;
	a.key_size = 4;
	a.value_size = SIZE;
	a.max_entries = 1;
	a.map_flags = BPF_F_MMAPABLE;
	strcpy(a.map_name, "cptool");
	return bpf(BPF_MAP_CREATE, &a);
}

/*
 * r6: the next address; r7: where its page goes; r8: how many are left.
 * An address of 0 ends the list.
 */
static int load(int map)
{
	const struct bpf_insn v[] = {
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 6, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = map }, { 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 6 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 7, .imm = CPT_PAGE },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 8, .imm = CPT_PEEK_PAGES },
		/* 5: */
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 3, .src_reg = 6 },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 3, .off = 8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 7 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = CPT_PAGE },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 0 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 6, .imm = 8 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 7, .imm = CPT_PAGE },
		{ .code = BPF_ALU64 | BPF_SUB | BPF_K, .dst_reg = 8, .imm = 1 },
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 8, .off = -10 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.prog_type = PROG_TYPE_SYSCALL;
	a.prog_flags = BPF_F_SLEEPABLE;
	a.insns = (uintptr_t)v;
	a.insn_cnt = CPT_COUNT(v);
	a.license = (uintptr_t)"GPL";
	strcpy(a.prog_name, "cptool");
	return bpf(BPF_PROG_LOAD, &a);
}

struct cpt_peek *cpt_peek_open(void)
{
	struct cpt_peek *p = cpt_calloc(1, sizeof(*p));

	p->value = MAP_FAILED;
	p->program = -1;
	p->map = make_map();
	if (p->map >= 0)
		p->program = load(p->map);
	if (p->program >= 0)
		p->value = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, p->map, 0);
	if (p->value != MAP_FAILED)
		return p;
	cpt_debug("pages of the kernel can't be read: %s", strerror(errno));
	cpt_peek_free(p);
	return NULL;
}

void cpt_peek_free(struct cpt_peek *p)
{
	if (!p)
		return;
	if (p->value != MAP_FAILED)
		munmap(p->value, SIZE);
	if (p->program >= 0)
		close(p->program);
	if (p->map >= 0)
		close(p->map);
	free(p);
}

int cpt_peek(struct cpt_peek *p, const uint64_t *address, unsigned n, bool *found)
{
	union bpf_attr a;

	memcpy(p->value, address, n * sizeof(*address));
	if (n < CPT_PEEK_PAGES)
		p->value[n] = 0;
	memset(&a, 0, sizeof(a));
	a.test.prog_fd = (uint32_t)p->program;
	if (bpf(BPF_PROG_TEST_RUN, &a))
		return -1;
	for (unsigned i = 0; i < n; i++) {
		if (found)
			found[i] = !p->value[i];
		else if (p->value[i])
			return -1;
	}
	return 0;
}

const uint64_t *cpt_peek_page(const struct cpt_peek *p, unsigned i)
{
	return p->value + (size_t)(i + 1) * CPT_PAGE / sizeof(*p->value);
}
