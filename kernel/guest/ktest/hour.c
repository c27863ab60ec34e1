// SPDX-License-Identifier: GPL-2.0-or-later
/* An hour's worth of freezing, signalling and thawing. */
#include "ktest.h"

static void forks_and_handles(void)
{
	handle(64);
	forks_forever();
}

/*
 * An hour of one freeze, signal and thaw a second is 3600 of them; with -n
 * fewer. The group forks all the while.
 */
static void t_hour(void)
{
	pid_t pid[3];
	long n;
	int cycles = rounds > 1000 ? 3600 : rounds, got = 0;

	for (int i = 0; i < 3; i++)
		pid[i] = spawn("t", forks_and_handles);
	for (int i = 0; i < cycles; i++) {
		n = sh->n;
		REQUIRE(WAIT_UNTIL(sh->n > n), "cycle %d: no forks", i);
		freeze_wait("t");
		n = sh->n;
		REQUIRE(group_signal("t", 64) == 0);
		REQUIRE(is_frozen("t") && sh->n == n, "cycle %d: not at rest", i);
		thaw("t");
		/* each parent once, and the children that were there */
		REQUIRE(WAIT_UNTIL(sh->got[64] >= got + 3), "cycle %d: signal lost", i);
		got = sh->got[64];
		REQUIRE(group_signal("t", 64) == 0);
		REQUIRE(WAIT_UNTIL(sh->got[64] >= got + 3), "cycle %d: signal lost", i);
		got = sh->got[64];
	}
	REQUIRE(group_signal("t", 9) == 0);
	for (int i = 0; i < 3; i++)
		require_killed(pid[i], 9);
	REQUIRE(WAIT_UNTIL(members("t") == 0));
	printf("# %d cycles, %ld forks, %d signals handled\n", cycles, sh->n, got);
}

const struct test hour_cases[] = {
	CASE("hour", "an hour of freeze, signal and thaw on a forking group", t_hour),
	{ }
};
