/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of cases share. */
#ifndef KTEST_H
#define KTEST_H

#include "../base.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/sched.h>

#define NOBODY 65534
#define V1 1
#define V2 2

/* --- the cases --- */

/* A case runs in a process of its own, with the group "t" made for it. */
struct test {
	const char *set, *name;
	void (*fn)(void);
	int only;		/* V1 or V2; 0: both */
	const void *arg;	/* what case_arg is while it runs */
};

#define CASE(set_, name_, fn_, ...) { .set = set_, .name = name_, .fn = fn_, ##__VA_ARGS__ }

/* Each file of cases has an array of them, ended by one without a name. */
extern const struct test file_cases[], reach_cases[], member_cases[], permission_cases[],
	race_cases[], frozen_cases[], freezer_cases[], suspend_cases[], hour_cases[];

/* The cases of the matrix are as many as its kinds times its values. */
const struct test *matrix_cases(void);

extern const char *signal_root, *freezer_root;	/* where the hierarchies are mounted */
extern bool v2;			/* signal_root is a v2 hierarchy */
extern int rounds;		/* of each race */
extern int patience_ms;		/* a deadline that only a failure meets */
extern const void *case_arg;

/* Memory that a case shares with its tasks, zeroed before each. */
struct shared {
	volatile long beat;		/* waits that came to their end */
	volatile int ready;		/* tasks that reached their loop */
	volatile long n, busy;		/* turns of loops */
	volatile int got[65];		/* runs of handlers, by signal */
	volatile int from, code;	/* siginfo of the last */
	volatile int done;
	volatile pid_t pid;
};
extern struct shared *sh;

/* --- what is required --- */

/* Print what is not so, and end the case. */
void fail(const char *func, int line, const char *cond, const char *more, ...)
	__attribute__((noreturn, format(printf, 4, 5)));

/* A case ends at the first thing that is not as it should be. */
#define REQUIRE(cond, ...)						\
	do {								\
		if (!(cond))						\
			fail(__func__, __LINE__, #cond, " " __VA_ARGS__); \
	} while (0)

/* Waiting is for a condition; each that comes true is a sign of life. */
#define WAIT_UNTIL(cond)						\
	({								\
		long long end_ = now_ms() + patience_ms;		\
		bool ok_;						\
		while (!(ok_ = (cond)) && now_ms() < end_)		\
			nap();						\
		ok_ = ok_ || (cond);					\
		sh->beat += ok_;					\
		ok_;							\
	})

/*
 * Let a task outside of the group do @turns turns of its loop: by then one in
 * the group would have done some, if it could run.
 */
void let_time_pass(int turns);

/* --- files of a cgroup; what writes returns 0 or a negative errno --- */

/* DIR/GROUP/FILE, good for the next seven calls */
const char *path_in(const char *dir, const char *group, const char *file);
int put_path(const char *path, const char *text);
int get_path(const char *path, char *buf, size_t len);
int count_lines(const char *path);

void make_group(const char *group);
void join(const char *group);
void move_thread(const char *group, pid_t tid);
int members(const char *group);

/* write @text, or the number @sig, to signal.kill */
int sigkill_file(const char *group, const char *text);
int group_signal(const char *group, int sig);

const char *state_of(const char *group);	/* v1: freezer.state */
int freeze(const char *group, bool on);
bool is_frozen(const char *group);
void freeze_wait(const char *group);
void thaw(const char *group);

/* --- tasks --- */

/* Start a process in @group (NULL: in none) that runs @fn and then sleeps. */
pid_t spawn(const char *group, void (*fn)(void));
void ready(void);		/* a @fn that does not return says so by itself */

/* to be run by it */
void count_turns(void);		/* sh->n, sleeping in between */
void count_busy(void);		/* sh->busy */
void handle_all(void);		/* count signals in sh->got */
void threads_only(void);	/* four threads */
void threads_and_handlers(void);/* eight */
void vforks(void);		/* the child is sh->pid, ends when sh->done */
void vforks_and_handles(void);
void forks_forever(void);	/* turns in sh->n */
void chain(void);		/* forks and leaves, and so does the child */
void brood(void);		/* has a dozen children */

void handle(int sig);
extern volatile sig_atomic_t told;	/* set by a handler, ends chains and broods */

/* The letter that stands for a task's state in /proc, or 0 if it is gone. */
char task_state(pid_t pid);
bool alive(pid_t pid);
/* A hexadecimal field of /proc/PID/status. */
unsigned long long status_mask(pid_t pid, const char *field);
bool pending(pid_t pid, int sig);
bool all_stopped(const char *group);
/* The threads of a process, the leader's first. */
int tids(pid_t pid, pid_t *out, int max);

int wait_status(pid_t pid);
void require_killed(pid_t pid, int sig);
int stopped(pid_t pid);		/* the signal that stopped a child just now, or 0 */

/* --- an unprivileged user --- */

void become_nobody(void);
int as_nobody(int (*fn)(void));	/* what @fn returns, run by nobody */
void delegate(void);		/* the group "t" to nobody */

/* --- tasks that can't freeze for a while --- */

/*
 * A task that the kernel holds, uninterruptible and not freezable, until it is
 * let go: it faults on a page that userfaultfd was asked to watch.
 */
struct held {
	pid_t pid;
	int uffd;
	char *page;
};

enum held_how {
	HELD_WRITE,	/* in write(2), goes on in user space */
	HELD_VFORK,	/* in clone3(2), goes on in the wait for a vfork child */
};

/* Start a held task, call @join in it first, and wait until it is held. */
struct held held_start(enum held_how how, void (*join)(void));
void held_let_go(struct held *h);

/* ktest --exec-loop, see members.c */
int exec_loop(void);

#endif
