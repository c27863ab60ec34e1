/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thaw.c - cptool thaw */
#include "cli.h"

static const char help[] =
	"[OPTION]… GROUP\n"
	"\n"
	"Let GROUP run, whoever froze it. No error when it runs already.\n"
	"\n"
	"  -v, --verbose          tell more; twice: tell all\n";

int verb_thaw(int argc, char **argv)
{
	static const struct option options[] = { COMMON_LONG, END_LONG };
	const struct options own = { "thaw", help, "", options, NULL };
	struct cpt_err err = { 0 };
	const char *group;
	int status;

	own_option(&own, argc, argv, &status);
	if (status >= 0)
		return status;
	group = one_group("thaw", argc, argv);
	if (!group)
		return EXIT_USAGE;
	return cpt_group_thaw(group, &err) ? failed("thaw", &err) : EXIT_FINE;
}
