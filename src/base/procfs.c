/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* procfs.c - parsers of /proc text */
#include "base/procfs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

void cpt_printable(char to[CPT_COMM], const char *from)
{
	size_t i;

	for (i = 0; i < CPT_COMM - 1 && from[i]; i++)
		to[i] = (unsigned char)from[i] < ' ' || from[i] == 127 ? '?' : from[i];
	to[i] = 0;
}

/* ---- status ---------------------------------------------------------- */

static const char *after(const char *line, const char *key)
{
	size_t len = strlen(key);

	return strncmp(line, key, len) == 0 && line[len] == ':' ? line + len + 1 : NULL;
}

/* the last number of "NSpid:\t1234\t1": the pid in the task's own namespace */
static pid_t last_number(const char *s)
{
	const char *last = s;

	for (; *s; s++)
		if ((*s == '\t' || *s == ' ') && s[1])
			last = s + 1;
	return (pid_t)strtol(last, NULL, 10);
}

static void four(const char *s, uint32_t ret[4])
{
	char *end;

	for (int i = 0; i < 4; i++, s = end)
		ret[i] = (uint32_t)strtoul(s, &end, 10);
}

static void status_line(const char *line, struct cpt_status *s)
{
	static const struct { const char *key; size_t at; int base; } numbers[] = {
		{ "SigPnd", offsetof(struct cpt_status, sig_pending), 16 },
		{ "ShdPnd", offsetof(struct cpt_status, shared_pending), 16 },
		{ "SigBlk", offsetof(struct cpt_status, sig_blocked), 16 },
		{ "SigIgn", offsetof(struct cpt_status, sig_ignored), 16 },
		{ "SigCgt", offsetof(struct cpt_status, sig_caught), 16 },
		{ "CapInh", offsetof(struct cpt_status, cap_inh), 16 },
		{ "CapPrm", offsetof(struct cpt_status, cap_prm), 16 },
		{ "CapEff", offsetof(struct cpt_status, cap_eff), 16 },
		{ "CapBnd", offsetof(struct cpt_status, cap_bnd), 16 },
		{ "CapAmb", offsetof(struct cpt_status, cap_amb), 16 },
		{ "VmLck", offsetof(struct cpt_status, vm_locked_kib), 10 },
		{ "VmRSS", offsetof(struct cpt_status, vm_rss_kib), 10 },
		{ "RssAnon", offsetof(struct cpt_status, vm_anon_kib), 10 },
		{ "FDSize", offsetof(struct cpt_status, fd_room), 10 },
	};
	const char *v;

	if ((v = after(line, "State")))
		s->state = v[0] ? v[1] : 0;
	else if ((v = after(line, "Tgid")))
		s->tgid = (pid_t)strtol(v, NULL, 10);
	else if ((v = after(line, "PPid")))
		s->ppid = (pid_t)strtol(v, NULL, 10);
	else if ((v = after(line, "TracerPid")))
		s->tracer = (pid_t)strtol(v, NULL, 10);
	else if ((v = after(line, "Umask")))
		s->umask = (unsigned)strtoul(v, NULL, 8);
	else if ((v = after(line, "NStgid")))
		s->ns_tgid = last_number(v);
	else if ((v = after(line, "NSpid")))
		s->ns_pid = last_number(v);
	else if ((v = after(line, "Threads")))
		s->threads = (unsigned)strtoul(v, NULL, 10);
	else if ((v = after(line, "Uid")))
		four(v, s->uid);
	else if ((v = after(line, "Gid")))
		four(v, s->gid);
	else if ((v = after(line, "NoNewPrivs")))
		s->no_new_privs = strtoul(v, NULL, 10) != 0;
	else if ((v = after(line, "Seccomp")))
		s->seccomp = (unsigned)strtoul(v, NULL, 10);
	else
		for (size_t i = 0; i < CPT_COUNT(numbers); i++)
			if ((v = after(line, numbers[i].key))) {
				*(uint64_t *)(void *)((char *)s + numbers[i].at) = strtoull(v, NULL, numbers[i].base);
				break;
			}
}

int cpt_parse_status(char *text, struct cpt_status *ret, struct cpt_err *err)
{
	memset(ret, 0, sizeof(*ret));
	while (*text) {
		char *nl = strchr(text, '\n');

		if (nl)
			*nl = 0;
		status_line(text, ret);
		if (!nl)
			break;
		text = nl + 1;
	}
	if (!ret->state || !ret->tgid || !ret->ns_pid)
		return cpt_fail(err, CPT_SYSTEM, "status does not say state, Tgid and NSpid");
	return 0;
}

/* ---- stat ------------------------------------------------------------ */

int cpt_parse_stat(const char *text, struct cpt_stat *ret, struct cpt_err *err)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long long f[53] = { 0 };	/* by the numbers of proc(5) */
	size_t len;
	const char *p;

	memset(ret, 0, sizeof(*ret));
	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return cpt_fail(err, CPT_SYSTEM, "stat has no name in parentheses");
	ret->pid = (pid_t)strtol(text, NULL, 10);
	len = CPT_MIN((size_t)(close - open - 1), sizeof(ret->comm) - 1);
	memcpy(ret->comm, open + 1, len);
	ret->state = close[2];
	p = close + 3;
	for (int i = 4; i <= 52; i++) {
		char *end;

		f[i] = strtoull(p, &end, 10);
		if (end == p)
			return cpt_fail(err, CPT_SYSTEM, "stat has only %d fields", i - 1);
		p = end;
	}
	ret->ppid = (pid_t)f[4];
	ret->pgid = (pid_t)f[5];
	ret->sid = (pid_t)f[6];
	ret->start_time = f[22];
	ret->start_code = f[26];
	ret->end_code = f[27];
	ret->start_stack = f[28];
	ret->exit_signal = (unsigned)f[38];
	ret->start_data = f[45];
	ret->end_data = f[46];
	ret->start_brk = f[47];
	ret->arg_start = f[48];
	ret->arg_end = f[49];
	ret->env_start = f[50];
	ret->env_end = f[51];
	ret->exit_code = (uint32_t)f[52];
	return 0;
}

