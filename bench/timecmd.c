/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timecmd.c - time a whole command, from posix_spawn to its end
 *
 *	timecmd COMMAND [ARG]...
 *
 * Prints two numbers, in nanoseconds: the time that passed, and the processor
 * time of the command and of those it has waited for. The second is what is
 * left to compare by when the machine is busy. The exit status is the command's.
 * The command's standard output goes to standard error.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t actions;
	struct timespec from, to;
	struct rusage used;
	int status, rc;
	pid_t pid;

	if (argc < 2)
		return 2;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, 2, 1);
	clock_gettime(CLOCK_MONOTONIC, &from);
	rc = posix_spawnp(&pid, argv[1], &actions, NULL, argv + 1, environ);
	if (rc) {
		fprintf(stderr, "timecmd: %s: %s\n", argv[1], strerror(rc));
		return 127;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 127;
	clock_gettime(CLOCK_MONOTONIC, &to);
	getrusage(RUSAGE_CHILDREN, &used);
	printf("%lld %lld\n", (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec,
	       (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000LL +
	       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000LL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
