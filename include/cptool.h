/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cptool.h - checkpoint, restore and migrate the tasks of a Linux cgroup
 *
 * Every function that can fail takes a struct cpt_err as its last argument,
 * returns 0 on success and -1 on failure, and then has filled it in.
 * Nothing here prints, exits or installs signal handlers. The functions start
 * and trace processes and must be called from a single-threaded program.
 */
#ifndef CPTOOL_H
#define CPTOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CPT_API __attribute__((visibility("default")))
#define CPT_CHECKED __attribute__((warn_unused_result))

/** enum cpt_fault - what kind of failure, so that a caller can tell them apart */
enum cpt_fault {
	CPT_OK = 0,
	CPT_USAGE,		/* the caller asked for something senseless */
	CPT_SYSTEM,		/* a system call failed; cpt_err.sys is its errno */
	CPT_UNSUPPORTED,	/* this kernel, host or object can't do it */
	CPT_BAD_IMAGE,		/* the image is torn, forged or of another version */
};

/**
 * struct cpt_err - why a call failed; a flat value, nothing to free
 * @text: one line without a newline, made for a user to act on
 */
struct cpt_err {
	enum cpt_fault fault;
	int sys;
	char text[496];
};

/** enum cpt_freezer - which of the kernel's freezers serves a group */
enum cpt_freezer { CPT_FREEZER_V1 = 1, CPT_FREEZER_V2 = 2 };

/** enum cpt_state - what the freezer says of a group */
enum cpt_state { CPT_RUNNING, CPT_FREEZING, CPT_FROZEN };

/**
 * struct cpt_sink - where lines for people go
 * @line: called with one line without a newline; may be NULL (discarded)
 * @arg:  passed on
 */
struct cpt_sink {
	void (*line)(void *arg, const char *text);
	void *arg;
};

enum cpt_log_level { CPT_LOG_WARN, CPT_LOG_INFO, CPT_LOG_DEBUG };

/** cpt_set_log - lines up to @level go to @sink; this and cpt_set_progress are the only globals */
CPT_API void cpt_set_log(enum cpt_log_level level, struct cpt_sink sink);

/** enum cpt_work - what takes long */
enum cpt_work {
	CPT_WORK_COPY,		/* memory into an image */
	CPT_WORK_SYNC,		/* the image is being brought to the disk */
	CPT_WORK_READ,		/* an image comes out of a pipe */
	CPT_WORK_UNPACK,	/* compressed pages of an image */
	CPT_WORK_CHECK,		/* pages of an image, while a restore reads them into place */
};

/**
 * struct cpt_progress - who wants to know how far a call has come
 * @at:  so many bytes are done of @total (0: nobody can tell how many); an
 *       estimate, which @done may pass. Called often, from several threads at
 *       once, and while the group stands still: it must be quick, block
 *       nowhere and make no system calls. May be NULL.
 * @arg: passed on
 */
struct cpt_progress {
	void (*at)(void *arg, enum cpt_work work, uint64_t done, uint64_t total);
	void *arg;
};

/** cpt_set_progress - for all calls from now on, as cpt_set_log */
CPT_API void cpt_set_progress(struct cpt_progress progress);

/**
 * cpt_interrupt - for a handler of SIGINT, SIGTERM or SIGHUP: undo the running call
 *
 * Async-signal-safe. Puts back what the call that it interrupts has done so
 * far, and returns true when that is done (or nothing had been done); the
 * handler must then end the program with _exit(). Returns false when the call
 * has passed its point of no return, and is about to succeed: the handler must
 * return.
 */
CPT_API bool cpt_interrupt(void);

/* ---- groups ---------------------------------------------------------- */

/**
 * struct cpt_group_status - a group as it stands
 * @path: the folder of the group, absolute
 */
struct cpt_group_status {
	enum cpt_freezer freezer;
	enum cpt_state state;
	unsigned processes;
	unsigned threads;
	unsigned groups;	/* sub-groups, not counting itself */
	uint64_t lazy_total;	/* pages that a lazy restore has still to do with; 0: none is under way … */
	uint64_t lazy_left;	/* … and how many of them are not in yet */
	char lazy_end[256];	/* why a lazy restore had to end the group; "" */
	char path[4096];
};

/**
 * cpt_group_freeze - freeze a group and all groups below it, wait for FROZEN
 * @group:       a folder below any cgroup mount, or a name below one of them
 * @deadline_ms: how long to wait; on CPT_SYSTEM/ETIMEDOUT the group runs again
 */
CPT_API int cpt_group_freeze(const char *group, int deadline_ms,
			     struct cpt_err *err) CPT_CHECKED;
