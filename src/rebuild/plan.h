/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/rebuild: what is decided before any process exists. */
#ifndef THUMP_REBUILD_PLAN_H
#define THUMP_REBUILD_PLAN_H

#include <sched.h>
#include <sys/resource.h>

#include "kinds/kind.h"
#include "rebuild/rebuild.h"
#include "rebuild/region.h"
#include "rebuild/spawn.h"

/* Whose ids the restored process has. */
enum thump_ids_mode {
	THUMP_IDS_SAME = 0, /* ours are the image's */
	THUMP_IDS_SET,	    /* we may take on the image's */
	THUMP_IDS_CALLER,   /* the image's are one ordinary identity: ours instead */
};

/* What every thread starts with, inherited from us; only what differs needs a step. */
struct thump_inherited {
	uint32_t sched_policy;
	uint64_t sched_flags;
	int32_t nice;
	uint32_t priority;
	int32_t ioprio;
	uint64_t timer_slack_ns;
	uint64_t affinity[CPU_SETSIZE / 64];
};
struct thump_inherited thump_inherited_of_us(void);

/* [vvar], [vvar_vclock], [vdso], and what newer kernels may add. */
#define THUMP_MAX_KERNEL_MAPPINGS 6
struct thump_kernel_mapping {
	uint64_t from_vdso; /* modulo 2^64 */
	uint64_t size;
};
struct thump_kernel_mappings {
	struct thump_kernel_mapping list[THUMP_MAX_KERNEL_MAPPINGS];
	size_t count;
	/* Of a system call instruction in the vdso; 0: there is none. */
	uint64_t insn_from_vdso;
	uint64_t vdso_size;
	/* The image's vdso is another one (vdso.c): this kernel's goes to vdso_to, and these bytes
	 * are written to where the image's was. */
	bool bridged;
	uint64_t vdso_to;
	const unsigned char *bridge;
};

struct thump_plan {
	struct thump_image *image;
	const struct thump_model *model; /* of the image */
	struct thump_rebuild_options options;
	struct thump_arena arena;
	struct thump_fd_rebuild rb;
	enum thump_pid_way way;
	struct thump_head_start *head_start; /* the way is a namespace, and it is being made */
	struct thump_region region;	     /* of thump_region_prepare(), until it is taken */
	enum thump_memory_mode memory;	     /* what will be done, not what was asked for */
	bool content_known;		     /* all of the image's was verified before */
	enum thump_ids_mode ids;
	int exe_fd;
	bool set_oom_score;				   /* ours differs from the image's */
	struct thump_rlimit rlimits[THUMP_NR_RLIMITS];	   /* what it will have */
	struct thump_rlimit own_rlimits[THUMP_NR_RLIMITS]; /* ours */
	bool have_pkeys;				   /* those of the image can be had */
	bool huge_pages;				   /* the kernel gives some */
	bool same_boot; /* the image was taken since this machine started */
	bool affinity_matters;
	struct thump_inherited inherited;
	struct thump_kernel_mappings kernel;
	bool set_caps;	   /* the process may have capabilities after its exec */
	uint64_t taken_ns; /* a spare: when; else 0 */
	int park_fd;	   /* THUMP_PART_TEMPLATE: its end of the socket to its keeper */
};

#define THUMP_MADV_GUARD_INSTALL 102 /* Linux 6.13 */

/* ---- fd slots of the region: the image, the backings, the region's own memfd -------------- */

static inline uint32_t thump_slot_image(void)
{
	return 0;
}

static inline uint32_t thump_slot_backing(uint32_t backing_id)
{
	return 1 + backing_id;
}

static inline uint32_t thump_slot_region(const struct thump_model *model)
{
	return 1 + model->nr_backings;
}

/* Of a template: its socket to its keeper; of a clone: the working directory. */
static inline uint32_t thump_slot_own(const struct thump_model *model)
{
	return 2 + model->nr_backings;
}

