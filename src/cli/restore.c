/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore.c - cptool restore */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const char help[] =
	"[OPTION]… [IMAGE]\n"
	"\n"
	"Make the group of an image run again, with the same processes under the same numbers.\n"
	"Returns when it runs. IMAGE may be - for standard input (default: checkpoint.cpt).\n"
	"\n"
	"      --wait             stay, until the processes that the restore made have ended, and\n"
	"                         pass on the exit status of the first\n"
	"      --lazy             let it run at once; large memory comes out of IMAGE when it is touched,\n"
	"                         and in the background until all is in\n"
	"      --leave-frozen     leave the group frozen\n"
	"      --cgroup GROUP     restore into another group than the one the image names\n"
	"      --tcp-established  established TCP connections may be carried\n"
	"      --tcp-close        … or are found closed by the other side\n"
	"      --shell-job        this terminal takes the place of the one it ran on\n"
	"      --ext-unix-sk      unix sockets whose other end is outside the group may be cut off\n"
	"      --stats FILE       write times and sizes as JSON; - is standard output\n"
	"      --no-progress      no line that tells how far it is, also on a terminal\n"
	"  -v, --verbose          tell more; twice: tell all\n";

static const struct option options[] = {
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ "lazy", no_argument, NULL, OPT_LAZY },
	{ "leave-frozen", no_argument, NULL, OPT_LEAVE_FROZEN },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "stats", required_argument, NULL, OPT_STATS },
	PERMIT_LONG,
	PROGRESS_LONG,
	COMMON_LONG,
	END_LONG
};

/* the processes that are our children after the restore */
static struct {
	pid_t *pid;
	size_t n, room;
} roots;

static void remember(void *arg, pid_t pid)
{
	if (roots.n == roots.room) {
		roots.room = roots.room ? 2 * roots.room : 16;
		roots.pid = reallocarray(roots.pid, roots.room, sizeof(*roots.pid));
		if (!roots.pid)
			abort();	/* the guard undoes */
	}
	roots.pid[roots.n++] = pid;
}

/*
 * Wait for all of them. What would end us is for them: whoever stops a
 * supervisor means the service. Signals are taken one by one, so that none is
 * sent to a number that has been reaped.
 */
static int wait_for_roots(void)
{
	static const int passed[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	size_t left = roots.n;
	sigset_t set;
	int result = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (unsigned i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		sigaddset(&set, passed[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; late_signal() && i < roots.n; i++)
		kill(roots.pid[i], late_signal());
	while (left) {
		siginfo_t info;
		int sig, st;

		for (size_t i = 0; i < roots.n; i++) {
			pid_t got = roots.pid[i] ? waitpid(roots.pid[i], &st, WNOHANG) : 0;

			if (!got)
				continue;
			if (i == 0 && got > 0)
				result = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
			roots.pid[i] = 0;
			left--;
		}
		if (!left)
			break;
		sig = sigwaitinfo(&set, &info);
		for (size_t i = 0; sig > 0 && sig != SIGCHLD && i < roots.n; i++)
			if (roots.pid[i])
				kill(roots.pid[i], sig);
	}
	return result;
}

int verb_restore(int argc, char **argv)
{
	struct cpt_restore_options opt = { .refused = to_stderr };
	const char *stats_file = NULL;
	struct cpt_stats stats = { 0 };
	struct cpt_err err = { 0 };
	bool wait = false;
	const struct options own = { "restore", help, "", options, &opt.permit };
	int c, status;

	while ((c = own_option(&own, argc, argv, &status)) != -1) {
		switch (c) {
		case OPT_WAIT:
			wait = true;
			break;
		case OPT_LAZY:
			opt.lazy = true;
			break;
		case OPT_LEAVE_FROZEN:
			opt.leave_frozen = true;
			break;
		case OPT_CGROUP:
			opt.group = optarg;
			break;
		case OPT_STATS:
			stats_file = optarg;
			break;
		}
	}
	if (status >= 0)
		return status;
	opt.image = one_image("restore", "checkpoint.cpt", argc, argv);
	if (!opt.image)
		return EXIT_USAGE;
	if (wait)
		opt.root = remember;
	progress_start("restore");
	if (cpt_restore(&opt, &stats, &err))
		return failed("restore", &err);
	progress_end();
	status = stats_file ? write_stats(stats_file, "restore", &stats) : EXIT_FINE;
	if (wait) {
		int theirs = wait_for_roots();

		free(roots.pid);
		return status == EXIT_FINE ? theirs : status;
	}
	return status;
}
