/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guard.c - the undo guard, in a folder of its own */
#include "unit.h"

#include "base/guard.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[64];

static int setup(void **state)
{
	strcpy(dir, "/tmp/cptool-unit-XXXXXX");
	return !mkdtemp(dir);
}

static int teardown(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static const char *at(const char *name)
{
	static char path[4][128];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void put(const char *name, const char *text)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void has(const char *name, const char *text)
{
	struct cpt_buf buf = { 0 };

	ok(cpt_read_at(AT_FDCWD, at(name), &buf, err));
	assert_string_equal(buf.data, text);
	free(buf.data);
}

static bool there(const char *name)
{
	return !access(at(name), F_OK);
}

/* what both stories change, with how it is undone told first */
static void change(struct cpt_guard *g)
{
	put("state", "THAWED");
	put("old", "old");
	ok(cpt_guard_add(g, CPT_UNDO_WRITE, at("state"), "thawed", err));
	put("state", "FROZEN");
	ok(cpt_guard_add(g, CPT_UNDO_RMDIR, at("d"), NULL, err));
	assert_int_equal(mkdir(at("d"), 0700), 0);
	ok(cpt_guard_add(g, CPT_UNDO_RMDIR, at("d/e"), NULL, err));
	assert_int_equal(mkdir(at("d/e"), 0700), 0);
	ok(cpt_guard_add(g, CPT_UNDO_UNLINK, at("d/e/f"), NULL, err));
	put("d/e/f", "");
	ok(cpt_guard_add(g, CPT_UNDO_RENAME, at("aside"), at("old"), err));
	assert_int_equal(rename(at("old"), at("aside")), 0);
	ok(cpt_guard_add(g, CPT_UNDO_UNLINK, at("never-made"), NULL, err));
}

static void is_undone(void)
{
	has("state", "thawed");
	has("old", "old");
	assert_false(there("aside"));
	assert_false(there("d"));
}

static void undoes_last_first(void **state)
{
	struct cpt_guard g;

	ok(cpt_guard_start(&g, err));
	change(&g);
	cpt_guard_undo(&g);
	is_undone();
	assert_int_equal(g.pipe, -1);
	cpt_guard_undo(&g);		/* nothing is armed: nothing happens */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);	/* reaped */
}

static void forgets_after_success(void **state)
{
	struct cpt_guard g;

	ok(cpt_guard_start(&g, err));
	change(&g);
	cpt_guard_success(&g);
	has("state", "FROZEN");
	assert_true(there("d/e/f") && !there("old"));
	assert_false(there("aside"));	/* replaced for good */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static bool thawed(void)
{
	struct cpt_buf buf = { 0 };
	struct cpt_err err;
	bool is = !cpt_read_at(AT_FDCWD, at("state"), &buf, &err) && !strcmp(buf.data, "thawed");

	free(buf.data);
	return is;
}

/* run @story in a child that ends somehow; returns when its guard has ended too */
static void die(void (*story)(struct cpt_guard *g))
{
	int lives[2], st;
	pid_t pid;

	assert_int_equal(pipe(lives), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct cpt_guard g;
		struct cpt_err err;

		close(lives[0]);
		if (cpt_guard_start(&g, &err))
			_exit(99);
		/* the guard keeps no descriptor of ours: this one tells of our own end */
		change(&g);
		story(&g);
		_exit(98);
	}
	close(lives[1]);
	assert_int_equal(read(lives[0], &st, 1), 0);
	close(lives[0]);
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_false(WIFEXITED(st) && WEXITSTATUS(st) >= 98);
	/* what was told first is undone last */
	for (unsigned i = 0; i < 10000 && !thawed(); i++)
		cpt_sleep_us(1000);
}

static void by_kill(struct cpt_guard *g)
{
	kill(getpid(), SIGKILL);
}

static void by_abort(struct cpt_guard *g)
{
	close(2);
	abort();
}

static void by_exit(struct cpt_guard *g)
{
	_exit(3);
}

/* a signal to the whole group, as Ctrl-C sends it */
static void by_group(struct cpt_guard *g)
{
	setpgid(0, 0);
	kill(g->pid, SIGTERM);
	kill(g->pid, SIGINT);
	kill(g->pid, SIGHUP);
	kill(0, SIGTERM);
	pause();
}

/* a child that lives on and has inherited everything */
static int child_pipe[2];
static void by_kill_with_child(struct cpt_guard *g)
{
	if (fork() == 0) {
		char c;

		for (int fd = 3; fd < 64; fd++)		/* all but the guard's and the story's */
			if (fd != g->pipe && fd != child_pipe[0])
				close(fd);
		close(child_pipe[1]);
		(void)!read(child_pipe[0], &c, 1);
		_exit(0);
	}
	kill(getpid(), SIGKILL);
}

static void undoes_after_kill(void **state)
{
	die(by_kill);
	is_undone();
}

static void undoes_after_abort(void **state)
{
	die(by_abort);
	is_undone();
}

static void undoes_after_exit(void **state)
{
	die(by_exit);
	is_undone();
}

static void ignores_signals(void **state)
{
	die(by_group);
	is_undone();
}

static void an_heir_of_the_pipe_does_not_matter(void **state)
{
	assert_int_equal(pipe(child_pipe), 0);
	die(by_kill_with_child);
	is_undone();
	close(child_pipe[0]);
	close(child_pipe[1]);
}

static void holds_many(void **state)
{
	struct cpt_guard g;
	char name[32];

	ok(cpt_guard_start(&g, err));
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ok(cpt_guard_add(&g, CPT_UNDO_UNLINK, at(name), NULL, err));
		if (i % 100 == 0)
			put(name, "");
	}
	cpt_guard_undo(&g);
	for (unsigned i = 0; i < 5000; i += 100) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_false(there(name));
	}
}

