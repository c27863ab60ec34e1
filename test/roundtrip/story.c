/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * story.c - the program "stories": lists them, or tells one
 *
 *	stories --list
 *	stories NAME FOLDER [--spoil]
 *
 * Files in FOLDER: "ready" appears when the story may be dumped, "go" is made
 * by the driver after the restore, "result" holds "pass", "skip WHY" or
 * "fail WHERE". Nothing but files ties the story to the driver, so nothing has
 * to be kept alive outside the group for it.
 */
#include "story.h"

#include <sys/stat.h>
#include <sys/wait.h>

static struct cpt_story *stories;
static const char *folder;
static pid_t teller;
static bool spoil;
static int64_t left_at, back_at;

void cpt_story_add(struct cpt_story *story)
{
	struct cpt_story **at = &stories;

	while (*at && strcmp((*at)->name, story->name) < 0)
		at = &(*at)->next;
	story->next = *at;
	*at = story;
}

static void path_of(char ret[4096], const char *name)
{
	snprintf(ret, 4096, "%s/%s", folder, name);
}

static void put(const char *name, const char *text)
{
	char tmp[4096 + 16], path[4096];
	int fd;

	path_of(path, name);
	snprintf(tmp, sizeof(tmp), "%s.%d", path, cpt_gettid());
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
	if (rename(tmp, path))
		abort();
}

void mark(const char *name)
{
	put(name, "");
}

bool marked(const char *name)
{
	char path[4096];

	path_of(path, name);
	return access(path, F_OK) == 0;
}

void nap(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* long enough for any machine, and shorter than the driver's patience */
static void await_more(int64_t since)
{
	expect(now_ns(CLOCK_MONOTONIC) - since < 15 * 1000000000LL);
	nap(1);
}

void await(const char *name)
{
	while (!marked(name))
		nap(1);
}

int64_t gap_ns(void)
{
	return back_at - left_at;
}

void checkpoint_here(void)
{
	left_at = now_ns(CLOCK_MONOTONIC);
	mark("ready");
	await("go");
	back_at = now_ns(CLOCK_MONOTONIC);
}

void after_checkpoint(void)
{
	await("go");
}

bool spoiled(void)
{
	return spoil;
}

void cpt_story_fail(const char *file, int line, const char *what, long long got,
		    long long wanted, bool numbers)
{
	const char *base = strrchr(file, '/');
	char text[1024];

	base = base ? base + 1 : file;
	if (numbers)
		snprintf(text, sizeof(text), "fail %s:%d: %s: %lld is not %lld\n",
			 base, line, what, got, wanted);
	else
		snprintf(text, sizeof(text), "fail %s:%d: %s (errno now %d)\n",
			 base, line, what, errno);
	dprintf(2, "pid %d: %s", getpid(), text);
	if (!marked("result"))
		put("result", text);
	_exit(1);
}

void skip(const char *why)
{
	char text[1024];

	snprintf(text, sizeof(text), "skip %s\n", why);
	put("result", text);
	_exit(0);
}

pid_t branch(void (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	expect(pid >= 0);
	if (!pid) {
		fn(arg);
		_exit(0);
	}
	return pid;
}

void join(pid_t pid)
{
	int status = -1;

	expect_eq(waitpid(pid, &status, 0), pid);
	expect_eq(status, 0);
}

void await_blocked(pid_t pid, pid_t tid, long nr)
{
	char path[128], text[256] = "";
	int64_t since = now_ns(CLOCK_MONOTONIC);

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n;

		expect(fd >= 0);
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		if (n > 0) {
			long now = strtol(text, NULL, 10);

			text[n] = 0;
			if (text[0] != 'r' && (now == nr || now == SYS_restart_syscall))
				return;
		}
		await_more(since);
	}
}

void await_state(pid_t pid, char state)
{
	int64_t since = now_ns(CLOCK_MONOTONIC);
	char path[64], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (;;) {
		at = strrchr(slurp(path), ')');
		expect(at);
		if (at[2] == state)
			return;
		await_more(since);
	}
}

char *slurp(const char *path)
{
	static __thread char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	expect(fd >= 0);
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	text[len] = 0;
	return text;
}

char *status_line(const char *pid, const char *key)
{
	char path[64], want[64], *at, *end;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	snprintf(want, sizeof(want), "\n%s:\t", key);
	at = strstr(slurp(path), want);
	expect(at);
	at += strlen(want);
	end = strchr(at, '\n');
	if (end)
		*end = 0;
	return at;
}

long long fdinfo_line(int fd, const char *key, int base)
{
	char path[64], want[64], *text, *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	snprintf(want, sizeof(want), "%s:", key);
	text = slurp(path);
	at = strstr(text, want);
	expect(at);
	return (long long)strtoull(at + strlen(want), NULL, base);
}

int main(int argc, char **argv)
{
	struct cpt_story *s;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (s = stories; s; s = s->next)
			printf("%s\t%s\t%s\n", s->name, s->says, s->refused ? s->refused : "");
		return 0;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: stories --list | stories NAME FOLDER [--spoil]\n");
		return 2;
	}
	folder = argv[2];
	spoil = argc > 3 && !strcmp(argv[3], "--spoil");
	teller = getpid();
	for (s = stories; s; s = s->next)
		if (!strcmp(s->name, argv[1]))
			break;
	if (!s) {
		fprintf(stderr, "stories: no story is called %s\n", argv[1]);
		return 2;
	}
	umask(022);
	s->tell();
	if (getpid() == teller && !marked("result"))
		put("result", "pass\n");
	return 0;
}
