/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between rebuild (which writes steps) and the blob (which runs them in the new
 * process). The blob is position independent, has no libc, no writable data, no relocations; all
 * it knows is in one data region that rebuild and the blob share (MAP_SHARED memfd), which begins
 * with struct thump_blob_data. Nothing of this reaches the disk: both sides are built together.
 *
 * Life of a restored process as the blob sees it:
 *   leader:   run setup steps -> create threads -> take read jobs -> wait until all jobs are done
 *             -> run finish steps -> wait until all threads are ready -> int3 (rebuild takes over)
 *   thread:   take read jobs -> wait until all jobs are done -> run own steps -> ready -> sleep
 * rebuild then seizes the threads, unmaps blob and data, writes every thread's registers and
 * detaches. The first failing step stops everything: its number and -errno are in the header.
 */
#ifndef THUMP_RESUME_ABI_H
#define THUMP_RESUME_ABI_H

#include <stdint.h>

#define THUMP_BLOB_ABI 1

enum thump_step_op {
	THUMP_STEP_SYSCALL = 1, /* nr, args; result judged by `expect` */
	/* Fails with -EFAULT unless *(u64 *)args[0] == args[1]: a check of memory just built. */
	THUMP_STEP_EXPECT_U64 = 2,
	/* mmap(args...) of many ranges would be many steps; no more ops than are needed. */
	/* timer_create/timer_delete until the id is args[0] (sigevent at args[1], clock args[2]). */
	THUMP_STEP_TIMER_CREATE = 3,
};

enum thump_step_expect {
	THUMP_EXPECT_OK = 0,      /* result >= 0 (as a signed long, not -4095..-1) */
	THUMP_EXPECT_VALUE = 1,   /* result == step.value */
	THUMP_EXPECT_ANY = 2,     /* best effort */
};

struct thump_step {
	uint16_t op;
	uint16_t expect;
	uint32_t nr;       /* system call number */
	uint64_t args[6];  /* pointers are addresses in the new process, mostly in the data region */
	uint64_t value;
	uint32_t what;     /* index into rebuild's table of descriptions, for messages */
	uint32_t pad;
};

/* Fill memory: pread(fd, addr, size, offset) until complete. Taken by whichever thread is free. */
struct thump_read_job {
	uint64_t addr, size_bytes, file_offset;
	int32_t fd;
	uint32_t flags; /* THUMP_READ_* */
};
#define THUMP_READ_HUGE 1u /* touch each 2 MiB and MADV_COLLAPSE before reading */

enum thump_tid_way {
	THUMP_TID_SET = 1,   /* clone3 with set_tid */
	THUMP_TID_SPIN = 2,  /* plain clone until the tid comes up */
	THUMP_TID_ANY = 3,   /* plain clone, whatever tid */
};

struct thump_blob_thread {
	int32_t wanted_tid;
	int32_t actual_tid;     /* written by the blob */
	uint64_t stack_top;     /* in the data region, 16-byte aligned */
	uint64_t fs_base;       /* set by the thread itself: arch_prctl */
	uint64_t gs_base;
	uint32_t first_step, nr_steps; /* into steps */
};

struct thump_blob_data {
	uint32_t abi; /* THUMP_BLOB_ABI */
	uint32_t tid_way;
	uint32_t spin_limit;
	uint32_t nr_threads; /* without the leader */
	uint64_t steps;      /* address of struct thump_step[] */
	uint64_t threads;    /* address of struct thump_blob_thread[] */
	uint64_t jobs;       /* address of struct thump_read_job[] */
	uint32_t nr_jobs;
	uint32_t first_setup_step, nr_setup_steps;   /* before threads exist */
	uint32_t first_finish_step, nr_finish_steps; /* after all memory is filled */
	uint32_t next_job;     /* atomic */
	uint32_t done_jobs;    /* atomic, futex */
	uint32_t ready;        /* atomic, futex: threads that ran their steps */
	uint32_t phase;        /* enum thump_blob_phase, for messages and timing */
	uint32_t failed;       /* atomic, futex; 1 = the fields below are set */
	int32_t fail_errno;    /* -errno, or what EXPECT_VALUE did not get */
	uint32_t fail_what;    /* step.what, or one of THUMP_WHAT_* */
	uint32_t fail_tid;     /* wanted tid of the thread that failed */
	uint64_t fail_result;
	uint64_t spins;        /* tasks started and reaped in vain, for the report */
	uint64_t tsc_start, tsc_setup, tsc_threads, tsc_memory, tsc_finish; /* rdtsc marks */
};

enum thump_blob_phase {
	THUMP_PHASE_START = 0,
	THUMP_PHASE_SETUP = 1,
	THUMP_PHASE_THREADS = 2,
	THUMP_PHASE_MEMORY = 3,
	THUMP_PHASE_FINISH = 4,
	THUMP_PHASE_READY = 5,
};

/* Values of fail_what that are not indices. */
#define THUMP_WHAT_CLONE      0xffff0001u
#define THUMP_WHAT_READ       0xffff0002u
#define THUMP_WHAT_SPIN_LIMIT 0xffff0003u
#define THUMP_WHAT_COLLAPSE   0xffff0004u

#endif
