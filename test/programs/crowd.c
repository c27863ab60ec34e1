/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crowd.c - families of processes that answer when asked
 *
 *	crowd ROLE LOG [NUMBER]
 *
 * On SIGUSR1 each process of a role appends a line to LOG once it has found
 * everything about itself in order. "up" as a line says that all is set up.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int log_fd;
static sigset_t usr1;

__attribute__((format(printf, 1, 2))) static void say(const char *form, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, form);
	n = vsnprintf(line, sizeof(line) - 1, form, ap);
	va_end(ap);
	line[n++] = '\n';
	if (write(log_fd, line, (size_t)n) != n)	/* O_APPEND: lines do not mix */
		_exit(1);
}

static void wait_to_be_asked(void)
{
	int sig;

	if (sigwait(&usr1, &sig) || sig != SIGUSR1)
		_exit(1);
}

static pid_t make(void)
{
	pid_t pid = fork();

	if (pid < 0) {
		say("fork: %s", strerror(errno));
		_exit(1);
	}
	return pid;
}

/* a parent, two children with one child each; asked, every one passes the question down */
static void family(int depth)
{
	pid_t kids[2], me, up;
	int n;

again:
	me = getpid();
	up = getppid();
	n = depth == 2 ? 2 : depth == 1 ? 1 : 0;
	for (int i = 0; i < n; i++) {
		kids[i] = make();
		if (!kids[i]) {
			depth--;
			goto again;
		}
	}
	say("up");
	for (;;) {
		wait_to_be_asked();
		for (int i = 0; i < n; i++)
			if (kill(kids[i], SIGUSR1))
				say("child %d is gone", kids[i]);
		if (getpid() != me || (depth < 2 && getppid() != up))
			say("family is broken");
		else
			say("well");
	}
}

static void daemonise(void)
{
	if (make())
		_exit(0);
	setsid();
	if (make())
		_exit(0);
	family(2);
}

static void zombie(void)
{
	pid_t kid = make();
	int status = 0;

	if (!kid)
		_exit(7);
	say("up");
	for (;;) {
		siginfo_t info;

		wait_to_be_asked();
		if (waitid(P_PID, (id_t)kid, &info, WEXITED | WNOWAIT) || info.si_status != 7 ||
		    info.si_code != CLD_EXITED)
			say("no zombie: %d", status);
		else
			say("well");
	}
}

static void stopped(void)
{
	pid_t kid = make();
	int status;

	if (!kid) {
		raise(SIGSTOP);
		say("well");
		_exit(5);
	}
	waitpid(kid, &status, WUNTRACED);
	say("up");
	for (;;) {
		wait_to_be_asked();
		kill(kid, SIGCONT);
		if (waitpid(kid, &status, 0) != kid || !WIFEXITED(status) || WEXITSTATUS(status) != 5)
			say("the stopped one ended with %x", status);
		kid = make();
		if (!kid) {
			raise(SIGSTOP);
			say("well");
			_exit(5);
		}
		waitpid(kid, &status, WUNTRACED);
		say("up");
	}
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER, answered = PTHREAD_COND_INITIALIZER;
static int round_no, answers, started;

static void *member(void *arg)
{
	char name[16];
	int at = 0;

	snprintf(name, sizeof(name), "member %d", (int)(intptr_t)arg);
	prctl(PR_SET_NAME, name);
	pthread_mutex_lock(&lock);
	started++;
	pthread_cond_signal(&answered);
	for (;;) {
		char now[16];

		while (at == round_no)
			pthread_cond_wait(&asked, &lock);
		at = round_no;
		prctl(PR_GET_NAME, now);
		if (!strcmp(now, name))
			answers++;
		pthread_cond_signal(&answered);
	}
	return NULL;
}

static void threads(int n)
{
	for (int i = 0; i < n; i++) {
		pthread_t th;

		if (pthread_create(&th, NULL, member, (void *)(intptr_t)i)) {
			say("no more threads");
			_exit(1);
		}
	}
	pthread_mutex_lock(&lock);
	while (started < n)
		pthread_cond_wait(&answered, &lock);
	pthread_mutex_unlock(&lock);
	say("up");
	for (;;) {
		wait_to_be_asked();
		pthread_mutex_lock(&lock);
		answers = 0;
		round_no++;
		pthread_cond_broadcast(&asked);
		while (answers < n)
			pthread_cond_wait(&answered, &lock);
		pthread_mutex_unlock(&lock);
		say("well");
	}
}

static uint64_t noise(uint64_t i)
{
	i ^= i >> 31;
	i *= 0x7fb5d329728ea185UL;
	i ^= i >> 27;
	return i * 0x81dadef4bc2dd44dUL;
}

/* a parent with 64 MiB and n children that share them but for a page of their own */
static void shared(int n)
{
	const size_t words = (64 << 20) / 8;
	uint64_t *memory = mmap(NULL, words * 8, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t *kids = calloc((size_t)n, sizeof(*kids));

	if (memory == MAP_FAILED || !kids)
		_exit(1);
	for (size_t i = 0; i < words; i++)
		memory[i] = noise(i);
	for (int k = 0; k < n; k++) {
		kids[k] = make();
		if (!kids[k]) {
			size_t mine = (size_t)k * 512;

			memory[mine] = (uint64_t)k;
			say("up");
			for (;;) {
				size_t bad = 0;

				wait_to_be_asked();
				for (size_t i = (size_t)k; i < words; i += 4099)
					bad += i != mine && memory[i] != noise(i);
				bad += memory[mine] != (uint64_t)k;
				if (bad)
					say("%zu bad words in child %d", bad, k);
				else
					say("well");
			}
		}
	}
	say("up");
	for (;;) {
		size_t bad = 0;

		wait_to_be_asked();
		for (size_t i = 0; i < words; i++)
			bad += memory[i] != noise(i);
		for (int k = 0; k < n; k++)
			bad += !!kill(kids[k], SIGUSR1);
		if (bad)
			say("%zu bad words", bad);
		else
			say("well");
	}
}

int main(int argc, char **argv)
{
	int n = argc > 3 ? atoi(argv[3]) : 0;

	if (argc < 3)
		return 2;
	log_fd = open(argv[2], O_WRONLY | O_APPEND | O_CREAT, 0644);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	if (!strcmp(argv[1], "family"))
		family(2);
	else if (!strcmp(argv[1], "daemon"))
		daemonise();
	else if (!strcmp(argv[1], "zombie"))
		zombie();
	else if (!strcmp(argv[1], "stopped"))
		stopped();
	else if (!strcmp(argv[1], "threads"))
		threads(n);
	else if (!strcmp(argv[1], "shared"))
		shared(n);
	return 2;
}
