/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bpf.c - the kernel's type information, and programs for its iterators */
#include "dump/bpf.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* ---- type information ------------------------------------------------ */

/* kinds newer than the headers (include/uapi/linux/btf.h) */
#define KIND_DECL_TAG 17
#define KIND_TYPE_TAG 18
#define KIND_ENUM64 19

/* what is looked for, in one walk over a hundred thousand types */
static const struct wanted {
	unsigned kind;
	const char *name;
} wanted[] = {
	{ BTF_KIND_FUNC, "bpf_iter_task" }, { BTF_KIND_FUNC, "bpf_iter_task_file" },
	{ BTF_KIND_FUNC, "bpf_iter_task_vma" },
	{ BTF_KIND_STRUCT, "task_struct" }, { BTF_KIND_STRUCT, "vm_area_struct" },
	{ BTF_KIND_STRUCT, "mm_struct" },
};

struct cpt_btf {
	char *data;
	size_t size;
	bool mapped;
	const char *strings;
	uint32_t string_bytes;
	uint32_t *types;		/* where they stand in data, by id */
	uint32_t n;
	uint32_t found[CPT_COUNT(wanted)];
};

/* what follows a type; -1: a kind that is not known, all after it is lost */
static long tail(const struct btf_type *t)
{
	unsigned v = BTF_INFO_VLEN(t->info);

	switch (t->info >> 24 & 0x1f) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return (long)(v * sizeof(struct btf_member));
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return v * 8L;
	case BTF_KIND_DATASEC:
	case KIND_ENUM64:
		return v * 12L;
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case KIND_TYPE_TAG:
		return 0;
	default:
		return -1;
	}
}

static void note_wanted(struct cpt_btf *b, const struct btf_type *t, uint32_t id)
{
	unsigned kind = BTF_INFO_KIND(t->info);
	const char *name = b->strings + t->name_off;

	if (kind != BTF_KIND_FUNC && kind != BTF_KIND_STRUCT)
		return;
	for (unsigned i = 0; i < CPT_COUNT(wanted); i++)
		if (kind == wanted[i].kind && *name == *wanted[i].name && strcmp(name, wanted[i].name) == 0)
			b->found[i] = id;
}

static int index_types(struct cpt_btf *b, const char *p, const char *end)
{
	b->types = cpt_malloc(((size_t)(end - p) / sizeof(struct btf_type) + 1) * sizeof(*b->types));
	for (b->n = 1; p + sizeof(struct btf_type) <= end; b->n++) {
		const struct btf_type *t = (const struct btf_type *)p;
		long more = tail(t);

		if (more < 0 || more > end - p || t->name_off >= b->string_bytes)
			return -1;
		b->types[b->n] = (uint32_t)(p - b->data);
		note_wanted(b, t, b->n);
		p += sizeof(*t) + (size_t)more;
	}
	return p == end ? 0 : -1;
}

static int bring(struct cpt_btf *b)
{
	CPT_AUTO(fd) int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)sizeof(struct btf_header) || st.st_size > 1 << 28)
		return -1;
	b->size = (size_t)st.st_size;
	b->data = mmap(NULL, b->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);	/* Linux 6.16 */
	b->mapped = b->data != MAP_FAILED;
	if (b->mapped)
		return 0;
	b->data = cpt_malloc(b->size);
	return cpt_pread_all(fd, b->data, b->size, 0);
}

static int read_btf(struct cpt_btf *b)
{
	const struct btf_header *h;

	if (bring(b))
		return -1;
	h = (const struct btf_header *)b->data;
	if (h->magic != BTF_MAGIC || h->version != BTF_VERSION || h->hdr_len < sizeof(*h) || h->hdr_len & 3 || h->type_off & 3 ||
	    (uint64_t)h->hdr_len + h->type_off + h->type_len > b->size ||
	    (uint64_t)h->hdr_len + h->str_off + h->str_len > b->size || !h->str_len)
		return -1;
	b->strings = b->data + h->hdr_len + h->str_off;
	b->string_bytes = h->str_len;
	if (b->strings[h->str_len - 1])
		return -1;
	return index_types(b, b->data + h->hdr_len + h->type_off, b->data + h->hdr_len + h->type_off + h->type_len);
}

struct cpt_btf *cpt_btf_open(void)
{
	struct cpt_btf *b = cpt_calloc(1, sizeof(*b));