/* Of a clone: its socket to its maker. */
static inline uint32_t thump_slot_maker(const struct thump_model *model)
{
	return 3 + model->nr_backings;
}

static inline uint32_t thump_nr_slots(const struct thump_model *model)
{
	return 4 + model->nr_backings;
}

/* ---- address space ------------------------------------------------------------------------ */

/* First address >= from, with size_bytes free up to it plus size in the image's layout; 0 when
 * there is none below what mmap(2) hands out. */
uint64_t thump_find_gap(const struct thump_model *model, uint64_t from, uint64_t size_bytes);

/* Where blob and data go: free in every image's layout that has a gap there, and where neither
 * execve(2) nor the dynamic loader puts anything. 0 when there is no room. */
uint64_t thump_place_blob(const struct thump_model *model);

/* The part of the gap before the blob in which vdso and vvar may rest for a moment. */
#define THUMP_SPARE_BYTES ((uint64_t)1 << 20)
/* The whole gap; no region is bigger. */
#define THUMP_GAP_BYTES ((uint64_t)1 << 30)

/*
 * Writes the steps that empty the address space, but for blob, data, vdso and vvar, and move the
 * latter two to their places. vdso_start is where exec put the vdso; the kernel's other mappings
 * lie relative to it as in every process.
 */
THUMP_MUST_CHECK int thump_layout_steps(struct thump_region *region,
					const struct thump_model *model,
					const struct thump_kernel_mappings *own,
					uint64_t vdso_start, struct thump_err *err);

/* Finds the kernel's mappings; where the vdso is not the image's byte by byte, prepares a bridge
 * between the two, or adds a problem. */
THUMP_MUST_CHECK int thump_check_vdso(struct thump_plan *plan, struct thump_problems *problems,
				      struct thump_err *err);

/* ---- steps ---------------------------------------------------------------------------------- */

/* Setup: memory in the place of an old vdso and vvar. The bridge itself is written by rebuild. */
void thump_bridge_steps(const struct thump_plan *plan, struct thump_region *region);

/* Mappings, and what is to be read into them: thump_memory_steps in jobs.h. */
struct thump_memory;
/* Finish: protections, locks, seals, and what was only there to be filled. */
void thump_memory_finish(const struct thump_memory *memory, struct thump_region *region);

/* Setup steps of the process as a whole, before threads exist. */
void thump_process_setup(const struct thump_plan *plan, struct thump_region *region);
/* Finish steps of the process, but for timers and limits. */
void thump_process_finish(const struct thump_plan *plan, struct thump_region *region);
/* Setup steps of a clone: what is the caller's, or its maker's, and not its template's. */
void thump_clone_setup(const struct thump_plan *plan, const struct thump_caps *caps,
		       struct thump_region *region);
/* The only other steps of a template: room to wait in, and nothing open but its socket. */
void thump_template_finish(const struct thump_plan *plan, struct thump_region *region);
/* Finish steps that start clocks or set limits: last. */
void thump_process_last(const struct thump_plan *plan, struct thump_region *region);

/* What a thread does for itself, and at its very end about its capabilities; for the leader among
 * the finish steps. */
void thump_thread_steps(const struct thump_plan *plan, const struct thump_task *task,
			struct thump_region *region);
void thump_caps_steps(const struct thump_task *task, const struct thump_plan *plan,
		      const struct thump_caps *caps, struct thump_region *region);
/* How many processors our own mask allows. */
uint32_t thump_own_processors(const struct thump_plan *plan);
/* The mask leaves out processors that we may use, and not all of them. */
bool thump_affinity_restricts(const struct thump_plan *plan, const struct thump_task *task);
/* Stacks, threads but the leader and their steps, helpers. */
THUMP_MUST_CHECK int thump_threads_describe(struct thump_plan *plan, const struct thump_caps *caps,
					    uint32_t nr_helpers, struct thump_region *region,
					    struct thump_err *err);

/* Queues a pending signal, but for those that nobody can queue and SIGTRAP (see abi.h). */
void thump_step_queue(struct thump_region *region, const struct thump_siginfo *info,
		      bool to_thread);

