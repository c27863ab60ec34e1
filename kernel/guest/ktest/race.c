// SPDX-License-Identifier: GPL-2.0-or-later
/* signal.kill against processes that fork all the while. */
#include "ktest.h"

static void tell(int sig)
{
	(void)sig;
	told = 1;
}

static void race(int sig)
{
	int round, full = 0;

	signal(SIGCHLD, SIG_IGN);
	signal(12, tell);
	signal(64, tell);
	for (round = 0; round < rounds; round++) {
		long before;

		spawn("t", chain);
		spawn("t", chain);
		spawn("t", brood);
		before = sh->n;
		/* they must be at it; a brood's dozen is soon complete */
		REQUIRE(WAIT_UNTIL(sh->n > before + 3));
		full += members("t") > 3;
		REQUIRE(group_signal("t", sig) == 0);
		if (sig == SIGSTOP) {
			REQUIRE(WAIT_UNTIL(all_stopped("t")), "round %d", round);
			before = sh->n;
			let_time_pass(2);
			REQUIRE(sh->n == before && all_stopped("t"), "round %d", round);
			REQUIRE(group_signal("t", 9) == 0);
		}
		REQUIRE(WAIT_UNTIL(members("t") == 0), "round %d: %d escaped", round, members("t"));
		if (round % 100 == 99)
			printf("# signal %d: %d rounds so far\n", sig, round + 1);
	}
	printf("# signal %d: %d rounds, %d of them with more than three processes, none escaped\n",
	       sig, round, full);
}

static void t_race_1(void) { race(1); }
static void t_race_9(void) { race(9); }
static void t_race_12(void) { race(12); }
static void t_race_15(void) { race(15); }
static void t_race_19(void) { race(19); }
static void t_race_64(void) { race(64); }

const struct test race_cases[] = {
	CASE("race", "fork against 1", t_race_1),
	CASE("race", "fork against 9", t_race_9),
	CASE("race", "fork against a handled 12", t_race_12),
	CASE("race", "fork against 15", t_race_15),
	CASE("race", "fork against 19", t_race_19),
	CASE("race", "fork against a handled 64", t_race_64),

	/* what loses some if signal.kill does less than it does */
	CASE("race-handled", "fork against a handled 12", t_race_12),
	{ }
};
