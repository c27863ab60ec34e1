/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kill.c - cptool kill */
#include "cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"[OPTION]… GROUP\n"
	"\n"
	"Send a signal to every process of GROUP and of the groups below it, frozen ones too.\n"
	"With KILL, which is the default, it returns when nobody is left.\n"
	"\n"
	"  -s, --signal SIGNAL    a number from 1 to 64, or a name: KILL, SIGTERM, RTMIN+1\n"
	"  -v, --verbose          tell more; twice: tell all\n";

static const struct option options[] = {
	{ "signal", required_argument, NULL, 's' },
	COMMON_LONG,
	END_LONG
};

/* "9" KILL, "SIGTERM", "RTMIN+3", "RTMAX-1"; 0: none */
static int signal_of(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end != text)
		return *end == 0 && n >= 1 && n <= 64 ? (int)n : 0;
	if (!strncmp(text, "SIG", 3))
		text += 3;
	if (!strncmp(text, "RTMIN", 5) || !strncmp(text, "RTMAX", 5)) {
		int base = text[4] == 'N' ? SIGRTMIN : SIGRTMAX;

		if (!text[5])
			return base;
		n = strtol(text + 5, &end, 10);
		if (*end || (text[5] != '+' && text[5] != '-'))
			return 0;
		return base + n >= SIGRTMIN && base + n <= SIGRTMAX ? (int)(base + n) : 0;
	}
	for (int s = 1; s < 32; s++) {
		const char *name = sigabbrev_np(s);

		if (name && !strcmp(text, name))
			return s;
	}
	return 0;
}

int verb_kill(int argc, char **argv)
{
	struct cpt_err err = { 0 };
	const char *group;
	int sig = SIGKILL;
	const struct options own = { "kill", help, "s:", options, NULL };
	int status;

	while (own_option(&own, argc, argv, &status) == 's') {
		sig = signal_of(optarg);
		if (!sig)
			return usage_error("kill", "kill: no such signal: %s", optarg);
	}
	if (status >= 0)
		return status;
	group = one_group("kill", argc, argv);
	if (!group)
		return EXIT_USAGE;
	return cpt_group_kill(group, sig, &err) ? failed("kill", &err) : EXIT_FINE;
}
