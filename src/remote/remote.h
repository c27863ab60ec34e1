/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remote.h - seize tasks, and run batches of system calls inside them
 *
 * A batch is an array of calls that a few bytes of position-independent code
 * (arch/<arch>/) walk inside the stopped task by one resume. Arguments and
 * results lie in a scratch mapping of the task.
 *
 * While a dump runs its batches, the code stands in the unused tail of the
 * task's vdso page, and whatever happens to the tracer, the task finds its way
 * back to its own context: every stop is a signal that the task ignores, and
 * behind the stop stands code that puts mask and registers back.
 */
#ifndef CPT_REMOTE_H
#define CPT_REMOTE_H

#include "base/base.h"
#include "remote/arch.h"

#include <sys/ptrace.h>

/* ---- batches --------------------------------------------------------- */

/* one call as the task sees it; the code in arch/<arch>/ knows this layout */
struct cpt_call {
	uint32_t nr;
	uint16_t flags;		/* 1: go on when it fails */
	uint16_t refs;		/* bit n: arg n is the address of a u64; bit 8+n: of an s32 */
	uint64_t arg[6];
	int64_t ret;		/* -errno on failure, CPT_CALL_NOT_RUN before */
};
#define CPT_CALL_NOT_RUN INT64_MIN

/* how an argument is to be read; everything else is a plain number */
enum cpt_arg_kind {
	CPT_ARG_DATA = 1,	/* offset into the batch's data: becomes an address */
	CPT_ARG_RESULT,		/* index of an earlier call: becomes what it returned */
	CPT_ARG_INT,		/* offset of an int in the data, read when the call is made */
};
struct cpt_arg {
	uint64_t value;
	uint8_t kind;
};
#define CPT_NUM(v)    ((struct cpt_arg){ (uint64_t)(v), 0 })
#define CPT_DATA(off) ((struct cpt_arg){ (off), CPT_ARG_DATA })
#define CPT_RESULT(i) ((struct cpt_arg){ (i), CPT_ARG_RESULT })
#define CPT_INT(off)  ((struct cpt_arg){ (off), CPT_ARG_INT })

/**
 * struct cpt_batch - calls to make and the data they read and write
 *
 * Made with all zero; reused after cpt_batch_reset; freed by cpt_batch_free.
 */
struct cpt_batch {
	struct cpt_call *calls;
	const char **names;	/* for messages, static strings */
	uint32_t *kinds;	/* 4 bits an argument */
	size_t ncalls, cap;
	size_t cap_names, cap_kinds;
	unsigned char *data;	/* after a run: as the calls left it */
	size_t ndata, cap_data;
	struct cpt_pointer {
		size_t at, to;
	} *pointers;		/* addresses inside the data */
	size_t npointers, cap_pointers;
};
void cpt_batch_reset(struct cpt_batch *b);
/** cpt_batch_bytes - what it takes of the scratch mapping */
size_t cpt_batch_bytes(const struct cpt_batch *b);
void cpt_batch_free(struct cpt_batch *b);
static inline void cpt_auto_batch(struct cpt_batch *b)
{
	cpt_batch_free(b);
}
/** cpt_batch_data - room for @size bytes of data (16-aligned), filled from @from or zeroed when NULL; returns its offset */
size_t cpt_batch_data(struct cpt_batch *b, const void *from, size_t size);
/** cpt_batch_string - the same for a string with its NUL */
size_t cpt_batch_string(struct cpt_batch *b, const char *s);
/** cpt_batch_pointer - the 8 bytes at offset @at become the address of the data at offset @to (iovec, clone_args, …) */
void cpt_batch_pointer(struct cpt_batch *b, size_t at, size_t to);
/** cpt_batch_call - append a call; returns its index. Use the macros below. */
size_t cpt_batch_call(struct cpt_batch *b, const char *name, uint32_t nr, bool may_fail,
		      const struct cpt_arg *args, unsigned nargs);
/*
 * CPT_CALL(b, openat, CPT_NUM(AT_FDCWD), CPT_DATA(path), CPT_NUM(O_RDONLY))
 * CPT_TRY(…): the batch goes on when it fails; look at cpt_batch_ret()
 */
#define CPT_CALL_(b, call, may_fail, ...)						\
	cpt_batch_call((b), #call, SYS_##call, (may_fail),				\
		       (const struct cpt_arg[]){ __VA_ARGS__ },				\
		       sizeof((const struct cpt_arg[]){ __VA_ARGS__ }) / sizeof(struct cpt_arg))
#define CPT_CALL(b, call, ...) CPT_CALL_(b, call, false, __VA_ARGS__)
#define CPT_TRY(b, call, ...)  CPT_CALL_(b, call, true, __VA_ARGS__)
/* for calls without arguments: CPT_CALL0(b, setsid) */
#define CPT_CALL0(b, call) cpt_batch_call((b), #call, SYS_##call, false, NULL, 0)

/** cpt_batch_ret - what a call returned (-errno), after a run */
static inline int64_t cpt_batch_ret(const struct cpt_batch *b, size_t call)
{
	return b->calls[call].ret;
}
/** cpt_batch_out - data as the calls left it, after a run; borrowed until the next append */
static inline void *cpt_batch_out(const struct cpt_batch *b, size_t offset)
{
	return b->data + offset;
}

