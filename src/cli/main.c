/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - the program cptool: finds the verb */
#include "cli.h"
#include "config.h"

#include <signal.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *line;
} verbs[] = {
	{ "dump",    verb_dump,    "write a group into an image, and end it (or -R: let it run on)" },
	{ "restore", verb_restore, "make the group of an image run again" },
	{ "check",   verb_check,   "what this host can do; what in a group could not be dumped" },
	{ "freeze",  verb_freeze,  "make a group stand still" },
	{ "thaw",    verb_thaw,    "let it run on" },
	{ "status",  verb_status,  "tell how a group stands" },
	{ "kill",    verb_kill,    "send a signal to everybody in a group" },
	{ "merge",   verb_merge,   "fold an increment and what it builds on into one image" },
	{ "show",    verb_show,    "describe an image" },
	{ "verify",  verb_verify,  "check an image from end to end" },
};
#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

static void help(void)
{
	puts("usage: cptool [-v] VERB [OPTION]… [GROUP|IMAGE]\n"
	     "\n"
	     "Checkpoint and restore everything that runs in a Linux cgroup.\n");
	for (unsigned i = 0; i < NVERBS; i++)
		printf("  %-8s %s\n", verbs[i].name, verbs[i].line);
	puts("\n"
	     "  -v, --verbose   tell more; twice: tell all\n"
	     "      --help      this, or after a verb: its options\n"
	     "      --version   tell the version\n"
	     "\n"
	     "GROUP is the folder of a cgroup (/sys/fs/cgroup/…) or a name such as system.slice/redis.service.\n"
	     "IMAGE is a file, or - for standard input or output; by default checkpoint.cpt.");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_LONG,
		{ "version", no_argument, NULL, 'V' },
		END_LONG
	};
	int c;

	cpt_set_log(CPT_LOG_WARN, to_stderr);
	signal(SIGPIPE, SIG_IGN);	/* a closed pipe is an error like any other, */
	signal(SIGXFSZ, SIG_IGN);	/* and so is a file size limit */
	setvbuf(stderr, NULL, _IOLBF, 1024);
	while ((c = getopt_long(argc, argv, "+vhV", options, NULL)) != -1) {
		switch (c) {
		case 'v':
			louder();
			break;
		case 'h':
			help();
			return flush();
		case 'V':
			puts("cptool " PACKAGE_VERSION);
			return flush();
		default:
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return usage_error(NULL, "no verb given");
	for (unsigned i = 0; i < NVERBS; i++)
		if (!strcmp(argv[optind], verbs[i].name)) {
			argc -= optind;
			argv += optind;
			optind = 0;	/* glibc: begin anew */
			catch_signals();
			return verbs[i].run(argc, argv);
		}
	return usage_error(NULL, "no such verb: %s", argv[optind]);
}
