/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model: plain structs that describe one stopped process. Capture fills it, image turns it
 * into bytes and back, rebuild makes a process of it. Everything hangs off one arena and lives
 * exactly as long as it. Nothing here knows about files, ptrace or the image format.
 *
 * All addresses are addresses in the target. Times are nanoseconds. "end" is exclusive.
 */
#ifndef THUMP_MODEL_MODEL_H
#define THUMP_MODEL_MODEL_H

#include <signal.h>
#include <sys/user.h>

#include "base/arena.h"
#include "base/types.h"

#define THUMP_NR_SIGNALS   64
#define THUMP_NR_RLIMITS   16
#define THUMP_NR_ITIMERS   3
#define THUMP_COMM_SIZE	   16
#define THUMP_SIGINFO_SIZE 128
#define THUMP_NO_ID	   UINT32_MAX

/* ---- where and when ------------------------------------------------------------------- */

struct thump_machine {
	char *hostname;
	char *kernel_release; /* uname -r */
	char *thump_version;
	uint64_t boottime_ns;	   /* CLOCK_BOOTTIME at the capture, as the target sees it */
	uint64_t monotonic_ns;	   /* CLOCK_MONOTONIC, as the target sees it */
	uint64_t realtime_ns;	   /* CLOCK_REALTIME */
	char *boot_id;		   /* /proc/sys/kernel/random/boot_id: same boot, same clocks */
	uint64_t xcr0;		   /* xsave features in use (XCR0), 0 if unknown */
	uint32_t xsave_size_bytes; /* size of the whole XSAVE area of this machine */
	/* CPUID words that programs select code by; see arch/cpu.h for their order. */
	uint32_t *cpuid_words;
	uint32_t nr_cpuid_words;
	char *cpu_name;
	uint64_t mmap_min_addr;
};

/* ---- memory --------------------------------------------------------------------------- */

enum thump_vma_kind {
	THUMP_VMA_ANON = 1,	 /* private anonymous, brk heap and stacks included */
	THUMP_VMA_FILE_PRIVATE,	 /* MAP_PRIVATE of a regular file */
	THUMP_VMA_FILE_SHARED,	 /* MAP_SHARED of a regular file: content is the file's */
	THUMP_VMA_SHMEM_ANON,	 /* MAP_SHARED|MAP_ANONYMOUS ("/dev/zero (deleted)") */
	THUMP_VMA_MEMFD_SHARED,	 /* MAP_SHARED of a memfd */
	THUMP_VMA_MEMFD_PRIVATE, /* MAP_PRIVATE of a memfd */
	THUMP_VMA_VDSO,
	THUMP_VMA_VVAR,	       /* [vvar] and [vvar_vclock] */
	THUMP_VMA_VSYSCALL,    /* recorded only; every process has it */
	THUMP_VMA_DEVICE_ZERO, /* MAP_PRIVATE of /dev/zero: anonymous in all but name */
};

/* smaps VmFlags that mmap's prot and flags do not carry; bits of thump_vma.traits. */
enum thump_vma_trait {
	THUMP_VMA_GROWSDOWN = 1u << 0,
	THUMP_VMA_LOCKED = 1u << 1,
	THUMP_VMA_DONTFORK = 1u << 2,
	THUMP_VMA_WIPEONFORK = 1u << 3,
	THUMP_VMA_DONTDUMP = 1u << 4,
	THUMP_VMA_HUGEPAGE = 1u << 5,
	THUMP_VMA_NOHUGEPAGE = 1u << 6,
	THUMP_VMA_MERGEABLE = 1u << 7,
	THUMP_VMA_NORESERVE = 1u << 8,
	THUMP_VMA_SEQ_READ = 1u << 9,
	THUMP_VMA_RAND_READ = 1u << 10,
	THUMP_VMA_SYNC = 1u << 11,
	THUMP_VMA_DROPPABLE = 1u << 12,
	THUMP_VMA_SEALED = 1u << 13,
	THUMP_VMA_ACCOUNT = 1u << 14,
	THUMP_VMA_SHADOW_STACK = 1u << 15,
	THUMP_VMA_HUGETLB = 1u << 16,
	THUMP_VMA_IO = 1u << 17,	 /* VM_IO or VM_PFNMAP: a device's memory */
	THUMP_VMA_UFFD = 1u << 18,	 /* registered with userfaultfd */
	THUMP_VMA_MAYWRITE = 1u << 19,	 /* mw */
	THUMP_VMA_MAYEXEC = 1u << 20,	 /* me */
	THUMP_VMA_MAYREAD = 1u << 21,	 /* mr */
	THUMP_VMA_LAZY_IMAGE = 1u << 22, /* was mapped from a thump image; recorded as ANON */
	THUMP_VMA_GUARDED = 1u << 23,	 /* gu: had guard regions at some time; never recorded */
};