/* ---- smaps ----------------------------------------------------------- */

static unsigned vmflag(const char *two)
{
	static const struct { char name[3]; unsigned flag; } known[] = {
		{ "gd", CPT_VM_GROWSDOWN }, { "lo", CPT_VM_LOCKED }, { "io", CPT_VM_IO },
		{ "pf", CPT_VM_PFNMAP }, { "sr", CPT_VM_SEQ }, { "rr", CPT_VM_RANDOM },
		{ "dc", CPT_VM_DONTFORK }, { "nr", CPT_VM_NORESERVE }, { "ht", CPT_VM_HUGETLB },
		{ "wf", CPT_VM_WIPEONFORK }, { "dd", CPT_VM_DONTDUMP }, { "hg", CPT_VM_HUGEPAGE },
		{ "nh", CPT_VM_NOHUGEPAGE }, { "mg", CPT_VM_MERGEABLE }, { "um", CPT_VM_UFFD },
		{ "uw", CPT_VM_UFFD }, { "ui", CPT_VM_UFFD }, { "ss", CPT_VM_SHADOW_STACK },
		{ "sl", CPT_VM_SEALED }, { "mw", CPT_VM_MAYWRITE }, { "lf", CPT_VM_LOCKONFAULT },
		{ "sh", CPT_VM_SHARED }, { "ac", CPT_VM_ACCOUNT }, { "dp", CPT_VM_DROPPABLE },
	};

	for (size_t i = 0; i < CPT_COUNT(known); i++)
		if (two[0] == known[i].name[0] && two[1] == known[i].name[1])
			return known[i].flag;
	return 0;
}

static void vmflags_line(const char *p, struct cpt_vma *v)
{
	while (*p) {
		while (*p == ' ')
			p++;
		if (!p[0] || !p[1])
			break;
		v->flags |= vmflag(p);
		p += 2;
	}
}

static uint64_t hex(const char **p)
{
	uint64_t v = 0;

	for (;; (*p)++) {
		unsigned c = (unsigned char)**p;

		if (c - '0' < 10)
			v = v << 4 | (c - '0');
		else if (c - 'a' < 6)
			v = v << 4 | (c - 'a' + 10);
		else
			return v;
	}
}

/* "7f00-7f10 rw-p 00000000 08:01 1234    /path" */
static int map_line(const char *p, struct cpt_vma *v)
{
	memset(v, 0, sizeof(*v));
	v->start = hex(&p);
	if (*p++ != '-')
		return -1;
	v->end = hex(&p);
	if (*p++ != ' ' || strnlen(p, 5) < 5)
		return -1;
	v->prot = (p[0] == 'r' ? PROT_READ : 0) | (p[1] == 'w' ? PROT_WRITE : 0) |
		  (p[2] == 'x' ? PROT_EXEC : 0);
	v->flags = p[3] == 's' ? CPT_VM_SHARED : 0;
	p += 5;
	v->offset = hex(&p);
	if (*p++ != ' ')
		return -1;
	v->dev_major = (uint32_t)hex(&p);
	if (*p++ != ':')
		return -1;
	v->dev_minor = (uint32_t)hex(&p);
	v->ino = strtoull(p, (char **)&p, 10);
	while (*p == ' ')
		p++;
	v->path = p;
	return v->start < v->end && !((v->start | v->end) & (CPT_PAGE - 1)) ? 0 : -1;
}

int cpt_parse_smaps(char **text, struct cpt_vma *ret, struct cpt_err *err)
{
	char *p = *text;
	bool have = false;

	while (*p) {
		char *nl = strchr(p, '\n');
		bool key = *p >= 'A' && *p <= 'Z';

		if (!key && have)
			break;		/* the next mapping's line */
		if (nl)
			*nl = 0;
		if (!key) {
			if (map_line(p, ret))
				return cpt_fail(err, CPT_SYSTEM, "can't read mapping '%.80s'", p);
			have = true;
		} else if (have && strncmp(p, "VmFlags:", 8) == 0) {
			vmflags_line(p + 8, ret);
		}
		p = nl ? nl + 1 : p + strlen(p);
	}
	*text = p;
	return have;
}

size_t cpt_parse_pids(const char *text, pid_t *ret, size_t max)
{
	size_t n = 0;

	for (;;) {
		char *end;
		long v = strtol(text, &end, 10);

		if (end == text)
			return n;
		if (v > 0 && v <= INT32_MAX) {
			if (n < max)
				ret[n] = (pid_t)v;
			n++;
		}
		text = end;
	}
}

unsigned cpt_list_numbers(const char *dir, const char *sub, pid_t **ret, struct cpt_err *err)
{
	unsigned n = 0, cap = 0;
	char path[128];

	*ret = NULL;
	snprintf(path, sizeof(path), "%s/%s", dir, sub);
	CPT_AUTO(dir) DIR *d = opendir(path);
	if (!d) {
		cpt_fail_sys(err, "open %s", path);
		return 0;
	}
	for (struct dirent *e; (e = readdir(d));) {
		long v = strtol(e->d_name, NULL, 10);

		if (v <= 0 || v > INT32_MAX)
			continue;
		CPT_GROW(*ret, n, cap);
		(*ret)[n++] = (pid_t)v;
	}
	return n;
}