	if (!read_btf(b))
		return b;
	cpt_btf_free(b);
	return NULL;
}

void cpt_btf_free(struct cpt_btf *b)
{
	if (!b)
		return;
	free(b->types);
	if (b->mapped)
		munmap(b->data, b->size);
	else
		free(b->data);
	free(b);
}

static const char *name_of(const struct cpt_btf *b, uint32_t off)
{
	return off < b->string_bytes ? b->strings + off : "";
}

/* 0: there is none */
static uint32_t find_type(const struct cpt_btf *b, unsigned kind, const char *name)
{
	for (unsigned i = 0; i < CPT_COUNT(wanted); i++)
		if (kind == wanted[i].kind && strcmp(name, wanted[i].name) == 0)
			return b->found[i];
	return 0;
}

/* Offset in bytes of a member, also one inside unnamed structures; -1 if there is none. */
static long find_member(const struct cpt_btf *b, uint32_t id, const char *name, uint32_t *type, unsigned depth)
{
	const struct btf_type *t = id && id < b->n ? (const struct btf_type *)(b->data + b->types[id]) : NULL;
	const struct btf_member *m = (const struct btf_member *)(t + 1);
	unsigned kind = t ? BTF_INFO_KIND(t->info) : 0;

	if ((kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION) || depth > 8)
		return -1;
	for (unsigned i = 0; i < BTF_INFO_VLEN(t->info); i++) {
		uint32_t bits = BTF_INFO_KFLAG(t->info) ? BTF_MEMBER_BIT_OFFSET(m[i].offset) : m[i].offset;
		long within;

		if (strcmp(name_of(b, m[i].name_off), name) == 0) {
			*type = m[i].type;
			return bits & 7 ? -1 : (long)(bits / 8);
		}
		if (*name_of(b, m[i].name_off))
			continue;
		within = find_member(b, m[i].type, name, type, depth + 1);
		if (within >= 0)
			return within + (long)(bits / 8);
	}
	return -1;
}

/* The same for a member of a member: "seccomp.mode". */
static long find_path(const struct cpt_btf *b, uint32_t id, const char *path)
{
	long at = 0;

	for (const char *end; ; path = end + 1) {
		char name[64];
		long within;

		end = strchrnul(path, '.');
		snprintf(name, sizeof(name), "%.*s", (int)(end - path), path);
		within = find_member(b, id, name, &id, 0);
		if (within < 0)
			return -1;
		at += within;
		if (!*end)
			return at;
	}
}

long cpt_btf_offset(const struct cpt_btf *b, const char *type, const char *member)
{
	return find_path(b, find_type(b, BTF_KIND_STRUCT, type), member);
}

/* ---- programs -------------------------------------------------------- */

#define MOST_INSNS (16 + 4 * 4 + 8 * CPT_BPF_FIELDS)

struct program {
	struct bpf_insn v[MOST_INSNS];
	unsigned n;
};

static void insn(struct program *p, unsigned code, unsigned dst, unsigned src, long off, int imm)
{
	p->v[p->n++] = (struct bpf_insn){
		.code = (uint8_t)code, .dst_reg = dst & 15, .src_reg = src & 15, .off = (int16_t)off, .imm = imm,
	};
}

static void load(struct program *p, unsigned dst, unsigned src, long off, unsigned size)
{
	insn(p, BPF_LDX | BPF_MEM | (size == 4 ? BPF_W : BPF_DW), dst, src, off, 0);
}

