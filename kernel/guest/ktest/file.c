// SPDX-License-Identifier: GPL-2.0-or-later
/* signal.kill as a file: what it accepts, and what it looks like. */
#include "ktest.h"

static void t_values(void)
{
	static const char *const bad[] = {
		"0", "65", "-1", "text", "\n", " ", "9x", "x9", "0x9", "9 9", "9.0",
		"99999999999999999999", "4294967305", "1000", "KILL", "SIGKILL", "+-9",
	};
	pid_t pid = spawn("t", NULL);
	int fd;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REQUIRE(sigkill_file("t", bad[i]) == -EINVAL, "value \"%s\"", bad[i]);
	/* a write of nothing never reaches the file's method, in any cgroup file */
	fd = open(path_in(signal_root, "t", "signal.kill"), O_WRONLY);
	REQUIRE(fd >= 0);
	REQUIRE(write(fd, "", 0) == 0);
	close(fd);
	REQUIRE(alive(pid) && !pending(pid, 9) && task_state(pid) == 'S');
	/* blanks around it are what echo and others write */
	REQUIRE(sigkill_file("t", " 9\n") == 0);
	require_killed(pid, 9);
}

static void t_file(void)
{
	struct stat st;
	const char *file = path_in(signal_root, "t", "signal.kill");
	char buf[16];

	REQUIRE(stat(file, &st) == 0);
	REQUIRE((st.st_mode & 07777) == 0200, "mode %o", st.st_mode);
	REQUIRE(get_path(file, buf, sizeof(buf)) == -EINVAL);
	REQUIRE(stat(path_in(signal_root, ".", "signal.kill"), &st) == -1 && errno == ENOENT);
}

/* nothing was enabled since the machine was booted, and nothing has to be */
static void t_not_enabled(void)
{
	char buf[256];
	struct stat st;

	REQUIRE(get_path(path_in(signal_root, ".", "cgroup.subtree_control"), buf, sizeof(buf)) == 0);
	REQUIRE(buf[0] == 0 || !strcmp(buf, "\n"), "%s", buf);
	REQUIRE(get_path(path_in(signal_root, ".", "cgroup.controllers"), buf, sizeof(buf)) == 0);
	REQUIRE(!strstr(buf, "signal"), "%s", buf);
	make_group("t/sub");
	REQUIRE(stat(path_in(signal_root, "t", "signal.kill"), &st) == 0);
	REQUIRE(stat(path_in(signal_root, "t/sub", "signal.kill"), &st) == 0);
}

static void t_empty(void)
{
	static const int sigs[] = { 1, 9, 15, 19, 64 };

	for (size_t i = 0; i < 5; i++)
		REQUIRE(group_signal("t", sigs[i]) == 0);
	make_group("t/sub");
	REQUIRE(group_signal("t", 9) == 0);
}

static void t_removed(void)
{
	int fd;

	make_group("t/sub");
	fd = open(path_in(signal_root, "t/sub", "signal.kill"), O_WRONLY);
	REQUIRE(fd >= 0);
	REQUIRE(rmdir(path_in(signal_root, "t/sub", "")) == 0);
	REQUIRE(write(fd, "9", 1) == -1 && (errno == ENODEV || errno == ENOENT));
}

const struct test file_cases[] = {
	CASE("signal", "signal.kill refuses 0, 65, -1, text and nothing", t_values),
	CASE("signal", "signal.kill is write-only and not in the root", t_file),
	CASE("signal", "signal.kill is there without any subtree_control", t_not_enabled, .only = V2),
	CASE("signal", "an empty group takes every signal", t_empty),
	CASE("signal", "a removed group takes none", t_removed),
	{ }
};
