/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump.c - cptool dump */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"[OPTION]… GROUP\n"
	"\n"
	"Write all that runs in GROUP, and in the groups below it, into an image; then end it.\n"
	"\n"
	"  -o, --output FILE      the image; - is standard output (default: checkpoint.cpt)\n"
	"  -R, --leave-running    let the group run on instead of ending it\n"
	"      --snapshot HOW     with -R: copy memory while the group runs, and in the pause what was\n"
	"                         written meanwhile (copy); or read it after the pause from copy-on-write\n"
	"                         twins of the processes (twin); or whatever pauses less (auto, the default)\n"
	"      --leave-frozen     leave it frozen instead of ending it\n"
	"      --base FILE        write only what changed since this image was made with --track\n"
	"      --track            note from now on what changes, for a later --base\n"
	"  -z[CODEC[:LEVEL]], --compress[=CODEC[:LEVEL]]\n"
	"                         compress: zstd (the default), lz4 or zlib\n"
	"      --tcp-established  established TCP connections may be carried\n"
	"      --tcp-close        … or are found closed by the other side after the restore\n"
	"      --shell-job        the terminal it runs on may be another one later\n"
	"      --ext-unix-sk      unix sockets whose other end is outside the group may be cut off\n"
	"      --timeout SECONDS  how long the group may take to freeze (default: 10)\n"
	"      --stats FILE       write times and sizes as JSON; - is standard output\n"
	"      --no-progress      no line that tells how far it is, also on a terminal\n"
	"  -v, --verbose          tell more; twice: tell all\n";

static const struct option options[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "leave-running", no_argument, NULL, 'R' },
	{ "leave-frozen", no_argument, NULL, OPT_LEAVE_FROZEN },
	{ "base", required_argument, NULL, OPT_BASE },
	{ "track", no_argument, NULL, OPT_TRACK },
	{ "snapshot", required_argument, NULL, OPT_SNAPSHOT },
	{ "compress", optional_argument, NULL, 'z' },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "stats", required_argument, NULL, OPT_STATS },
	PERMIT_LONG,
	PROGRESS_LONG,
	COMMON_LONG,
	END_LONG
};

/* "zstd", "zstd:3" */
static bool codec(const char *text, struct cpt_dump_options *opt)
{
	static const char *const names[] = {
		[CPT_CODEC_ZLIB] = "zlib", [CPT_CODEC_ZSTD] = "zstd", [CPT_CODEC_LZ4] = "lz4",
	};
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	char *end;
	long level = 0;

	if (colon) {
		level = strtol(colon + 1, &end, 10);
		if (!colon[1] || *end || level < 1 || level > 22)
			return false;
	}
	for (unsigned i = CPT_CODEC_ZLIB; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && !memcmp(text, names[i], len)) {
			opt->codec = (enum cpt_codec)i;
			opt->codec_level = (int)level;
			return true;
		}
	return false;
}

/* "-z zstd:3" is meant as "-zstd:3" is; no group has such a name by accident */
static bool compress(int argc, char **argv, struct cpt_dump_options *opt)
{
	if (optarg)
		return codec(optarg, opt);
	opt->codec = CPT_CODEC_ZSTD;
	if (optind < argc && codec(argv[optind], opt))
		optind++;
	return true;
}

static bool snapshot(const char *how, enum cpt_snapshot *ret)
{
	static const char *const names[] = {
		[CPT_SNAPSHOT_AUTO] = "auto", [CPT_SNAPSHOT_COPY] = "copy", [CPT_SNAPSHOT_TWIN] = "twin",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(how, names[i])) {
			*ret = (enum cpt_snapshot)i;
			return true;
		}
	return false;
}

int verb_dump(int argc, char **argv)
{
	struct cpt_dump_options opt = { .refused = to_stderr };
	const char *stats_file = NULL;
	struct cpt_stats stats = { 0 };
	struct cpt_err err = { 0 };
	const struct options own = { "dump", help, "o:Rz::", options, &opt.permit };
	int c, status;

	while ((c = own_option(&own, argc, argv, &status)) != -1) {
		switch (c) {
		case 'o':
			opt.image = optarg;
			break;
		case 'R':
			if (opt.after == CPT_AFTER_FROZEN)
				return usage_error("dump", "dump: --leave-running and --leave-frozen exclude each other");
			opt.after = CPT_AFTER_RUN;
			break;
		case OPT_LEAVE_FROZEN:
			if (opt.after == CPT_AFTER_RUN)
				return usage_error("dump", "dump: --leave-running and --leave-frozen exclude each other");
			opt.after = CPT_AFTER_FROZEN;
			break;
		case OPT_BASE:
			opt.base = optarg;
			break;
		case OPT_TRACK:
			opt.track = true;
			break;
		case OPT_SNAPSHOT:
			if (!snapshot(optarg, &opt.snapshot))
				return usage_error("dump", "dump: --snapshot is auto, copy or twin, not %s", optarg);
			break;
		case 'z':
			if (!compress(argc, argv, &opt))
				return usage_error("dump", "dump: no such codec: %s", optarg);
			break;
		case OPT_TIMEOUT:
			opt.deadline_ms = seconds(optarg);
			if (!opt.deadline_ms)
				return usage_error("dump", "dump: --timeout %s is no number of seconds", optarg);
			break;
		case OPT_STATS:
			stats_file = optarg;
			break;
		}
	}
	if (status >= 0)
		return status;
	opt.group = one_group("dump", argc, argv);
	if (!opt.group)
		return EXIT_USAGE;
	if (opt.image && !strcmp(opt.image, "-")) {
		if (isatty(STDOUT_FILENO))
			return usage_error("dump", "dump: an image is not for a terminal: send it into a file or a pipe");
		if (stats_file && !strcmp(stats_file, "-"))
			return usage_error("dump", "dump: the image and the statistics can't both go to standard output");
	}
	progress_start("dump");
	if (cpt_dump(&opt, &stats, &err))
		return failed("dump", &err);
	progress_end();
	return stats_file ? write_stats(stats_file, "dump", &stats) : EXIT_FINE;
}