struct thump_range {
	uint64_t start, end;
};

/* Where content of a range lies in the image file; ranges not listed read as zeros (anonymous
 * memory) or as the file (file mappings). Sorted by start, never overlapping. */
struct thump_extent {
	uint64_t start, end;
	uint64_t file_offset; /* in the image; filled by the image layer */
};

struct thump_vma {
	uint64_t start, end;
	uint32_t prot;	     /* PROT_* */
	uint32_t kind;	     /* enum thump_vma_kind */
	uint32_t traits;     /* bits of enum thump_vma_trait */
	uint32_t backing_id; /* index into backings, or THUMP_NO_ID */
	uint64_t offset;     /* into the backing */
	char *anon_name;     /* PR_SET_VMA_ANON_NAME, or NULL */
	/* Pages whose content must travel in the image; found by capture, page aligned. */
	struct thump_extent *extents;
	uint32_t nr_extents;
	uint32_t pkey;
};

/* ---- files and descriptors ------------------------------------------------------------ */

/* How to know a file again: build-id + size for ELF, else size + hash of the first and last
 * 64 KiB. mtime and dev:inode are hints for messages only. */
struct thump_file_identity {
	uint64_t size_bytes;
	uint64_t edge_hash; /* xxh3 of the first and last 64 KiB, 0 if not taken */
	unsigned char build_id[64];
	uint32_t build_id_len; /* 0 when not ELF or without build-id */
	uint32_t mode;	       /* st_mode */
	uint64_t mtime_ns, dev, ino;
};

enum thump_backing_kind {
	THUMP_BACKING_FILE = 1, /* a path to be opened again */
	THUMP_BACKING_CARRIED,	/* a deleted or temporary file: content travels in the image */
	THUMP_BACKING_MEMFD,
	THUMP_BACKING_SHMEM, /* anonymous shared memory */
};

/* What mappings and regular-file descriptors refer to: an inode, once each. */
struct thump_backing {
	uint32_t kind;
	char *path;   /* as the target sees it; for memfds the name */
	bool deleted; /* no name left: carried */
	struct thump_file_identity identity;
	uint32_t memfd_seals;
	uint32_t memfd_flags; /* MFD_* that matter at creation */
	/* Content in the image of CARRIED, MEMFD and SHMEM backings: offsets into the backing. */
	uint64_t content_size_bytes; /* file size */
	struct thump_extent *extents;
	uint32_t nr_extents;
	/* Not saved: an fd or (pid, path) through which capture reads content; -1 if none. */
	int capture_fd;
};

/* An open file description: shared by every descriptor dup'ed from it. */
struct thump_ofd {
	uint16_t kind_id;    /* of src/kinds */
	uint16_t version;    /* of the record's layout */
	uint32_t open_flags; /* O_* as F_GETFL shows them, without O_CLOEXEC */
	uint64_t pos;
	uint32_t backing_id; /* or THUMP_NO_ID */
	int32_t owner;	     /* F_GETOWN_EX value, 0 if none */
	int32_t owner_type;
	int32_t owner_signal;  /* F_GETSIG */
	unsigned char *record; /* the kind's own bytes, decoded only by the kind */
	uint32_t record_size;
	char *text; /* for people: "pipe:[4711]", "TCP 127.0.0.1:8080 listening" */
};

