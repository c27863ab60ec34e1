/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify.c - cptool verify */
#include "cli.h"

static const char help[] =
	"[OPTION]… [IMAGE]\n"
	"\n"
	"Check every checksum, length and reference of an image (default: checkpoint.cpt).\n"
	"\n"
	"      --no-progress      no line that tells how far it is, also on a terminal\n"
	"  -v, --verbose          tell more; twice: tell all\n";

int verb_verify(int argc, char **argv)
{
	static const struct option options[] = { PROGRESS_LONG, COMMON_LONG, END_LONG };
	const struct options own = { "verify", help, "", options, NULL };
	const char *image;
	struct cpt_err err = { 0 };
	int status;

	own_option(&own, argc, argv, &status);
	if (status >= 0)
		return status;
	image = one_image("verify", "checkpoint.cpt", argc, argv);
	if (!image)
		return EXIT_USAGE;
	progress_start("verify");
	if (cpt_image_verify(image, &err))
		return failed("verify", &err);
	progress_end();
	return EXIT_FINE;
}
