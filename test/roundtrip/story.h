/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * story.h - a task tells what it knows of itself, sleeps through a checkpoint,
 *           and looks whether all is still true
 *
 *	CPT_STORY(timers_keep_phase, "an armed timer fires on its old schedule")
 *	{
 *		... set up state ...
 *		checkpoint_here();
 *		if (spoiled())
 *			... do what a bad restore would have done ...
 *		expect(... the state is as it was ...);
 *	}
 *
 * The spoiled() branch is the proof that the story can fail at all: the self
 * check runs every story with it and wants every one to fail.
 *
 * A story leads a session of its own; its standard input is /dev/null, its
 * output a regular file, its current folder an empty one of its own.
 */
#ifndef CPT_STORY_H
#define CPT_STORY_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct cpt_story {
	const char *name, *says;
	const char *refused;		/* words of the refusal, or NULL */
	void (*tell)(void);
	struct cpt_story *next;
};

void cpt_story_add(struct cpt_story *story);

#define CPT_STORY_(id, sentence, words)					\
	static void story_##id(void);					\
	__attribute__((constructor)) static void register_##id(void)	\
	{								\
		static struct cpt_story story = { #id, sentence, words, story_##id, NULL }; \
		cpt_story_add(&story);					\
	}								\
	static void story_##id(void)

#define CPT_STORY(id, sentence) CPT_STORY_(id, sentence, NULL)
/** CPT_REFUSED - what can't be carried: the dump says so with these words, and nothing has happened */
#define CPT_REFUSED(id, sentence, words) CPT_STORY_(id, sentence, words)

/** checkpoint_here - say that all is set up, and come back when the driver has done its work */
void checkpoint_here(void);
/** after_checkpoint - for the story's other processes: wait until the driver has done its work */
void after_checkpoint(void);
/** spoiled - this run shall fail */
bool spoiled(void);

void cpt_story_fail(const char *file, int line, const char *what, long long got,
		    long long wanted, bool numbers) __attribute__((noreturn));
#define expect(cond)								\
	do {									\
		if (!(cond))							\
			cpt_story_fail(__FILE__, __LINE__, #cond, 0, 0, false);	\
	} while (0)
#define expect_eq(got, wanted)							\
	do {									\
		long long got_ = (long long)(got), wanted_ = (long long)(wanted); \
		if (got_ != wanted_)						\
			cpt_story_fail(__FILE__, __LINE__, #got " == " #wanted,	\
				       got_, wanted_, true);			\
	} while (0)
/** skip - this machine cannot do it */
void skip(const char *why) __attribute__((noreturn));

/** branch - a process of its own that runs @fn and ends with 0 */
pid_t branch(void (*fn)(void *arg), void *arg);
/** join - wait for a branch and want it to have ended well */
void join(pid_t pid);
/** mark, await - one process tells another how far it is */
void mark(const char *name);
void await(const char *name);
bool marked(const char *name);

/** await_blocked - until the task sits in the system call @nr, perhaps restarted with the time that was left */
void await_blocked(pid_t pid, pid_t tid, long nr);
/** await_state - until the task's state in /proc/PID/stat is @state */
void await_state(pid_t pid, char state);
/** nap - sleep without caring about interruptions */
void nap(int ms);
int64_t now_ns(clockid_t clock);
/** gap_ns - how long the checkpoint took on CLOCK_MONOTONIC, at most (known after it) */
int64_t gap_ns(void);

/** slurp - a small file as a string, in a static buffer that the next call reuses */
char *slurp(const char *path);
/** status_line - a line of /proc/PID/status ("self" without pid) after "KEY:\t" */
char *status_line(const char *pid, const char *key);
/** fdinfo_line - a number from /proc/self/fdinfo/FD after "KEY:" */
long long fdinfo_line(int fd, const char *key, int base);

static inline pid_t cpt_gettid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

#endif
