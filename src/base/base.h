/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * base.h - errors, scope guards, memory, log, small wrappers: what every part uses
 */
#ifndef CPT_BASE_H
#define CPT_BASE_H

#include "cptool.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* ---- errors ---------------------------------------------------------- */

#define CPT_PRINTF(f, a) __attribute__((format(printf, f, a)))

/** cpt_fail - fill in @err, return -1 */
int cpt_fail(struct cpt_err *err, enum cpt_fault fault, const char *fmt, ...)
	CPT_PRINTF(3, 4);
/** cpt_fail_sys - the same for a failed system call: appends strerror(errno), keeps errno in .sys */
int cpt_fail_sys(struct cpt_err *err, const char *fmt, ...) CPT_PRINTF(2, 3);
/** cpt_fail_errno - the same with the error number given (> 0) */
int cpt_fail_errno(struct cpt_err *err, int sys, const char *fmt, ...) CPT_PRINTF(3, 4);
/** cpt_within - put "what: " before the text of an error already there; returns -1 */
int cpt_within(struct cpt_err *err, const char *fmt, ...) CPT_PRINTF(2, 3);

/**
 * cpt_fault_here - CPT_FAULT=n in the environment fails the n-th call of this
 *
 * Wrappers of fallible steps ask it; a test walks n upwards until the whole
 * command succeeds, and looks at the world after each.
 */
bool cpt_fault_here(void);
/**
 * cpt_kill_here - CPT_KILL=n in the environment: SIGKILL to cptool itself at the n-th call of this
 *
 * It stands before each step after which a task in the middle of its batches
 * is in another state; a test goes through them all.
 */
void cpt_kill_here(void);

/* ---- log ------------------------------------------------------------- */

void cpt_log(enum cpt_log_level level, const char *fmt, ...) CPT_PRINTF(2, 3);
bool cpt_log_wanted(enum cpt_log_level level);
#define cpt_warn(...) cpt_log(CPT_LOG_WARN, __VA_ARGS__)
#define cpt_info(...) cpt_log(CPT_LOG_INFO, __VA_ARGS__)
#define cpt_debug(...)							\
	do {								\
		if (cpt_log_wanted(CPT_LOG_DEBUG))			\
			cpt_log(CPT_LOG_DEBUG, __VA_ARGS__);		\
	} while (0)

/* ---- progress -------------------------------------------------------- */

/** cpt_progress_wanted - does anybody look? What is only of use then can be left out else. */
bool cpt_progress_wanted(void);
/** cpt_progress_begin - this is done now, so many bytes of it; 0: nobody can tell */
void cpt_progress_begin(enum cpt_work work, uint64_t total);
/** cpt_progress_add - so many more are done; from any thread, no system calls */
void cpt_progress_add(uint64_t bytes);

/* ---- scope guards ---------------------------------------------------- */

/* CPT_AUTO(fd) int fd = open(…): runs cpt_auto_fd(&fd) when the scope ends */
#define CPT_AUTO(what) __attribute__((cleanup(cpt_auto_##what)))

static inline void cpt_auto_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
void cpt_auto_mem(void *p);		/* free(*(void **)p) */
void cpt_auto_file(void *f);		/* fclose(*(FILE **)f) */
void cpt_auto_dir(void *d);		/* closedir(*(DIR **)d) */

/** CPT_TAKE - the value of @x, which becomes @empty: disarms a guard */
#define CPT_TAKE(x, empty) ({ __typeof__(x) took_ = (x); (x) = (empty); took_; })

#define CPT_MIN(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define CPT_MAX(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
#define CPT_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define CPT_PAGE 4096UL
#define CPT_PAGE_ALIGN(x) (((x) + CPT_PAGE - 1) & ~(CPT_PAGE - 1))

/* ---- memory ---------------------------------------------------------- */

/*
 * Running out of memory ends the program: the undo guard (base/guard.h) puts
 * everything back, as it does for any other sudden death.
 */
void *cpt_malloc(size_t size) __attribute__((malloc, returns_nonnull));
void *cpt_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *cpt_realloc(void *old, size_t n, size_t size) __attribute__((returns_nonnull));
char *cpt_strdup(const char *s) __attribute__((malloc, returns_nonnull));

/**
 * struct cpt_arena - memory that is freed all at once; 16-byte aligned, zeroed
 */
struct cpt_arena {
	struct cpt_arena_block *head;
	size_t left;
};
void *cpt_arena_alloc(struct cpt_arena *a, size_t size) __attribute__((returns_nonnull));
char *cpt_arena_strdup(struct cpt_arena *a, const char *s) __attribute__((returns_nonnull));
char *cpt_arena_printf(struct cpt_arena *a, const char *fmt, ...) CPT_PRINTF(2, 3);
void *cpt_arena_memdup(struct cpt_arena *a, const void *p, size_t size);
void cpt_arena_free(struct cpt_arena *a);
#define cpt_arena_new(a, type) ((type *)cpt_arena_alloc((a), sizeof(type)))
#define cpt_arena_array(a, type, n) ((type *)cpt_arena_alloc((a), (size_t)(n) * sizeof(type)))

/**
 * CPT_GROW - room for one more in a malloc'd array: @v pointer, @n used, @cap room
 */
#define CPT_GROW(v, n, cap)							\
	do {									\
		if ((n) == (cap)) {						\
			(cap) = (cap) ? 2 * (cap) : 16;				\
			(v) = cpt_realloc((v), (cap), sizeof(*(v)));		\
		}								\
	} while (0)

/* ---- files ----------------------------------------------------------- */

/**
 * struct cpt_buf - a growing byte buffer, reused from file to file
 */
struct cpt_buf {
	char *data;		/* NUL-terminated at data[len] */
	size_t len, cap;
};
void cpt_auto_buf(struct cpt_buf *b);

/** cpt_read_at - whole content of a (small, /proc-like) file below @dirfd; errno text names it */
int cpt_read_at(int dirfd, const char *path, struct cpt_buf *buf, struct cpt_err *err) CPT_CHECKED;
/** cpt_write_at - write @value in one write(2) to an existing file below @dirfd */
int cpt_write_at(int dirfd, const char *path, const char *value, struct cpt_err *err) CPT_CHECKED;
/** cpt_write_all - all of it, over short writes and EINTR; -1 with errno set */
int cpt_write_all(int fd, const void *data, size_t size);
int cpt_pwrite_all(int fd, const void *data, size_t size, off_t at);
/** cpt_read_all - exactly @size bytes; fewer: -1 with errno 0 */
int cpt_read_all(int fd, void *data, size_t size);
int cpt_pread_all(int fd, void *data, size_t size, off_t at);

uint64_t cpt_now_ns(void);		/* CLOCK_MONOTONIC */
void cpt_sleep_us(unsigned us);

/* ---- system calls that this glibc lacks; Linux UAPI numbers ----------- */

int cpt_pidfd_open(pid_t pid, unsigned flags);
int cpt_pidfd_getfd(int pidfd, int fd);
int cpt_pidfd_send_signal(int pidfd, int sig);
/** cpt_kcmp - <0 error, 0 equal, 1 less, 2 greater (kcmp(2)) */
int cpt_kcmp(pid_t a, pid_t b, int type, unsigned long ia, unsigned long ib);

#endif
