/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show.c - cptool show */
#include "cli.h"

static const char help[] =
	"[OPTION]… [IMAGE]\n"
	"\n"
	"Describe an image (default: checkpoint.cpt).\n"
	"\n"
	"      --json             as one JSON document\n"
	"  -v, --verbose          tell more; twice: tell all\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	COMMON_LONG,
	END_LONG
};

int verb_show(int argc, char **argv)
{
	const char *image;
	struct cpt_err err = { 0 };
	bool json = false;
	const struct options own = { "show", help, "", options, NULL };
	int status;

	while (own_option(&own, argc, argv, &status) == OPT_JSON)
		json = true;
	if (status >= 0)
		return status;
	image = one_image("show", "checkpoint.cpt", argc, argv);
	if (!image)
		return EXIT_USAGE;
	if (cpt_image_show(image, json, to_stdout, &err))
		return failed("show", &err);
	return flush();
}