static void leave(struct program *p)
{
	insn(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	insn(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Asked before whether it is NULL, but of another register: the verifier wants to see it again. */

static void load_number(struct program *p, const struct cpt_bpf_field *f, long off, int to)
{
	load(p, 1, 6, (long)f->at, 8);
	insn(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1, 0);
	load(p, 1, 1, off, f->size);
	insn(p, BPF_STX | BPF_MEM | BPF_DW, 10, 1, to, 0);
}

/* By a helper: to follow a pointer, the verifier looks through all type information again and again. */
static void load_pointer(struct program *p, long at, long off, int to)
{
	insn(p, BPF_ST | BPF_MEM | BPF_DW, 10, 0, to, 0);
	insn(p, BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0);
	insn(p, BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, to);
	insn(p, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 8);
	load(p, 3, 6, at, 8);
	insn(p, BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 2, 0);
	insn(p, BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, (int)off);
	insn(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel);
}

/* r6: context; r10: stack, below which the record is put together */
static int build(struct program *p, const struct cpt_btf *b, const unsigned *needed,
		 const struct cpt_bpf_field *f, unsigned n)
{
	int record = -8 * (int)n;

	insn(p, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	for (; *needed; needed++) {		/* at the end of a walk they are NULL */
		load(p, 7, 6, (long)*needed, 8);
		insn(p, BPF_JMP | BPF_JNE | BPF_K, 7, 0, 2, 0);
		leave(p);
	}
	for (unsigned i = 0; i < n; i++) {
		long off = 0;

		if (f[i].type) {
			off = cpt_btf_offset(b, f[i].type, f[i].member);
			if (off < 0 && f[i].optional) {
				insn(p, BPF_ST | BPF_MEM | BPF_DW, 10, 0, record + 8 * (int)i, 0);
				continue;
			}
			if (off < 0 || off > INT16_MAX - (long)f[i].plus)
				return -1;
			off += f[i].plus;
			if (f[i].pointer)
				load_pointer(p, (long)f[i].at, off, record + 8 * (int)i);
			else
				load_number(p, &f[i], off, record + 8 * (int)i);
		} else {
			load(p, 1, 6, (long)f[i].at, f[i].size);
			insn(p, BPF_STX | BPF_MEM | BPF_DW, 10, 1, record + 8 * (int)i, 0);
		}
	}
	load(p, 1, 6, 0, 8);			/* context->meta->seq */
	load(p, 1, 1, 0, 8);
	insn(p, BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	insn(p, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, record);
	insn(p, BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 8 * (int)n);
	insn(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_seq_write);
	leave(p);
	return 0;
}

static int bpf(int cmd, union bpf_attr *a)
{
	return (int)syscall(SYS_bpf, cmd, a, sizeof(*a));
}

int cpt_bpf_iterator(const struct cpt_btf *btf, const char *name, const unsigned *needed,
		     const struct cpt_bpf_field *fields, unsigned n)
{
	struct program p = { .n = 0 };
	union bpf_attr a;
	char func[40];
	uint32_t id;

	snprintf(func, sizeof(func), "bpf_iter_%s", name);
	id = find_type(btf, BTF_KIND_FUNC, func);
	if (!id || n > CPT_BPF_FIELDS || build(&p, btf, needed, fields, n))
		return -1;
	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_TRACING;
	a.expected_attach_type = BPF_TRACE_ITER;
	a.attach_btf_id = id;
	a.insns = (uintptr_t)p.v;
	a.insn_cnt = p.n;
	a.license = (uintptr_t)"GPL";
	strcpy(a.prog_name, "cptool");
	return bpf(BPF_PROG_LOAD, &a);
}

/* ---- running them ---------------------------------------------------- */

static int start(int program, pid_t process)
{
	uint32_t only[3] = { 0, 0, 0 };	/* union bpf_iter_link_info, .task: tid, pid, pid_fd */
	CPT_AUTO(fd) int link = -1;
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.link_create.prog_fd = (uint32_t)program;
	a.link_create.attach_type = BPF_TRACE_ITER;
	if (process) {
		only[1] = (uint32_t)process;
		a.link_create.iter_info = (uintptr_t)only;
		a.link_create.iter_info_len = sizeof(only);
	}
	link = bpf(BPF_LINK_CREATE, &a);
	if (link < 0)
		return -1;
	memset(&a, 0, sizeof(a));
	a.iter_create.link_fd = (uint32_t)link;
	return bpf(BPF_ITER_CREATE, &a);
}

int cpt_bpf_read(int program, pid_t process, unsigned nfields,
		 bool (*each)(void *arg, const uint64_t *record), void *arg)
{
	CPT_AUTO(fd) int fd = start(program, process);
	CPT_AUTO(mem) char *buf = cpt_malloc(65536);
	size_t have = 0, size = 8 * (size_t)nfields;
	ssize_t got;

	if (fd < 0)
		return -1;
	while ((got = read(fd, buf + have, 65536 - have)) > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN))) {
		size_t at = 0;

		have += got > 0 ? (size_t)got : 0;
		for (; have - at >= size; at += size)
			if (!each(arg, (const uint64_t *)(buf + at)))
				return -1;
		have -= at;
		memmove(buf, buf + at, have);
	}
	return got || have ? -1 : 0;
}
