/* SPDX-License-Identifier: GPL-2.0-or-later */
/* freeze.c - cptool freeze */
#include "cli.h"

static const char help[] =
	"[OPTION]… GROUP\n"
	"\n"
	"Make everything in GROUP, and in the groups below it, stand still; return when it does.\n"
	"\n"
	"      --timeout SECONDS  how long it may take (default: 10); then it runs on\n"
	"  -v, --verbose          tell more; twice: tell all\n";

static const struct option options[] = {
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	COMMON_LONG,
	END_LONG
};

int verb_freeze(int argc, char **argv)
{
	struct cpt_err err = { 0 };
	const char *group;
	int deadline_ms = 10000;
	const struct options own = { "freeze", help, "", options, NULL };
	int status;

	while (own_option(&own, argc, argv, &status) == OPT_TIMEOUT) {
		deadline_ms = seconds(optarg);
		if (!deadline_ms)
			return usage_error("freeze", "freeze: --timeout %s is no number of seconds", optarg);
	}
	if (status >= 0)
		return status;
	group = one_group("freeze", argc, argv);
	if (!group)
		return EXIT_USAGE;
	return cpt_group_freeze(group, deadline_ms, &err) ? failed("freeze", &err) : EXIT_FINE;
}
