/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between rebuild (which writes steps) and the blob (which runs them in the new
 * process). The blob is position independent, has no libc, no writable data, no relocations; all
 * it knows is in one data region that rebuild and the blob share (MAP_SHARED memfd), which begins
 * with struct thump_blob_data. Nothing of this reaches the disk: both sides are built together.
 *
 * Life of a restored process as the blob sees it:
 *   leader:   run early steps -> create the first thread -> run setup steps -> wait until all
 *             threads are there -> take read jobs -> wait until all jobs and fills are done -> run
 *             finish steps -> wait until all threads are ready -> trap
 *   first     create the other threads and the helpers -> as any thread. Mapping and creating are
 *   thread:   a millisecond each in a JVM, and neither waits for the other. Where there is no
 *             other thread, the leader creates the helpers.
 *   thread:   if it is one of the first: wait until setup steps are done, take read jobs. Wait
 *             until all jobs are done -> run own steps -> ready -> sleep
 *   helper:   take read jobs -> exit; only there to read with more than one processor
 * Rebuild then seizes the threads, unmaps blob and data, writes every thread's registers (TLS
 * bases are among them) and detaches. The first failing step stops everything: its description
 * and -errno are in the header when the leader traps.
 *
 * Every signal but SIGTRAP is blocked in all threads: what is queued stays queued until rebuild
 * writes the real masks. SIGTRAP is not, because a trap while it is blocked or ignored resets its
 * disposition (force_sig_info_to_task() in kernel/signal.c).
 */
#ifndef THUMP_RESUME_ABI_H
#define THUMP_RESUME_ABI_H

#include <stdint.h>

#define THUMP_BLOB_ABI 8

/* Bytes of stack that each thread of the blob needs (checked by the build: -Wframe-larger-than). */
#define THUMP_BLOB_STACK_SIZE 2048

enum thump_step_op {
	THUMP_STEP_SYSCALL = 1, /* nr, args; result judged by `expect` */
	/*
	 * timer_create(2) until it yields the id args[0]: clock args[1], struct sigevent at
	 * args[2]. args[3] != 0: the signal goes to the thread with index args[3] - 2 (1 is the
	 * leader), whose tid may be known only now.
	 */
	THUMP_STEP_TIMER_CREATE = 2,
	/*
	 * Queues signal args[0] with the siginfo_t at args[1] to this process, or to this very
	 * thread when args[2] != 0. Its own pid and tid are asked for here.
	 */
	THUMP_STEP_QUEUE_SIGNAL = 3,
};

enum thump_step_expect {
	THUMP_EXPECT_OK = 0,	/* result >= 0 (as a signed long, not -4095..-1) */
	THUMP_EXPECT_VALUE = 1, /* result == step.value */
	THUMP_EXPECT_ANY = 2,	/* best effort */
};

struct thump_step {
	uint8_t op;
	uint8_t expect;
	uint8_t fd_arg; /* 0, or 1 + index of the argument that is a slot of the fd table */
	uint8_t pad;
	uint32_t nr;	  /* system call number */
	uint64_t args[6]; /* pointers are addresses in the new process, mostly in the data region */
	uint64_t value;
	uint32_t what; /* index into rebuild's table of descriptions, for messages */
	uint32_t pad2;
};

/*
 * Fill memory: preadv(2) from one contiguous range of a file into nr_iov ranges of memory until
 * complete. Taken by whichever thread is free. The blob changes the iovecs as it goes.
 */
struct thump_read_job {
	uint64_t iov; /* address of struct iovec[] in the data region */
	uint64_t file_offset;
	uint64_t size_bytes; /* sum of the iovecs */
	uint32_t nr_iov;     /* at most IOV_MAX (1024) */
	uint32_t fd_slot;
	uint32_t flags; /* THUMP_READ_* */
	uint32_t pad;
	uint64_t huge_start, huge_end; /* for THUMP_READ_HUGE: whole huge pages around the ranges */
};
/*
 * Touch each huge page and MADV_COLLAPSE before reading. That gives huge pages where they are
 * `madvise` only, without leaving VM_HUGEPAGE on the mapping.
 */
