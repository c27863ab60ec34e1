/* SPDX-License-Identifier: GPL-2.0-or-later */
/* freeze.c - mountinfo and lists of processes as hostile text */
#include "unit.h"

#include "freeze/internal.h"

#include <stdio.h>
#include <stdlib.h>

static struct cpt_cgmount m;

static void finds_v2(void **state)
{
	assert_true(cpt_mountinfo_line("41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw", &m));
	assert_int_equal(m.freezer, CPT_FREEZER_V2);
	assert_int_equal(m.id, 41);
	assert_string_equal(m.root, "/");
	assert_string_equal(m.point, "/sys/fs/cgroup/unified");
}

static void finds_v1_among_controllers(void **state)
{
	assert_true(cpt_mountinfo_line("37 31 0:34 /a/b /c rw shared:7 master:1 - cgroup freezer rw,freezer,signal", &m));
	assert_int_equal(m.freezer, CPT_FREEZER_V1);
	assert_string_equal(m.root, "/a/b");
	assert_true(cpt_mountinfo_line("37 31 0:34 / /c rw - cgroup x rw,signal,freezer", &m));
	assert_false(cpt_mountinfo_line("37 31 0:34 / /c rw - cgroup x rw,cpu", &m));
	assert_false(cpt_mountinfo_line("37 31 0:34 / /c rw - cgroup x rw,freezer2,xfreezer", &m));
	assert_false(cpt_mountinfo_line("37 31 0:34 / /freezer rw,freezer - cgroup freezer rw", &m));
	assert_false(cpt_mountinfo_line("37 31 0:34 / /c rw - tmpfs tmpfs rw,freezer", &m));
}

static void undoes_escapes(void **state)
{
	assert_true(cpt_mountinfo_line("1 2 0:3 / /a\\040b\\134\\011\\012c rw - cgroup2 n rw", &m));
	assert_string_equal(m.point, "/a b\\\t\nc");
	assert_true(cpt_mountinfo_line("1 2 0:3 / /a\\04 rw - cgroup2 n rw", &m));
	assert_string_equal(m.point, "/a\\04");
	assert_true(cpt_mountinfo_line("1 2 0:3 / /a\\ rw - cgroup2 n rw", &m));
	assert_string_equal(m.point, "/a\\");
	assert_true(cpt_mountinfo_line("1 2 0:3 / /a\\999 rw - cgroup2 n rw", &m));
	assert_false(cpt_mountinfo_line("1 2 0:3 / /a\\000b rw - cgroup2 n rw", &m));
}

static void a_dash_may_be_a_name(void **state)
{
	/* mounted at "-", tagged, source "-": only the lone field after the tags ends them */
	assert_true(cpt_mountinfo_line("1 2 0:3 / /- rw shared:1 - cgroup2 - rw", &m));
	assert_string_equal(m.point, "/-");
}

static void refuses_torn_lines(void **state)
{
	static const char whole[] = "37 31 0:34 /a /c rw shared:7 - cgroup freezer rw,freezer";
	char line[sizeof(whole)];

	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		memcpy(line, whole, n);
		line[n] = 0;
		assert_false(cpt_mountinfo_line(line, &m));
	}
	assert_true(cpt_mountinfo_line(whole, &m));
	assert_false(cpt_mountinfo_line("-", &m));
	assert_false(cpt_mountinfo_line("99999999999999999999999 1 0:1 / /a rw - cgroup2 n rw", &m));
	assert_false(cpt_mountinfo_line("1 2 0:3 root /a rw - cgroup2 n rw", &m));
}

static void refuses_what_does_not_fit(void **state)
{
	static char line[20000];
	int n = snprintf(line, sizeof(line), "1 2 0:3 / /");

	memset(line + n, 'x', 4095);
	strcpy(line + n + 4095, " rw - cgroup2 n rw");
	assert_false(cpt_mountinfo_line(line, &m));
	strcpy(line + n + 4094, " rw - cgroup2 n rw");
	assert_true(cpt_mountinfo_line(line, &m));
	assert_int_equal(strlen(m.point), 4095);
}

static void reads_lists(void **state)
{
	pid_t *pids;
	unsigned n;

	ok(cpt_pids_parse("", &pids, &n, err));
	assert_int_equal(n, 0);
	free(pids);
	ok(cpt_pids_parse("3\n7\n2147483647\n", &pids, &n, err));
	assert_int_equal(n, 3);
	assert_int_equal(pids[2], 2147483647);
	free(pids);
	/* v1 neither sorts nor says each once */
	ok(cpt_pids_parse("7\n3\n7\n5\n3\n", &pids, &n, err));
	assert_int_equal(n, 3);
	assert_int_equal(pids[0], 3);
	assert_int_equal(pids[1], 5);
	assert_int_equal(pids[2], 7);
	free(pids);
}

static void refuses_what_is_no_list(void **state)
{
	pid_t *pids;
	unsigned n;

	fails(cpt_pids_parse("3\n4", &pids, &n, err), CPT_SYSTEM, "no number");
	fails(cpt_pids_parse("3\nx\n", &pids, &n, err), CPT_SYSTEM, "no number");
	fails(cpt_pids_parse("\n", &pids, &n, err), CPT_SYSTEM, "no number");
	fails(cpt_pids_parse("-3\n", &pids, &n, err), CPT_SYSTEM, "no number");
	fails(cpt_pids_parse("2147483648\n", &pids, &n, err), CPT_SYSTEM, "no number");
	fails(cpt_pids_parse("99999999999999999999\n", &pids, &n, err), CPT_SYSTEM, "no number");
	fails(cpt_pids_parse("3\n0\n", &pids, &n, err), CPT_UNSUPPORTED, "pid namespace");
}

static void pauses_grow_and_stay_short(void **state)
{
	struct cpt_pause p = { 0 };
	unsigned last = 0, total = 0;

	for (unsigned i = 0; i < 100; i++) {
		unsigned us = cpt_pause_next(&p);

		assert_true(us >= last && us <= CPT_PAUSE_MAX_US);
		if (!last)
			assert_true(us <= 20);
		last = us;
		total += us;
	}
	assert_int_equal(last, CPT_PAUSE_MAX_US);
	assert_true(total > 0);
}

static void refuses_folders_that_are_no_groups(void **state)
{
	struct cpt_group g;

	if (!cpt_freezer_mounted(CPT_FREEZER_V1) && !cpt_freezer_mounted(CPT_FREEZER_V2))
		skip();
	fails(cpt_group_open("", &g, err), CPT_USAGE, "no group");
	fails(cpt_group_open("/proc/self", &g, err), CPT_USAGE, "no cgroup");
	fails(cpt_group_open("/nowhere/at/all", &g, err), CPT_SYSTEM, "no such group");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_v2),
		cmocka_unit_test(finds_v1_among_controllers),
		cmocka_unit_test(undoes_escapes),
		cmocka_unit_test(a_dash_may_be_a_name),
		cmocka_unit_test(refuses_torn_lines),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(reads_lists),
		cmocka_unit_test(refuses_what_is_no_list),
		cmocka_unit_test(pauses_grow_and_stay_short),
		cmocka_unit_test(refuses_folders_that_are_no_groups),
	};

	return cmocka_run_group_tests_name("freeze", tests, NULL, NULL);
}
