/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.h - what dump and restore of the state of tasks have in common:
 * layouts of the kernel's, numbers that older headers lack, checks
 */
#ifndef CPT_STATE_H
#define CPT_STATE_H

#include "base/base.h"

#include <sys/prctl.h>

/* Linux UAPI numbers */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON 1
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

/* the commands of membarrier(2) that register; it tells registrations by the same bits */
#define CPT_MEMBARRIER_REGISTRATIONS 0x154u

#define CPT_NSIG 64
#define CPT_SIGINFO 128		/* bytes of a siginfo_t */
#define CPT_SIGBIT(sig) (1ULL << ((sig) - 1))

/* as rt_sigaction(2) reads and writes it */
struct cpt_ksigaction {
	uint64_t handler, flags, restorer, mask;
};
/* as sigaltstack(2) does */
struct cpt_kstack {
	uint64_t sp;
	uint32_t flags, pad;
	uint64_t size;
};
/* the first bytes of a struct sigevent; the kernel reads 64 */
struct cpt_ksigevent {
	uint64_t value;
	uint32_t signal, notify, tid;
	unsigned char rest[44];
};

/* CPU clocks hold the pid they belong to, 0 for the caller (include/linux/posix-timers.h) */
static inline bool cpt_clock_is_cpu(int clock)
{
	return clock < 0;
}
static inline bool cpt_clock_is_thread(int clock)
{
	return clock & 4;
}
static inline pid_t cpt_clock_pid(int clock)
{
	return ~(clock >> 3);
}

/* without PR_TIMER_CREATE_RESTORE_IDS every id below the wanted one is made and deleted */
#define CPT_TIMER_ID_MAX_PLAIN 4096

/** CPT_SET - an optional field of a message */
#define CPT_SET(msg, field, v) ((msg)->has_##field = 1, (msg)->field = (v))

#endif
