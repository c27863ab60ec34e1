/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* codec.c - the codecs there are, and which of them were built in */
#include "config.h"
#include "image/codec.h"

static const struct {
	const char *name;
	const struct cpt_codec_ops *ops;
} codecs[CPT_CODECS] = {
	[CPT_CODEC_ZLIB] = { "zlib", &cpt_codec_zlib },
#ifdef HAVE_ZSTD
	[CPT_CODEC_ZSTD] = { "zstd", &cpt_codec_zstd },
#else
	[CPT_CODEC_ZSTD] = { "zstd", NULL },
#endif
#ifdef HAVE_LZ4
	[CPT_CODEC_LZ4] = { "lz4", &cpt_codec_lz4 },
#else
	[CPT_CODEC_LZ4] = { "lz4", NULL },
#endif
};

const char *cpt_codec_name(unsigned codec)
{
	return codec < CPT_CODECS ? codecs[codec].name : NULL;
}

const struct cpt_codec_ops *cpt_codec_ops(unsigned codec)
{
	return codec < CPT_CODECS ? codecs[codec].ops : NULL;
}

int cpt_codec_check(enum cpt_codec codec, int level, struct cpt_err *err)
{
	const struct cpt_codec_ops *ops = cpt_codec_ops(codec);

	if (!cpt_codec_name(codec))
		return cpt_fail(err, CPT_USAGE, "there is no codec %d", (int)codec);
	if (!ops)
		return cpt_fail(err, CPT_UNSUPPORTED, "this cptool was built without %s; zlib is always there",
				cpt_codec_name(codec));
	if (level && (level < ops->least || level > ops->most))
		return cpt_fail(err, CPT_USAGE, "%s has levels %d to %d, not %d", cpt_codec_name(codec),
				ops->least, ops->most, level);
	return 0;
}
