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
	const char *image = "checkpoint.cpt";
	struct cpt_err err = { 0 };
	bool json = false;
	int c, status;

	while ((c = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
		if (c == OPT_JSON) {
			json = true;
			continue;
		}
		status = common(c, "show", help);
		if (status >= 0)
			return status;
	}
	if (optind < argc)
		image = argv[optind++];
	if (optind < argc)
		return usage_error("show", "show: one image at a time: %s", argv[optind]);
	if (cpt_image_show(image, json, to_stdout, &err))
		return failed("show", &err);
	return flush();
}