#define THUMP_READ_HUGE 1u
/* MADV_POPULATE_WRITE of bigger ranges before reading: one call instead of a fault per page. */
#define THUMP_READ_POPULATE 2u
/* No reading: the ranges are populated, best effort, and keep their content. */
#define THUMP_ONLY_TOUCH 4u
/* No reading: the ranges are made ready as the other flags say, and filled by rebuild. */
#define THUMP_ONLY_PREPARE   8u
#define THUMP_HUGE_PAGE_SIZE ((uint64_t)2 << 20)

enum thump_tid_way {
	THUMP_TID_SET = 1,  /* clone3 with set_tid */
	THUMP_TID_SPIN = 2, /* plain clone until the tid comes up */
	THUMP_TID_ANY = 3,  /* plain clone, whatever tid */
};

struct thump_blob_thread {
	int32_t wanted_tid;
	int32_t actual_tid;	       /* written by the blob */
	uint64_t stack_top;	       /* in the data region, 16-byte aligned */
	uint32_t first_step, nr_steps; /* into steps */
};

enum thump_blob_role {
	THUMP_ROLE_LEADER = 0, /* struct thump_blob_data: bring up a process */
	THUMP_ROLE_PARK = 1,   /* struct thump_blob_park: wait, and be cloned */
	/* struct thump_blob_data: a leader that has trapped runs the late steps, and traps again */
	THUMP_ROLE_LATE = 2,
};

struct thump_blob_data {
	uint32_t abi;  /* THUMP_BLOB_ABI */
	uint32_t role; /* THUMP_ROLE_LEADER */
	uint32_t tid_way;
	uint32_t spin_limit;
	uint32_t nr_threads; /* without the leader; in the order of creation */
	uint32_t nr_helpers; /* in `threads` behind the threads; wanted_tid 0, no steps */
	uint32_t nr_jobs;
	uint32_t nr_fills;	/* of what has to be done besides the jobs, by rebuild: 0 or 1 */
	uint32_t max_fds;	/* room in fd_numbers */
	uint32_t nr_readers;	/* of the threads, the first ones: these take jobs */
	uint32_t maker_slot;	/* of the fd table: where a clone notes its socket to its maker */
	uint32_t nr_late_steps; /* THUMP_ROLE_LATE: the steps from the first on */
	uint64_t steps;		/* address of struct thump_step[] */
	uint64_t threads;	/* address of struct thump_blob_thread[nr_threads + nr_helpers] */
	uint64_t jobs;		/* address of struct thump_read_job[] */
	uint64_t fds;		/* address of int32_t[]: fd numbers, by slot */
	uint64_t fd_numbers;	/* address of int32_t[max_fds], for what a clone receives */
	uint64_t stack_top;	/* of the leader */
	uint64_t spinner_stack_top;
	uint32_t first_early_step, nr_early_steps;   /* before threads exist */
	uint32_t first_setup_step, nr_setup_steps;   /* before memory is filled */
	uint32_t first_finish_step, nr_finish_steps; /* after all memory is filled */

	/* From here on written by the blob. */
	uint32_t next_job; /* atomic */
	uint32_t
		done_jobs; /* atomic, futex, and fills; bit 31: something failed, also in rebuild */
	uint32_t ready;	   /* atomic, futex: threads that ran their steps; bit 31 as above */
	uint32_t mapped;   /* atomic, futex: 1 when setup steps are done; bit 31 as above */
	uint32_t started;  /* atomic, futex: 1 when all threads are there; bit 31 as above */
	uint32_t park;	   /* futex that nobody ever wakes */
	uint32_t phase;	   /* enum thump_blob_phase, for messages and timing */
	uint32_t failed;   /* atomic; 1 = being written, 2 = the fields below are set */
	uint32_t fail_what;  /* step.what, or one of THUMP_WHAT_* */
	int32_t leader_pid;  /* whom helpers must not outlive */
	int32_t fail_tid;    /* wanted tid of the thread that failed, 0 = leader */
	int64_t fail_result; /* -errno, or what EXPECT_VALUE did not get */
	uint64_t fail_step;  /* index of the step, job or thread */
	uint64_t spins;	     /* tasks started in vain, for the report */
	uint64_t ticks_exec; /* written by rebuild, before the exec */
	uint64_t ticks_start, ticks_setup, ticks_threads, ticks_memory, ticks_finish; /* marks */
};

