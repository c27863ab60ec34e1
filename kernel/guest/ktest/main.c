// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's side of freezing and signalling cgroups, tested inside a guest.
 *
 * ktest [-n ROUNDS] [-w SECONDS] [-s FREEZER] SIGNAL SET... runs the cases of
 * the sets in the hierarchies mounted on the folders FREEZER and SIGNAL (one
 * folder if -s is not given), and prints a line for each. A case is a process of
 * its own with a cgroup of its own; whatever it leaves behind is killed and
 * removed. SECONDS is how long a case waits for something before it gives up.
 */
#include "ktest.h"
#include <dirent.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <linux/magic.h>

const char *signal_root, *freezer_root;
bool v2;
int rounds = 100;
int patience_ms = 180 * 1000;
const void *case_arg;
struct shared *sh;

/* Kill and remove what is left below @dir. */
static void clear(const char *dir)
{
	char path[512], buf[65536], *p, *save;
	struct dirent *d;
	DIR *sub;

	put_path((snprintf(path, sizeof(path), "%s/freezer.state", dir), path), "THAWED");
	put_path((snprintf(path, sizeof(path), "%s/cgroup.freeze", dir), path), "0");
	sub = opendir(dir);
	if (!sub)
		return;
	while ((d = readdir(sub))) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		clear(path);
	}
	closedir(sub);
	for (long long end = now_ms() + patience_ms; now_ms() < end; nap()) {
		int err;

		snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
		err = get_path(path, buf, sizeof(buf));
		/* a threaded group tells only its threads, which will do */
		if (err == -EOPNOTSUPP) {
			snprintf(path, sizeof(path), "%s/cgroup.threads", dir);
			err = get_path(path, buf, sizeof(buf));
		}
		if (!err)
			for (p = strtok_r(buf, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
				if (atoi(p) > 1)
					kill(atoi(p), SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (rmdir(dir) == 0 || errno == ENOENT)
			return;
	}
	printf("# cannot remove %s\n", dir);
}

static void kill_children(void)
{
	char path[64], buf[4096], *p, *save;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getpid(), getpid());
	while (!get_path(path, buf, sizeof(buf)) && buf[0]) {
		for (p = strtok_r(buf, " \n", &save); p; p = strtok_r(NULL, " \n", &save)) {
			kill(atoi(p), SIGKILL);
			waitpid(atoi(p), NULL, 0);
		}
	}
}

/*
 * Run one case in a process of its own, with the group "t" made for it. It is
 * given up when it did not come a step further for longer than any of its waits.
 */
static bool run(const struct test *t)
{
	long long end = 0;
	long beat = -1;
	int status = -1;
	pid_t pid;

	memset(sh, 0, sizeof(*sh));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		case_arg = t->arg;
		make_group("t");
		t->fn();
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (sh->beat != beat) {
			beat = sh->beat;
			end = now_ms() + patience_ms + 60000;
		} else if (now_ms() > end) {
			printf("# given up\n");
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			status = -1;
			break;
		}
		nap();
	}
	clear(path_in(signal_root, "t", ""));
	if (freezer_root != signal_root)
		clear(path_in(freezer_root, "t", ""));
	/* what a case started outside of its group was handed to this process */
	kill_children();
	return status == 0;
}

/* ktest slow FIFO: a task that freezes only after a line came out of FIFO */
static int slow(const char *fifo)
{
	struct held h = held_start(HELD_WRITE, NULL);
	char buf[16];
	int fd;

	printf("%d\n", h.pid);
	fflush(stdout);
	fclose(stdout);
	fd = open(fifo, O_RDONLY);
	REQUIRE(fd >= 0 && read(fd, buf, sizeof(buf)) > 0);
	held_let_go(&h);
	waitpid(h.pid, NULL, 0);
	return 0;
}

/* Run the cases of @set, and count those that were run and those that failed. */
static void run_set(const struct test *tests, const char *set, int *ran, int *bad)
{
	for (const struct test *t = tests; t->name; t++) {
		long long start = now_ms();
		bool ok;

		if (strcmp(t->set, set) || (t->only && t->only != (v2 ? V2 : V1)))
			continue;
		ok = run(t);
		++*ran;
		*bad += !ok;
		printf("%s %s: %s (%.1f s)\n", ok ? "ok" : "not ok", t->set, t->name,
		       (now_ms() - start) / 1000.0);
	}
}

int main(int argc, char **argv)
{
	const struct test *const files[] = {
		file_cases, reach_cases, member_cases, permission_cases, matrix_cases(),
		race_cases, frozen_cases, freezer_cases, suspend_cases, hour_cases,
	};
	struct statfs fs;
	int opt, ran = 0, bad = 0;

	if (argc > 1 && !strcmp(argv[1], "--exec-loop"))
		return exec_loop();
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED)
		return 2;
	if (argc == 3 && !strcmp(argv[1], "slow"))
		return slow(argv[2]);
	while ((opt = getopt(argc, argv, "n:s:w:")) != -1) {
		if (opt == 'n')
			rounds = atoi(optarg);
		else if (opt == 's')
			freezer_root = optarg;
		else if (opt == 'w')
			patience_ms = atoi(optarg) * 1000;
		else
			return 2;
	}
	if (argc - optind < 2)
		return 2;
	signal_root = argv[optind];
	if (!freezer_root)
		freezer_root = signal_root;
	if (statfs(signal_root, &fs))
		return 2;
	v2 = fs.f_type == CGROUP2_SUPER_MAGIC;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int s = optind + 1; s < argc; s++)
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
			run_set(files[i], argv[s], &ran, &bad);
	return !ran || bad;
}
