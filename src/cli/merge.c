/* SPDX-License-Identifier: GPL-2.0-or-later */
/* merge.c - cptool merge */
#include "cli.h"

#include <string.h>
#include <unistd.h>

static const char help[] =
	"-o FILE [OPTION]… IMAGE\n"
	"\n"
	"Fold an increment and all the images that it builds on into one full image.\n"
	"\n"
	"  -o, --output FILE      the new image; - is standard output\n"
	"      --stats FILE           write times and sizes as JSON; - is standard output\n"
	"      --no-progress      no line that tells how far it is, also on a terminal\n"
	"  -v, --verbose          tell more; twice: tell all\n";

int verb_merge(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' }, { "stats", required_argument, NULL, OPT_STATS },
		PROGRESS_LONG, COMMON_LONG, END_LONG
	};
	const char *output = NULL, *stats_file = NULL;
	struct cpt_stats stats = { 0 };
	struct cpt_err err = { 0 };
	const struct options own = { "merge", help, "o:", options, NULL };
	int c, status;

	while ((c = own_option(&own, argc, argv, &status)) != -1)
		*(c == 'o' ? &output : &stats_file) = optarg;
	if (status >= 0)
		return status;
	if (!output)
		return usage_error("merge", "merge: say with -o where the new image is to go");
	if (optind + 1 != argc)
		return usage_error("merge", "merge: name the one image that is the last of the chain");
	if (!strcmp(output, "-") && isatty(STDOUT_FILENO))
		return usage_error("merge", "merge: an image is not for a terminal: send it into a file or a pipe");
	if (stats_file && !strcmp(output, "-") && !strcmp(stats_file, "-"))
		return usage_error("merge", "merge: the image and the statistics can't both go to standard output");
	progress_start("merge");
	if (cpt_image_merge(argv[optind], output, &stats, &err))
		return failed("merge", &err);
	progress_end();
	return stats_file ? write_stats(stats_file, "merge", &stats) : EXIT_FINE;
}