/*
 * What the door (blob.h) is told: it maps data and code as mmap(2) takes it, and enters the blob.
 * When one cannot be mapped it traps with the blob's phase still being START.
 */
struct thump_door {
	uint64_t maps[2][6];
	uint64_t stack_top;
	uint64_t data;
	uint64_t entry;
};

/*
 * A template: a process with all memory that a fork(2) gives to its child as it is, but with no
 * thread, no descriptor and no signal of the program. It runs on memory of its own, which is
 * private, so that every clone has a copy: right before the code, with this at its beginning and
 * the stack at its end. All that it has open is descriptor 0, a SOCK_SEQPACKET socket; its end of
 * file is the template's end. For each struct thump_clone_request that comes
 *
 *   template   shares its memory with a bearer (vfork), so that nothing is copied
 *   bearer     enters the namespaces, clones with the wanted pid, ends
 *   clone      gets a data region in place of the template's, says struct thump_clone_hello to its
 *              maker, receives descriptors, and is a leader from the maker's go on
 *
 * and answers with struct thump_clone_reply. Bearer and clone are children of the template's
 * parent.
 */
#define THUMP_PARK_BYTES ((uint64_t)64 << 10)

struct thump_blob_park {
	uint32_t abi;		   /* THUMP_BLOB_ABI */
	uint32_t role;		   /* THUMP_ROLE_PARK */
	uint64_t stack_top;	   /* of the template */
	uint64_t bearer_stack_top; /* of the bearer and of the clone */
	uint64_t region;       /* address of the template's data, and of the clone's afterwards */
	uint64_t region_bytes; /* of the template's */
	uint64_t work;	       /* address of THUMP_PARK_WORK_BYTES for itself */
};
#define THUMP_PARK_WORK_BYTES 1024

/* With these descriptors, in this order, those that are there. */
enum thump_clone_fd {
	THUMP_CLONE_REGION = 0, /* the new data region; its code is the template's */
	THUMP_CLONE_SOCKET,	/* to the maker */
	THUMP_CLONE_INIT,	/* pidfd of the init whose namespaces the clone gets (ns_flags) */
	THUMP_CLONE_TIME,	/* its time namespace (has_time) */
	THUMP_NR_CLONE_FDS,
};

struct thump_clone_request {
	uint32_t abi;
	uint32_t tid_way; /* THUMP_TID_SET or THUMP_TID_ANY */
	int32_t wanted_pid;
	uint32_t ns_flags; /* of setns(2); 0: no THUMP_CLONE_INIT */
	uint32_t has_time;
	uint32_t pad;
	uint64_t data_offset, data_bytes; /* of the data in the region */
};

/* What went wrong is told as the call that did. */
struct thump_clone_reply {
	int32_t pid;	 /* as the template sees it */
	int32_t error;	 /* 0, or an errno */
	uint32_t nr;	 /* of the system call */
	uint32_t is_kin; /* used between thump and the template's keeper only */
};

struct thump_clone_hello {
	int32_t pid; /* as the clone sees it */
	int32_t error;
	uint32_t nr;
};

/*
 * The maker first tells how many descriptors come, and the highest number; then they come in
 * ascending order of their numbers, at most THUMP_CLONE_FDS_AT_ONCE in a message that has the
 * numbers as its content. An empty one-byte message is the go.
 */
#define THUMP_CLONE_FDS_AT_ONCE 128
struct thump_clone_fds {
	uint32_t count;
	int32_t highest;
};

#define THUMP_BLOB_FAILED_BIT 0x80000000u

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
#define THUMP_WHAT_READ	      0xffff0002u
#define THUMP_WHAT_SPIN_LIMIT 0xffff0003u
#define THUMP_WHAT_ABI	      0xffff0004u
#define THUMP_WHAT_SHORT_READ 0xffff0005u
#define THUMP_WHAT_WRONG_TID  0xffff0006u

#endif
