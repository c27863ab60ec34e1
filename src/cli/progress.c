/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * progress.c - a line on the terminal, while something takes long
 *
 * A process of its own draws it, out of numbers that the library leaves in
 * shared memory: a terminal that blocks can't hold up a dump whose group
 * stands still, and the library finds the single thread that it needs.
 */
#include "cli.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS 400		/* what takes less shows nothing */
#define EVERY_MS 150
#define COLUMNS 80
#define CLEAR "\r\033[K"

struct shared {
	_Atomic uint64_t done, total;
	_Atomic unsigned work;
	_Atomic bool shown, busy;	/* the line stands there; one of both is writing to the terminal */
};

static struct shared *shared;
static pid_t drawer;
static bool off;

/* ---- the process that draws ------------------------------------------- */

struct view {
	const char *verb;
	unsigned work;
	double before;			/* seconds: when the rate was taken last */
	uint64_t done;			/* then */
	double rate;			/* bytes a second; 0: not known yet */
};

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* "3.2 GiB" */
static const char *bytes(char *text, size_t size, double n)
{
	static const char *const unit[] = { "KiB", "MiB", "GiB", "TiB" };
	unsigned u = 0;

	for (n /= 1024; n >= 1000 && u < 3; u++)
		n /= 1024;
	snprintf(text, size, n < 10 ? "%.1f %s" : "%.0f %s", n, unit[u]);
	return text;
}

/* "7 s", "3:05 min" */
static const char *duration(char *text, size_t size, double s)
{
	unsigned long n = (unsigned long)(s + 0.999);

	if (n < 100)
		snprintf(text, size, "%lu s", n);
	else
		snprintf(text, size, "%lu:%02lu min", n / 60, n % 60);
	return text;
}

/* The longest of the forms that fits into so many columns */
static void compose(const struct view *v, uint64_t done, uint64_t total, size_t room, char *line, size_t size)
{
	static const char *const what[] = {
		[CPT_WORK_COPY] = " copied", [CPT_WORK_SYNC] = "writing to disk", [CPT_WORK_READ] = " read",
		[CPT_WORK_UNPACK] = " unpacked", [CPT_WORK_CHECK] = " checked",
	};
	bool known = total && done <= total, counted = v->work != CPT_WORK_SYNC;
	char amount[80] = "", rate[40] = "", left[48] = "", a[32], b[32];

	if (counted)
		snprintf(amount, sizeof(amount), known ? "%s of %s" : "%s", bytes(a, sizeof(a), (double)done),
			 bytes(b, sizeof(b), (double)total));
	if (counted && v->rate > 0)
		snprintf(rate, sizeof(rate), ", %s/s", bytes(a, sizeof(a), v->rate));
	if (*rate && known)
		snprintf(left, sizeof(left), ", %s left", duration(a, sizeof(a), (double)(total - done) / v->rate));
	if ((size_t)snprintf(line, size, "%s: %s%s%s%s", v->verb, amount, what[v->work], rate, left) <= room ||
	    (size_t)snprintf(line, size, "%s%s%s", *amount ? amount : what[v->work], rate, left) <= room ||
	    (size_t)snprintf(line, size, "%s%s", *amount ? amount : "to disk", rate) <= room)
		return;
	if (known)
		snprintf(line, size, "%.0f %%", 100.0 * (double)done / (double)total);
	line[room < size ? room : size - 1] = 0;
}

static void advance(struct view *v, unsigned work, uint64_t done)
{
	double now = seconds_now(), passed = now - v->before;

	if (work != v->work || done < v->done / 2) {
		*v = (struct view){ .verb = v->verb, .work = work, .before = now, .done = done };
		return;
	}
	if (passed < EVERY_MS / 1e3 / 2 || done < v->done)
		return;
	/* the recent past counts more, but a moment's stutter little */
	v->rate = v->rate > 0 ? 0.8 * v->rate + 0.2 * (double)(done - v->done) / passed : (double)(done - v->done) / passed;
	v->before = now;
	v->done = done;
}

