/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * procfs.h - parsers of /proc text
 *
 * The text is the kernel's, but names in it are chosen by whoever is looked
 * at; every field is bounded, and what does not parse is an error.
 */
#ifndef CPT_PROCFS_H
#define CPT_PROCFS_H

#include "base/base.h"

#define CPT_COMM 16

/** struct cpt_status - /proc/PID/status; times of reading are the caller's */
struct cpt_status {
	char state;			/* R S D T t Z X … */
	pid_t tgid, ppid, ns_tgid, ns_pid, tracer;
	unsigned threads;
	unsigned umask;
	uint32_t uid[4], gid[4];	/* real, effective, saved, filesystem */
	uint64_t sig_pending, shared_pending, sig_blocked, sig_ignored, sig_caught;
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	bool no_new_privs;
	unsigned seccomp;		/* 0 off, 1 strict, 2 filter */
	uint64_t vm_locked_kib, vm_rss_kib, vm_anon_kib;
	uint64_t fd_room;		/* size of its table of descriptors, which never shrinks */
};
/** cpt_parse_status - @text is NUL-terminated and changed while parsing */
int cpt_parse_status(char *text, struct cpt_status *ret, struct cpt_err *err) CPT_CHECKED;

/** struct cpt_stat - /proc/PID/stat (proc(5)); addresses of the address space are 0 for a zombie */
struct cpt_stat {
	pid_t pid, ppid, pgid, sid;
	char comm[CPT_COMM];		/* raw, may hold any byte but NUL */
	char state;
	unsigned exit_signal;
	uint64_t start_time;		/* clock ticks after boot */
	uint32_t exit_code;		/* as wait(2) gives it */
	uint64_t start_code, end_code, start_stack, start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
};
int cpt_parse_stat(const char *text, struct cpt_stat *ret, struct cpt_err *err) CPT_CHECKED;

/* VmFlags of /proc/PID/smaps that mean something to a checkpoint (fs/proc/task_mmu.c) */
enum cpt_vmflag {
	CPT_VM_GROWSDOWN = 1 << 0,	/* gd */
	CPT_VM_LOCKED = 1 << 1,		/* lo */
	CPT_VM_IO = 1 << 2,		/* io */
	CPT_VM_PFNMAP = 1 << 3,		/* pf */
	CPT_VM_SEQ = 1 << 4,		/* sr */
	CPT_VM_RANDOM = 1 << 5,		/* rr */
	CPT_VM_DONTFORK = 1 << 6,	/* dc */
	CPT_VM_NORESERVE = 1 << 7,	/* nr */
	CPT_VM_HUGETLB = 1 << 8,	/* ht */
	CPT_VM_WIPEONFORK = 1 << 9,	/* wf */
	CPT_VM_DONTDUMP = 1 << 10,	/* dd */
	CPT_VM_HUGEPAGE = 1 << 11,	/* hg */
	CPT_VM_NOHUGEPAGE = 1 << 12,	/* nh */
	CPT_VM_MERGEABLE = 1 << 13,	/* mg */
	CPT_VM_UFFD = 1 << 14,		/* um uw ui */
	CPT_VM_SHADOW_STACK = 1 << 15,	/* ss */
	CPT_VM_SEALED = 1 << 16,	/* sl */
	CPT_VM_MAYWRITE = 1 << 17,	/* mw */
	CPT_VM_LOCKONFAULT = 1 << 18,	/* lf */
	CPT_VM_SHARED = 1 << 19,	/* sh, or the s of the permissions */
	CPT_VM_ACCOUNT = 1 << 20,	/* ac */
	CPT_VM_DROPPABLE = 1 << 21,	/* dp */
};

/** struct cpt_vma - one mapping; @path points into the text that was parsed, as the kernel wrote it */
struct cpt_vma {
	uint64_t start, end;		/* addresses */
	uint64_t offset;		/* bytes */
	uint64_t ino;
	uint32_t dev_major, dev_minor;
	unsigned prot;			/* PROT_… */
	unsigned flags;			/* enum cpt_vmflag */
	const char *path;		/* "" for an anonymous one */
};
/**
 * cpt_parse_smaps - the next mapping of /proc/PID/smaps (or maps: flags from the permissions alone)
 * @text: where to go on; advanced; the text is changed (lines are cut)
 * Returns 1 with *ret, 0 at the end, -1 with @err.
 */
int cpt_parse_smaps(char **text, struct cpt_vma *ret, struct cpt_err *err) CPT_CHECKED;

/** cpt_parse_pids - numbers separated by blanks; stores up to @max, returns how many there are */
size_t cpt_parse_pids(const char *text, pid_t *ret, size_t max);

/**
 * cpt_list_numbers - the numeric names in folder @dir/@sub (threads of a process, …), unsorted
 * @ret: malloc'd; the caller frees it. Returns how many, 0 with @err when the folder can't be read.
 */
unsigned cpt_list_numbers(const char *dir, const char *sub, pid_t **ret, struct cpt_err *err);

/** cpt_printable - copy @from, control characters as '?' */
void cpt_printable(char to[CPT_COMM], const char *from);

#endif
