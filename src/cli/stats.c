/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats.c - times and sizes as JSON */
#include "cli.h"

#include <errno.h>
#include <json.h>
#include <string.h>

static const struct {
	const char *name;
	size_t at;
} fields[] = {
#define FIELD(f) { #f, offsetof(struct cpt_stats, f) }
	FIELD(total_ns), FIELD(pause_ns), FIELD(freeze_ns), FIELD(state_ns), FIELD(memory_ns),
	FIELD(write_ns), FIELD(kill_ns), FIELD(image_bytes), FIELD(processes), FIELD(threads),
	FIELD(pages_written), FIELD(pages_shared), FIELD(pages_zero), FIELD(pages_unchanged),
	FIELD(pages_read), FIELD(pages_lazy),
	FIELD(copied_first), FIELD(twins), FIELD(twin_ns),
};

/* bytes of memory that went into the image or came out of it, a second of the whole */
static uint64_t rate(const struct cpt_stats *s)
{
	double bytes = 4096.0 * (double)(s->pages_written + s->pages_zero + s->pages_read);

	return s->total_ns ? (uint64_t)(bytes * 1e9 / (double)s->total_ns) : 0;
}

int write_stats(const char *file, const char *what, const struct cpt_stats *stats)
{
	struct json_object *o = json_object_new_object();
	FILE *f = strcmp(file, "-") ? fopen(file, "we") : stdout;
	int bad = 0;

	json_object_object_add(o, "verb", json_object_new_string(what));
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint64_t v;

		memcpy(&v, (const char *)stats + fields[i].at, sizeof(v));
		json_object_object_add(o, fields[i].name, json_object_new_uint64(v));
	}
	json_object_object_add(o, "bytes_per_s", json_object_new_uint64(rate(stats)));
	bad |= !f || fprintf(f, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY)) < 0;
	bad |= f && (f == stdout ? fflush(f) : fclose(f));
	if (bad)
		complain("statistics to %s: %s", file, strerror(errno));
	json_object_put(o);
	return bad ? EXIT_FAILED : EXIT_FINE;
}