/** cpt_group_thaw - let it run; not an error when it runs already */
CPT_API int cpt_group_thaw(const char *group, struct cpt_err *err) CPT_CHECKED;
CPT_API int cpt_group_status(const char *group, struct cpt_group_status *ret,
			     struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_group_kill - send a signal to every process of the group and below
 * @signal: 1 to 64. With SIGKILL it waits until the group is empty.
 */
CPT_API int cpt_group_kill(const char *group, int signal,
			   struct cpt_err *err) CPT_CHECKED;

/* ---- dump ------------------------------------------------------------ */

/** enum cpt_after - what becomes of the group after a successful dump */
enum cpt_after { CPT_AFTER_KILL, CPT_AFTER_RUN, CPT_AFTER_FROZEN };

enum cpt_permit {			/* what depends on the world outside */
	CPT_PERMIT_TCP_ESTABLISHED = 1 << 0,
	CPT_PERMIT_TCP_CLOSE	   = 1 << 1,
	CPT_PERMIT_SHELL_JOB	   = 1 << 2,
	CPT_PERMIT_EXT_UNIX_SK	   = 1 << 3,
};

/**
 * enum cpt_snapshot - how memory is brought out of a group that goes on (CPT_AFTER_RUN)
 * @CPT_SNAPSHOT_AUTO: whatever is likely to pause it least
 * @CPT_SNAPSHOT_COPY: copied while it runs, again what was written meanwhile, the rest in the pause
 * @CPT_SNAPSHOT_TWIN: from copy-on-write twins made in the pause; fails where none can be made
 */
enum cpt_snapshot { CPT_SNAPSHOT_AUTO, CPT_SNAPSHOT_COPY, CPT_SNAPSHOT_TWIN };

enum cpt_codec { CPT_CODEC_NONE, CPT_CODEC_ZLIB, CPT_CODEC_ZSTD, CPT_CODEC_LZ4 };

/**
 * struct cpt_stats - times in nanoseconds, sizes in bytes, counts
 * @freeze_ns, @state_ns, @memory_ns, @write_ns, @kill_ns: phases that follow
 *	each other: until the group stands still, descriptors and all that is
 *	small (restore: checks), pages, commit and sync, the end of the group.
 *	With a dump that copies while the group runs: of the pause only.
 * @pages_written:   stored in the image (also of a merge)
 * @pages_shared:    of several processes, stored or read once
 * @pages_zero:      nothing but zeros, not stored
 * @pages_unchanged: copied before the pause, or stored in the base
 * @pages_read:      restore: brought into place
 */
struct cpt_stats {
	uint64_t total_ns;
	uint64_t pause_ns;	/* dump: group stood still; restore: 0 */
	uint64_t freeze_ns, state_ns, memory_ns, write_ns, kill_ns;
	uint64_t image_bytes;
	uint64_t processes, threads;
	uint64_t pages_written, pages_shared, pages_zero, pages_unchanged;
	uint64_t pages_read;
	uint64_t pages_lazy;	/* restore: that come when the group runs already */
	uint64_t copied_first;	/* processes of which memory was copied while they ran */
	uint64_t twins;		/* processes whose memory was read from a twin after the pause */
	uint64_t twin_ns;	/* part of the pause: making them */
	uint64_t calm_ns, busy_ns;	/* only in a check: see struct cpt_forecast */
};

/**
 * struct cpt_dump_options - borrowed for the call; zero is a good default
 * @image:    file name, or "-" for standard output; NULL is checkpoint.cpt
 * @base:     an earlier image of the same group to refer to, or NULL
 * @refused:  gets one line for each thing that can't be dumped
 */
struct cpt_dump_options {
	const char *group;
	const char *image;
	const char *base;
	enum cpt_after after;
	unsigned permit;	/* enum cpt_permit, or-ed */
	bool track;		/* arm write tracking for a later @base */
	enum cpt_codec codec;
	int codec_level;	/* 0: the codec's default */
	int deadline_ms;	/* 0: 10 s */
	enum cpt_snapshot snapshot;
	struct cpt_sink refused;
};

CPT_API int cpt_dump(const struct cpt_dump_options *opt, struct cpt_stats *ret,
		     struct cpt_err *err) CPT_CHECKED;

/**
 * struct cpt_forecast - how long a group will stand still in a dump with CPT_AFTER_RUN; nanoseconds, estimated
 * @calm_ns: if it writes little to its memory
 * @busy_ns: if it writes to all of it all the time
 */
struct cpt_forecast {
	uint64_t calm_ns, busy_ns;
};

/**
 * cpt_check - what of a group could not be dumped; CPT_UNSUPPORTED if any
 * @ret: set on success; may be NULL
 */
CPT_API int cpt_check(const struct cpt_dump_options *opt, struct cpt_forecast *ret,
		      struct cpt_err *err) CPT_CHECKED;
/** cpt_check_host - one line per kernel feature to @out; fails if one that is needed lacks */
CPT_API int cpt_check_host(struct cpt_sink out, struct cpt_err *err) CPT_CHECKED;

/* ---- restore --------------------------------------------------------- */

/**
 * struct cpt_restore_options - borrowed for the call
 * @image:  file name, or "-" for standard input; NULL is checkpoint.cpt
 * @group:  where to restore to; NULL is where the image was taken
 * @root:   on success, called with the pid of every process that is now a
 *          child of the caller (their parents were outside the group)
 */
struct cpt_restore_options {
	const char *image;
	const char *group;
	bool leave_frozen;
	bool lazy;		/* large memory comes when the group runs already, see doc/memory.md */
	unsigned permit;
	struct cpt_sink refused;
	void (*root)(void *arg, pid_t pid);
	void *arg;
};

CPT_API int cpt_restore(const struct cpt_restore_options *opt,
			struct cpt_stats *ret, struct cpt_err *err) CPT_CHECKED;

/* ---- images ---------------------------------------------------------- */

/** cpt_image_verify - every checksum, every length, every reference */
CPT_API int cpt_image_verify(const char *image, struct cpt_err *err) CPT_CHECKED;
/**
 * cpt_image_merge - fold an increment and all it builds on into one full image
 * @image:  the last of the chain; it and the others are left as they are
 * @output: file name, or "-" for standard output
 * @ret:    may be NULL
 */
CPT_API int cpt_image_merge(const char *image, const char *output, struct cpt_stats *ret,
			    struct cpt_err *err) CPT_CHECKED;
/** cpt_image_show - describe an image line by line, or as one JSON document */
CPT_API int cpt_image_show(const char *image, bool json, struct cpt_sink out,
			   struct cpt_err *err) CPT_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