/* Writes the whole region but for the fd table and what depends on the exec; jobs tells
 * afterwards what of the image is read. */
struct thump_jobs;
THUMP_MUST_CHECK int thump_write_steps(struct thump_plan *plan, enum thump_pid_way tid_way,
				       const struct thump_caps *caps, struct thump_jobs *jobs,
				       struct thump_region *region, struct thump_err *err);

/* ---- whose rights open files (rights.c) ------------------------------------------------------ */

/* Files are the program's from now on: where ids are THUMP_IDS_SET, this process opens them with
 * the program's rights until it takes on its ids or execs. */
THUMP_MUST_CHECK int thump_act_as_program(const struct thump_plan *plan, struct thump_err *err);
/* thump_check_fds with these rights; ours are back afterwards. */
THUMP_MUST_CHECK int thump_check_fds_as_program(struct thump_plan *plan,
						struct thump_problems *problems,
						struct thump_err *err);

/* After a failure: removes what the child had made, with the same rights. */
void thump_undo_fds_as_program(struct thump_plan *plan);

/* Where a template waits, and what clones of it get rid of: right before the blob. */
static inline uint64_t thump_park_addr(const struct thump_region *region)
{
	return region->code_addr - THUMP_PARK_BYTES;
}

/* What the region of this plan needs. */
struct thump_region_needs thump_region_needs(const struct thump_plan *plan);

/* ---- the child before its exec ------------------------------------------------------------- */

/* How many descriptors at most: the program's, those of its backings, image, region, directory. */
static inline uint32_t thump_max_handed_over(const struct thump_model *model)
{
	return model->nr_fds + thump_nr_slots(model);
}
/* In place of that, for a clone: makes the descriptors and hands them over; abi.h tells how. */
_Noreturn void thump_child_hand_over(struct thump_plan *plan, struct thump_region *region,
				     int socket_fd);

/* Becomes the target's executable; never returns. Errors go to region->child_err. */
_Noreturn void thump_child_main(struct thump_plan *plan, enum thump_pid_way tid_way,
				const struct thump_caps *final, struct thump_region *region,
				int go_fd);

/* Limits that could hit the rebuilding itself: raised in the child, set again by a step. */
static inline bool thump_limit_is_raised(uint32_t resource)
{
	return resource != RLIMIT_STACK && resource != RLIMIT_CORE && resource != RLIMIT_CPU;
}

/* ---- checks of the plan -------------------------------------------------------------------- */

/* Each adds its misfits to problems and decides its part of the plan; -1 is for failures of thump
 * or the kernel. */
THUMP_MUST_CHECK int thump_check_machine(struct thump_plan *plan, struct thump_problems *problems,
					 struct thump_err *err);
void thump_check_owner(struct thump_plan *plan, struct thump_problems *problems);
void thump_check_ids(struct thump_plan *plan, struct thump_problems *problems);
THUMP_MUST_CHECK int thump_check_files(struct thump_plan *plan, struct thump_problems *problems,
				       struct thump_err *err);
THUMP_MUST_CHECK int thump_check_memory(struct thump_plan *plan, struct thump_problems *problems,
					struct thump_err *err);
void thump_check_parameters(const struct thump_plan *plan, struct thump_problems *problems);
void thump_check_limits(struct thump_plan *plan, struct thump_problems *problems);
/* What a template or a clone cannot be. */
void thump_check_part(const struct thump_plan *plan, struct thump_problems *problems);
/* After the two above. */
void thump_check_sizes(const struct thump_plan *plan, struct thump_problems *problems);

/* Every process has these from the kernel: they are moved, not made. */
static inline bool thump_vma_is_kernels(const struct thump_vma *vma)
{
	return vma->kind == THUMP_VMA_VDSO || vma->kind == THUMP_VMA_VVAR ||
	       vma->kind == THUMP_VMA_VSYSCALL;
}

#endif
