/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status.c - cptool status */
#include "cli.h"

#include <json.h>

static const char help[] =
	"[OPTION]… GROUP\n"
	"\n"
	"Tell how GROUP stands, with the groups below it.\n"
	"\n"
	"      --json             as JSON\n"
	"  -v, --verbose          tell more; twice: tell all\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	COMMON_LONG,
	END_LONG
};

static const char *const states[] = {
	[CPT_RUNNING] = "RUNNING", [CPT_FREEZING] = "FREEZING", [CPT_FROZEN] = "FROZEN",
};

static void print_json(const struct cpt_group_status *s)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "path", json_object_new_string(s->path));
	json_object_object_add(o, "freezer", json_object_new_string(s->freezer == CPT_FREEZER_V1 ? "v1" : "v2"));
	json_object_object_add(o, "state", json_object_new_string(states[s->state]));
	json_object_object_add(o, "processes", json_object_new_int64(s->processes));
	json_object_object_add(o, "threads", json_object_new_int64(s->threads));
	json_object_object_add(o, "groups", json_object_new_int64(s->groups));
	if (s->lazy_total) {
		json_object_object_add(o, "lazy_pages", json_object_new_uint64(s->lazy_total));
		json_object_object_add(o, "lazy_pages_left", json_object_new_uint64(s->lazy_left));
	}
	if (*s->lazy_end)
		json_object_object_add(o, "lazy_end", json_object_new_string(s->lazy_end));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

int verb_status(int argc, char **argv)
{
	struct cpt_group_status s;
	struct cpt_err err = { 0 };
	const char *group;
	bool json = false;
	const struct options own = { "status", help, "", options, NULL };
	int status;

	while (own_option(&own, argc, argv, &status) == OPT_JSON)
		json = true;
	if (status >= 0)
		return status;
	group = one_group("status", argc, argv);
	if (!group)
		return EXIT_USAGE;
	if (cpt_group_status(group, &s, &err))
		return failed("status", &err);
	if (json)
		print_json(&s);
	else
		printf("group:     %s\nfreezer:   v%d\nstate:     %s\nprocesses: %u\nthreads:   %u\nsubgroups: %u\n",
		       s.path, s.freezer == CPT_FREEZER_V1 ? 1 : 2, states[s.state],
		       s.processes, s.threads, s.groups);
	if (!json && s.lazy_total)
		printf("lazy:      %llu of %llu pages are still in the image\n", (unsigned long long)s.lazy_left,
		       (unsigned long long)s.lazy_total);
	if (!json && *s.lazy_end)
		printf("ended:     %s\n", s.lazy_end);
	return flush();
}
