/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bpf.h - BPF iterators: tables of the kernel, read whole and in binary
 *
 * A small program that the kernel calls for each task, descriptor or mapping
 * picks some numbers out of the kernel's structures; where they lie there, the
 * kernel's own type information (BTF) tells. All of this is optional: needs
 * Linux 5.12 with CONFIG_DEBUG_INFO_BTF, CAP_BPF and CAP_PERFMON.
 */
#ifndef CPT_DUMP_BPF_H
#define CPT_DUMP_BPF_H

#include "base/base.h"

struct cpt_btf;

/** cpt_btf_open - the kernel's type information, some 4 ms; NULL if there is none that is understood */
struct cpt_btf *cpt_btf_open(void);
void cpt_btf_free(struct cpt_btf *btf);

/** cpt_btf_offset - where @member lies in structure @type, one of those that bpf.c looks for; bytes; -1: it is not known */
long cpt_btf_offset(const struct cpt_btf *btf, const char *type, const char *member);

/* one number of a record: @member of structure @type, @size 4 or 8 bytes; each stands in 8 bytes */
struct cpt_bpf_field {
	unsigned at;		/* where the program's context points at the structure: 8, 16, 24; bytes */
	const char *type;	/* NULL: the number stands in the context itself, or is the pointer there */
	const char *member;	/* "a.b" for one inside a structure that is a member */
	unsigned size;
	bool pointer;		/* or anything else of 8 bytes that is no number */
	unsigned plus;		/* bytes behind where the member begins */
	bool optional;		/* 0 is recorded if there is no such member */
};

#define CPT_BPF_FIELDS 28

/**
 * cpt_bpf_iterator - load a program for iterator @name ("task_file") that records @n fields
 * @needed: context pointers that must not be NULL, at these offsets, 0 at the end
 * Returns its descriptor, or -1: not possible here. Nothing is shown outside.
 */
int cpt_bpf_iterator(const struct cpt_btf *btf, const char *name, const unsigned *needed,
		     const struct cpt_bpf_field *fields, unsigned n);

/**
 * cpt_bpf_read - run it over everything there is, or over one process
 * @process: 0 for everything (Linux 6.1 for one)
 * @each: called with each record; false ends the reading
 * Returns 0 when all was read; -1: not possible, cut short, or ended by @each.
 */
int cpt_bpf_read(int program, pid_t process, unsigned nfields,
		 bool (*each)(void *arg, const uint64_t *record), void *arg);

#endif
