/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* show.c - describe an image: what both forms need */
#include "image/show.h"

#include <stdlib.h>

const char *const cpt_show_types[CPT_REC_COMMIT + 1] = {
	[CPT_REC_HEADER] = "header",
	[CPT_REC_CGROUP] = "cgroups",
	[CPT_REC_TASK] = "tasks",
	[CPT_REC_MM] = "address_spaces",
	[CPT_REC_OBJECT] = "objects",
};

void cpt_show_line(struct cpt_sink out, const char *fmt, ...)
{
	CPT_AUTO(mem) char *line = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	if (out.line)
		out.line(out.arg, line);
}

/* bytes of the valid UTF-8 character at @s, 0 if there is none */
static size_t character(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
	uint32_t c = n == 1 ? *s : *s & (0x7f >> n);

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	if (c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xa0))
		return 0;		/* valid, but a control character */
	if ((c >= 0x200b && c < 0x2010) || (c >= 0x2028 && c < 0x202f) || (c >= 0x2066 && c < 0x206a))
		return 0;		/* invisible, or turns the direction of what follows */
	return n;
}

char *cpt_show_clean(const char *s)
{
	char *clean = cpt_malloc(4 * strlen(s) + 1), *to = clean;

	while (*s) {
		size_t n = character((const unsigned char *)s);

		if (n) {
			memcpy(to, s, n);
			to += n;
		} else {
			to += sprintf(to, "\\x%02x", (unsigned char)*s);
		}
		s += n ? n : 1;
	}
	*to = 0;
	return clean;
}

char *cpt_show_hex(const uint8_t *bytes, size_t size, size_t max)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = CPT_MIN(size, max);
	char *hex = cpt_malloc(2 * n + 1);

	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * n] = 0;
	return hex;
}

int cpt_image_show(const char *image, bool json, struct cpt_sink out, struct cpt_err *err)
{
	CPT_AUTO(img) struct cpt_img *img = NULL;

	if (cpt_img_open(image ? image : "checkpoint.cpt", &img, err))
		return -1;
	return json ? cpt_show_json(img, out, err) : cpt_show_text(img, out, err);
}