static void refuses_too_much(void **state)
{
	struct cpt_guard g;
	char name[4200];
	unsigned n = 0;
	struct cpt_err full;

	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[4100] = 0;
	ok(cpt_guard_start(&g, err));
	fails(cpt_guard_add(&g, CPT_UNDO_UNLINK, name, NULL, err), CPT_SYSTEM, "name too long");
	name[4000] = 0;
	while (!cpt_guard_add(&g, CPT_UNDO_UNLINK, name, NULL, &full))
		n++;
	assert_true(n > 1000);
	assert_int_equal(full.sys, ENOSPC);
	cpt_guard_undo(&g);
}

static void interrupt_undoes(void **state)
{
	struct cpt_guard g;

	assert_true(cpt_interrupt());		/* nothing is under way */
	ok(cpt_guard_start(&g, err));
	change(&g);
	assert_true(cpt_interrupt());
	is_undone();
	cpt_guard_undo(&g);
}

static void interrupt_can_be_too_late(void **state)
{
	struct cpt_guard g;

	ok(cpt_guard_start(&g, err));
	change(&g);
	cpt_guard_no_return(&g);
	assert_false(cpt_interrupt());
	has("state", "FROZEN");
	cpt_guard_success(&g);
	assert_false(cpt_interrupt());
	has("state", "FROZEN");
	ok(cpt_guard_start(&g, err));		/* the next call begins anew */
	assert_true(cpt_interrupt());
	cpt_guard_undo(&g);
}

#define guard_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		guard_test(undoes_last_first),
		guard_test(forgets_after_success),
		guard_test(undoes_after_kill),
		guard_test(undoes_after_abort),
		guard_test(undoes_after_exit),
		guard_test(ignores_signals),
		guard_test(an_heir_of_the_pipe_does_not_matter),
		guard_test(holds_many),
		guard_test(refuses_too_much),
		guard_test(interrupt_undoes),
		guard_test(interrupt_can_be_too_late),
	};

	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
