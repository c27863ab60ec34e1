/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check.c - cptool check */
#include "cli.h"

static const char help[] =
	"[OPTION]… [GROUP]\n"
	"\n"
	"Without GROUP: tell which of the kernel features that cptool uses are here.\n"
	"With GROUP: look for whatever a dump would refuse, a line for each; exit status 1 if\n"
	"there is any; otherwise, how long a dump -R will stop it for, estimated. The group stands\n"
	"still for a moment, as in a dump, and nothing is written.\n"
	"\n"
	"      --tcp-established, --tcp-close, --shell-job, --ext-unix-sk\n"
	"                         as for dump\n"
	"      --timeout SECONDS  how long the group may take to freeze (default: 10)\n"
	"  -v, --verbose          tell more; twice: tell all\n";

static const struct option options[] = {
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	PERMIT_LONG,
	COMMON_LONG,
	END_LONG
};

static unsigned long long up_to_ms(uint64_t ns)
{
	return (ns + 999999) / 1000000;
}

int verb_check(int argc, char **argv)
{
	struct cpt_dump_options opt = { .refused = to_stderr };
	struct cpt_forecast pause;
	struct cpt_err err = { 0 };
	const struct options own = { "check", help, "", options, &opt.permit };
	int status;

	while (own_option(&own, argc, argv, &status) == OPT_TIMEOUT) {
		opt.deadline_ms = seconds(optarg);
		if (!opt.deadline_ms)
			return usage_error("check", "check: --timeout %s is no number of seconds", optarg);
	}
	if (status >= 0)
		return status;
	if (optind == argc) {
		if (cpt_check_host(to_stdout, &err)) {
			fflush(stdout);
			return failed("check", &err);
		}
		return flush();
	}
	opt.group = one_group("check", argc, argv);
	if (!opt.group)
		return EXIT_USAGE;
	if (cpt_check(&opt, &pause, &err))
		return failed("check", &err);
	printf("%s: nothing in it hinders a dump\n", opt.group);
	printf("%s: with -R it will stand still for about %llu ms, for about %llu ms if it writes to all its memory all the time (estimated)\n",
	       opt.group, up_to_ms(pause.calm_ns), up_to_ms(pause.busy_ns));
	return flush();
}