struct thump_fd {
	int32_t fd;
	bool cloexec;
	uint32_t ofd_id;
};

/* ---- signals and timers --------------------------------------------------------------- */

struct thump_sigaction {
	uint64_t handler; /* or SIG_DFL 0, SIG_IGN 1 */
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

struct thump_siginfo {
	unsigned char bytes[THUMP_SIGINFO_SIZE];
};

struct thump_itimer {
	uint64_t interval_us, value_us; /* remaining at the capture */
};

struct thump_posix_timer {
	int32_t id;
	int32_t clock_id;
	int32_t notify; /* sigevent.sigev_notify, SIGEV_THREAD_ID included */
	int32_t signo;
	uint64_t sigval;
	int32_t tid;			/* for SIGEV_THREAD_ID */
	uint64_t interval_ns, value_ns; /* remaining */
	uint32_t overrun;
};

/* ---- threads -------------------------------------------------------------------------- */

enum thump_task_state {
	THUMP_TASK_RUNNING = 1,
	THUMP_TASK_STOPPED = 2, /* in a group-stop (SIGSTOP) */
};

struct thump_task {
	int32_t tid; /* in the target's own pid namespace */
	uint32_t state;
	char comm[THUMP_COMM_SIZE];
	struct user_regs_struct regs; /* already corrected: resumes its system call by itself */
	unsigned char *xstate;	      /* NT_X86_XSTATE, uncompacted */
	uint32_t xstate_size;
	uint64_t sigmask;
	struct thump_siginfo *pending;
	uint32_t nr_pending;
	uint64_t clear_child_tid;
	uint64_t robust_list, robust_list_len;
	uint64_t rseq_addr;
	uint32_t rseq_len, rseq_sig;
	uint64_t altstack_sp, altstack_size;
	uint32_t altstack_flags;
	int32_t sched_policy, sched_priority, nice;
	uint32_t sched_flags; /* SCHED_FLAG_RESET_ON_FORK */
	int32_t ioprio;
	uint64_t timer_slack_ns;
	uint64_t *affinity; /* CPU mask words as sched_getaffinity gives them */
	uint32_t nr_affinity_words;
	int32_t pdeathsig;
	uint32_t blocked_syscall; /* nr it was blocked in, or THUMP_NO_ID; for people */
};

/* ---- the process ---------------------------------------------------------------------- */

struct thump_mm {
	uint64_t start_code, end_code, start_data, end_data;
	uint64_t start_brk, brk, start_stack;
	uint64_t arg_start, arg_end, env_start, env_end;
	unsigned char *auxv;
	uint32_t auxv_size;
	uint64_t vdso_start, vdso_end; /* 0 when there is none */
	uint64_t vvar_start, vvar_end; /* [vvar] .. end of [vvar_vclock] */
	unsigned char vdso_hash[8];    /* xxh3 of the vdso's bytes */
	/* Address of a `syscall` instruction (0f 05) in executable memory that is not the blob. */
	uint64_t syscall_insn;
	bool dumpable_known;
	uint32_t dumpable;
	bool thp_disable;
	uint16_t pkeys; /* protection keys that are allocated, by their numbers; never 0 */
	bool membarrier_known;
	uint32_t membarrier_registrations; /* MEMBARRIER_CMD_GET_REGISTRATIONS */
	bool mcl_future;
};

struct thump_rlimit {
	uint64_t soft, hard;
};

struct thump_creds {
	uint32_t uid, euid, suid, fsuid;
	uint32_t gid, egid, sgid, fsgid;
	uint32_t *groups;
	uint32_t nr_groups;
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	uint32_t securebits;
	bool no_new_privs;
	bool seccomp_filters_known;
	uint32_t seccomp_filters; /* how many there were: thump's own, too */
};

/* A runtime in the process that takes part in restores (coord/abi.h). */
struct thump_runtime {
	char *name;		  /* NULL: there is none */
	uint64_t parameters_addr; /* where it wants to find what a restore says; 0: nowhere */
	uint64_t parameters_size_bytes;
	uint64_t clock_addr; /* i64: what CLOCK_MONOTONIC is ahead of its own; 0: it has none */
	/* What it has set itself up for; 0: not known. */
	uint64_t heap_bytes, heap_max_bytes;
	uint32_t processors;
};

struct thump_process {
	int32_t pid, ppid, pgid, sid; /* in the target's own pid namespace */
	int32_t pid_host;	      /* as thump saw it; for people */
	uint32_t tty_nr;	      /* controlling terminal, 0 if none */
	char *exe_path;
	struct thump_file_identity exe_identity;
	char *cwd, *root;
	uint32_t umask;
	uint32_t personality;
	int32_t oom_score_adj;
	bool child_subreaper;
	struct thump_creds creds;
	struct thump_rlimit rlimits[THUMP_NR_RLIMITS];
	struct thump_sigaction sigactions[THUMP_NR_SIGNALS]; /* [signo - 1] */
	struct thump_siginfo *pending;			     /* process-directed */
	uint32_t nr_pending;
	struct thump_itimer itimers[THUMP_NR_ITIMERS];
	char *cmdline;	   /* arguments joined by spaces; for people */
	bool user_vouched; /* a runtime vouches that the program stands other pids and tids */
	struct thump_runtime runtime;
};

/* ---- all of it ------------------------------------------------------------------------ */

/*
 * What a restored process touches until it is of use, as `thump train` has seen it: pages of its
 * own, and pages of files (the image among them) that are only read. Hints: what is missing comes
 * when it is touched. Each list is sorted and does not overlap.
 */
struct thump_hot {
	struct thump_range *written, *read;
	uint32_t nr_written, nr_read;
};

struct thump_model {
	struct thump_arena arena;
	struct thump_machine machine;
	struct thump_process process;
	struct thump_mm mm;
	struct thump_task *tasks; /* tasks[0] is the thread group leader */
	uint32_t nr_tasks;
	struct thump_vma *vmas; /* sorted by start */
	uint32_t nr_vmas;
	struct thump_backing *backings;
	uint32_t nr_backings;
	struct thump_ofd *ofds;
	uint32_t nr_ofds;
	struct thump_fd *fds; /* sorted by fd */
	uint32_t nr_fds;
	struct thump_posix_timer *timers;
	uint32_t nr_timers;
	/* Memory that may be a private mapping of the image, because the program's runtime says
	 * that nobody uses MADV_DONTNEED, MADV_FREE or mremap(2) there. Sorted, never overlapping.
	 */
	struct thump_range *vouched;
	uint32_t nr_vouched;
	struct thump_hot hot;
	/* Guard regions (MADV_GUARD_INSTALL); sorted, each inside of one VMA. */
	struct thump_range *guards;
	uint32_t nr_guards;
	/* Where process.user_vouched: addresses of pid_t that hold a tid of the process, besides
	 * those at clear_child_tid; and why there can be no other tids all the same, or NULL. */
	uint64_t *tid_words;
	uint32_t nr_tid_words;
	char *tid_obstacle;
};

void thump_model_init(struct thump_model *model);
void thump_model_deinit(struct thump_model *model);

/* Private memory that no file is below. */
static inline bool thump_vma_is_anonymous(const struct thump_vma *vma)
{
	return vma->kind == THUMP_VMA_ANON || vma->kind == THUMP_VMA_DEVICE_ZERO;
}

/* The first part of [start, end) that is in one of these ranges, which are sorted and do not
 * overlap; false: none is. */
bool thump_find_part(const struct thump_range *ranges, size_t count, uint64_t start, uint64_t end,
		     struct thump_range *part_ret);
/* The sum of their sizes. */
uint64_t thump_ranges_bytes(const struct thump_range *ranges, size_t count);
uint64_t thump_extents_bytes(const struct thump_extent *extents, size_t count);
/* As thump_find_part() in what is vouched for. */
bool thump_model_find_vouched(const struct thump_model *model, uint64_t start, uint64_t end,
			      struct thump_range *part_ret);

/* For people: "anon", "file", "shmem", ... */
const char *thump_vma_kind_name(uint32_t kind);

#endif