/* Nobody waits for long: a stopped terminal must not hold back a message. */
static bool take_turn(void)
{
	for (unsigned tries = 0; tries < 200; tries++) {
		if (!atomic_exchange(&shared->busy, true))
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return false;
}

static void draw(struct view *v)
{
	char line[256], out[sizeof(line) + sizeof(CLEAR)];
	uint64_t done = shared->done;
	struct winsize ws;
	size_t columns = COLUMNS;
	int n;

	advance(v, shared->work, done);
	if (tcgetpgrp(STDERR_FILENO) != getpgrp())
		return;		/* in the background */
	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) && ws.ws_col)
		columns = ws.ws_col;
	if (columns < 2)
		return;
	compose(v, done, shared->total, columns - 1 < sizeof(line) ? columns - 1 : sizeof(line) - 1, line, sizeof(line));
	n = snprintf(out, sizeof(out), CLEAR "%s", line);
	if (!take_turn())
		return;
	shared->shown = true;
	if (write(STDERR_FILENO, out, (size_t)n) < 0)
		_exit(0);
	shared->busy = false;
}

/* Ends when it is killed, or whom it draws for is gone. */
static void work(const char *verb, int parent)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	struct view v = { .verb = verb, .work = shared->work };
	struct pollfd gone;
	int wait = FIRST_MS;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_NAME, "cptool-progress");
	dup2(parent, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	gone = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	v.before = seconds_now();
	while (!poll(&gone, 1, wait)) {
		draw(&v);
		wait = EVERY_MS;
	}
	if (shared->shown && write(STDERR_FILENO, CLEAR, strlen(CLEAR)) < 0)
		_exit(1);
	_exit(0);
}

/* ---- whom it draws for ------------------------------------------------- */

static void at(void *arg, enum cpt_work now, uint64_t done, uint64_t total)
{
	shared->work = now;
	shared->total = total;
	shared->done = done;
}

/*
 * A restore needs certain numbers, in a fresh pid namespace small ones: ours
 * is as high as can be.
 */
static pid_t fork_high(void)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size;
	} how = { .exit_signal = SIGCHLD, .set_tid_size = 1 };
	FILE *f = fopen("/proc/sys/kernel/pid_max", "re");
	int most = 0;
	pid_t pid, got = -1;

	if (f && fscanf(f, "%d", &most) != 1)
		most = 0;
	if (f)
		fclose(f);
	for (int i = 1; i <= 8 && most > 1000 && got < 0; i++) {
		pid = most - i;
		how.set_tid = (uintptr_t)&pid;
		got = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	}
	return got < 0 ? fork() : got;
}

void progress_off(void)
{
	off = true;
}

void progress_start(const char *verb)
{
	const char *term = getenv("TERM");
	int self;

	if (off || drawer || !isatty(STDERR_FILENO) || (term && !strcmp(term, "dumb")))
		return;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return;
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	drawer = self < 0 ? -1 : fork_high();
	if (!drawer)
		work(verb, self);
	if (self >= 0)
		close(self);
	if (drawer > 0)
		cpt_set_progress((struct cpt_progress){ at, NULL });
	else
		drawer = 0;
}

/* only calls that are allowed in a signal handler */
void progress_end(void)
{
	pid_t pid = drawer;

	if (!pid)
		return;
	drawer = 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (shared->shown && write(STDERR_FILENO, CLEAR, strlen(CLEAR)) < 0)
		return;
}

bool progress_hide(void)
{
	if (!drawer || !take_turn())
		return false;
	if (shared->shown && write(STDERR_FILENO, CLEAR, strlen(CLEAR)) < 0)
		shared->shown = false;
	return true;
}

void progress_again(bool hidden)
{
	if (hidden)
		shared->busy = false;
}