/* ---- tasks ----------------------------------------------------------- */

/* what the threads of an address space share */
struct cpt_remote_mm {
	int mem;		/* /proc/PID/mem; -1 in a restore, where scratch is shared memory … */
	bool shared;		/* … that stands at the same address in cptool */
	uint64_t code;		/* where the batch code stands in the task */
	uint64_t scratch;	/* 0: none yet */
	size_t size;
	/* the thread that stands in the code, with its way back; who enters after it puts it back */
	struct cpt_remote *inside;
	struct cpt_arch_owner owner;	/* as it stands in the tail */
};

struct cpt_remote {
	pid_t tid;		/* as cptool sees it */
	pid_t ns_tgid, ns_tid;	/* as the task sees itself */
	int stop_signal;	/* one that the task ignores */
	bool exitkill;		/* being restored: dies with cptool, so needs no way back */
	bool masked;		/* signals are held back for batches */
	bool as_stopped;	/* its registers and mask are what they were at the stop, and are to be so */
	unsigned way;		/* inside the code: which of the two ways back is its own */
	bool group_stopped;	/* it was in a group stop when seized, … */
	int group_stop_signal;	/* … by SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU */
	bool owes_stop;		/* a SIGSTOP arrived meanwhile: given to it at release */
	struct cpt_remote_mm *mm;
	struct cpt_regs regs;	/* its own context: saved on dump, to be set on restore */
	uint64_t sigmask;	/* its own mask */
};

/**
 * cpt_remote_seize - PTRACE_SEIZE and PTRACE_INTERRUPT; does not wait
 *
 * A frozen task will trap when thawed, before it runs an instruction.
 * @ptrace_options: PTRACE_O_… CPT_UNSUPPORTED if somebody else traces it.
 */
int cpt_remote_seize(pid_t tid, unsigned long ptrace_options, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_remote_stopped - wait for the stop, save registers and signal mask in @r
 * Returns 1 if the task is gone or a zombie instead, 0 stopped, -1 error.
 */
int cpt_remote_stopped(pid_t tid, int deadline_ms, struct cpt_remote *r, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_remote_open - put code and scratch into the address space
 * @leader:   stopped, with .mm, ns_tgid, ns_tid and stop_signal filled in
 * @vdso_end: address behind the task's [vdso] mapping
 */
int cpt_remote_open(struct cpt_remote *leader, uint64_t vdso_end, struct cpt_err *err) CPT_CHECKED;
/** cpt_remote_open_start - the same in two parts: the task maps its scratch meanwhile */
int cpt_remote_open_start(struct cpt_remote *leader, uint64_t vdso_end, struct cpt_err *err) CPT_CHECKED;
/** cpt_remote_open_finish - must follow a start that succeeded before anything else is done to the task */
int cpt_remote_open_finish(struct cpt_remote *leader, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_batch_run - make the calls of @b in @r, wait for the end
 *
 * Fails (naming call and errno) when a call fails that may not; the calls
 * behind it have not run. Batches of one address space must not overlap.
 */
int cpt_batch_run(struct cpt_remote *r, struct cpt_batch *b, struct cpt_err *err) CPT_CHECKED;
/** cpt_batch_start, cpt_batch_finish - the two halves, so that several tasks work at once */
int cpt_batch_start(struct cpt_remote *r, struct cpt_batch *b, struct cpt_err *err) CPT_CHECKED;
int cpt_batch_finish(struct cpt_remote *r, struct cpt_batch *b, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_remote_twin - make a copy-on-write twin of the address space of @r
 * @r:       opened; none of its address space's threads may run
 * @options: PTRACE_O_… that @r was seized with
 * @ret:     a process, traced and stopped for ever; ended by cpt_remote_twin_end, or when the tracer dies
 *
 * It has no descriptors and is no child of @r's process. Fails with what clone(2) fails with; @r is then as before.
 */
int cpt_remote_twin(struct cpt_remote *r, unsigned long options, pid_t *ret, struct cpt_err *err) CPT_CHECKED;
/** cpt_remote_twin_lives - false: somebody has killed it; what was read from it lately is worth nothing */
bool cpt_remote_twin_lives(pid_t twin);
/** cpt_remote_twin_end - kill it and wait for that */
void cpt_remote_twin_end(pid_t twin);
/** cpt_remote_settle - own mask and registers back; the task stays stopped. Fine for a task that is gone. */
int cpt_remote_settle(struct cpt_remote *r, struct cpt_err *err) CPT_CHECKED;
/** cpt_remote_unmap - take the scratch mapping away while there still is a way back; before others are settled */
int cpt_remote_unmap(struct cpt_remote *r, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_remote_close - settle @r and take scratch and code away from its address space
 * All other threads of the address space must have been settled before: from
 * then on nothing leads back from the batch code.
 */
int cpt_remote_close(struct cpt_remote *r, struct cpt_err *err) CPT_CHECKED;
/** cpt_remote_detach - let a settled task go on */
int cpt_remote_detach(struct cpt_remote *r, struct cpt_err *err) CPT_CHECKED;

#endif
