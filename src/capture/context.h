/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/capture: what the phases of one capture share. */
#ifndef THUMP_CAPTURE_CONTEXT_H
#define THUMP_CAPTURE_CONTEXT_H

#include "capture/capture.h"
#include "proc/maps.h"
#include "proc/status.h"
#include "trace/target.h"

struct thump_capture {
	struct thump_capture_options options;
	struct thump_problems *problems;
	struct thump_capture_times times;
	struct thump_target *target; /* NULL before the stop */
	struct thump_target *copy;   /* live: of the target; or NULL */
	uint64_t uncopied_bytes;     /* live: to be read while the target stands still */
	struct thump_model model;
	struct thump_arena scratch; /* what only phases need; freed before the memory is copied */
	int proc_fd;		    /* O_PATH of /proc/PID, before and after the stop */
	struct thump_status own_status; /* of thump itself */
	struct thump_status status;	/* of the leader, after the stop */
	struct thump_stat stat;
	bool thread_flags_differ;	       /* PF_* of its threads, as far as they are modes */
	struct thump_mode_question *questions; /* modes.c: for every thread */
	size_t nr_questions;
	struct thump_maps maps; /* with VmFlags; list[i] is model.vmas[i] */
	struct thump_arena maps_arena;
	bool flags_in_copy; /* live: VmFlags are those from before the stop, until smaps.c has read
			     * them in the copy */
	struct thump_range *needless; /* options.needless, and what options.scrubs come to */
	size_t nr_needless;
	/* Of the model's vouched ranges those that the runtime manages itself; in its arena. */
	struct thump_range *managed;
	size_t nr_managed;
	const char *tmpdir;		 /* TMPDIR of the target's environment, or NULL */
	struct thump_tid_look *tid_look; /* of tids.c, until it is settled; or NULL */
};

/* ---- phases.c: in the order in which they run ------------------------------------------ */

/* Not stopped yet. */
THUMP_MUST_CHECK int thump_capture_open(struct thump_capture *cap, struct thump_err *err);
/* smaps.c */
THUMP_MUST_CHECK int thump_capture_smaps_before(struct thump_capture *cap, struct thump_err *err);
/* Warns about other processes that have shared memory of the target. sharers.c */
THUMP_MUST_CHECK int thump_capture_sharers(struct thump_capture *cap, struct thump_err *err);

/* Stopped; facts from /proc and system calls of our own. */
THUMP_MUST_CHECK int thump_capture_facts(struct thump_capture *cap, struct thump_err *err);
/* One part of it. smaps.c */
THUMP_MUST_CHECK int thump_capture_smaps(struct thump_capture *cap, struct thump_err *err);
/* Lists what keeps the target from making system calls; then the phases that need them do not run.
 */
THUMP_MUST_CHECK int thump_capture_obstacles(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_machine(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_process(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_creds(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_level(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_tasks(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_relations(struct thump_capture *cap, struct thump_err *err);

/* Stopped; what only the target itself can tell: remote calls. */
THUMP_MUST_CHECK int thump_capture_remote_process(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_signals(struct thump_capture *cap, struct thump_err *err);
/* Live, the same of the copy, before thump_copy_settle(): it has those of the moment that it was
 * made. */
THUMP_MUST_CHECK int thump_capture_signals_of_copy(struct thump_capture *cap,
						   struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_timers(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_remote_tasks(struct thump_capture *cap, struct thump_err *err);

/* Memory: descriptors have put their backings into the model before. */
THUMP_MUST_CHECK int thump_capture_mm(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_mappings(struct thump_capture *cap, struct thump_err *err);
/* Newer flags of a mapping of the model; refuses those that cannot be saved. */
void thump_capture_update_flags(struct thump_capture *cap, const struct thump_map *map,
				struct thump_vma *vma);
/* Before hooks run: lists only the mappings that cannot be saved whatever is closed. */
THUMP_MUST_CHECK int thump_capture_lasting_mappings(struct thump_capture *cap,
						    struct thump_err *err);
/* Backing of a memfd or of shared anonymous memory, added on first use. shared.c */
THUMP_MUST_CHECK int thump_capture_memfd(struct thump_capture *cap, const struct thump_map *map,
					 uint32_t *backing_id_ret, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_shmem(struct thump_capture *cap, const struct thump_map *map,
					 uint32_t *backing_id_ret, struct thump_err *err);
/* A new backing for a deleted file that cannot be opened; THUMP_NO_ID when that is refused. */
THUMP_MUST_CHECK int thump_capture_lost_file(struct thump_capture *cap, const struct thump_map *map,
					     uint32_t *backing_id_ret, struct thump_err *err);
/* Which memory is vouched for; before the mappings, whose kind may follow from it. vouched.c */
THUMP_MUST_CHECK int thump_capture_vouched(struct thump_capture *cap, struct thump_err *err);
/* Which memory is left out; after the mappings. scrubs.c */
THUMP_MUST_CHECK int thump_capture_needless(struct thump_capture *cap, struct thump_err *err);
/* One more mapping of it was seen. */
void thump_capture_grow_view(struct thump_capture *cap, const struct thump_map *map,
			     uint32_t backing_id);
THUMP_MUST_CHECK int thump_capture_shared_content(struct thump_capture *cap, struct thump_err *err);
/* Which pages of mappings that a copy would lack (MADV_DONTFORK) travel in the image; then
 * thump_capture_pages() leaves those mappings out. */
THUMP_MUST_CHECK int thump_capture_uncopied_pages(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_pages(struct thump_capture *cap, struct thump_err *err);
/* Live: what a copy cannot hold is read while the target stands still, and must not be much.
 * live.c */
THUMP_MUST_CHECK int thump_capture_uncopied(struct thump_capture *cap, struct thump_err *err);
THUMP_MUST_CHECK int thump_capture_copy(struct thump_capture *cap, struct thump_err *err);
/* Where VmFlags are to be those of the copy: reads them in the target after all, if the copy does
 * not have every mapping. The target stands still. smaps.c */
THUMP_MUST_CHECK int thump_capture_compare_copy(struct thump_capture *cap, struct thump_err *err);
/* Reads them in the copy, while the target runs on; refuses as thump_capture_mappings() does. */
THUMP_MUST_CHECK int thump_capture_flags_of_copy(struct thump_capture *cap, struct thump_err *err);
/* Who remembers tids, where a program stands others: begins to search. tids.c */
THUMP_MUST_CHECK int thump_capture_tid_words(struct thump_capture *cap, struct thump_err *err);

/* Of thump_capture_remote_tasks: the call by which each thread answers one of cap->questions, with
 * an answer in memory at this offset of the area; and one thread's answer. modes.c */
void thump_capture_question(const struct thump_capture *cap, size_t which, size_t offset,
			    struct thump_remote_call *call_ret);
void thump_capture_check_mode(struct thump_capture *cap, size_t index, size_t which, long result,
			      uint64_t value);
/* One thread's share of thump_capture_relations: speculation control. */
void thump_capture_refuse_speculation(struct thump_capture *cap, const struct thump_status *status);

/* ---- helpers ---------------------------------------------------------------------------- */

/* Looks through all of /proc for processes whose parent this is: PPid is always the thread group.
 */
THUMP_MUST_CHECK int thump_capture_search_children(pid_t parent,
						   void (*found)(void *ctx,
								 const struct thump_stat *child),
						   void *ctx, struct thump_err *err);

/* By their starts. */
void thump_capture_sort_ranges(struct thump_range *ranges, size_t count);
/* Ascending, with neighbours and what overlaps as one: how many are left. */
size_t thump_capture_merge_ranges(struct thump_range *list, size_t count);

/* The process that memory is read from: the target, or its copy. */
const struct thump_target *thump_capture_memory(const struct thump_capture *cap);

/* Content of a backing, as thump_page_source has it. */
THUMP_MUST_CHECK int thump_capture_read_backing(const struct thump_capture *cap,
						uint32_t backing_id, uint64_t offset, void *buf,
						size_t size_bytes, struct thump_err *err);

/* Text of /proc/PID/NAME; the caller frees it. */
THUMP_MUST_CHECK int thump_capture_slurp(const struct thump_capture *cap, const char *name,
					 char **text_ret, size_t *size_ret, struct thump_err *err);

/* Target of the link /proc/PID/NAME in `arena`. */
THUMP_MUST_CHECK int thump_capture_readlink(const struct thump_capture *cap, const char *name,
					    struct thump_arena *arena, char **link_ret,
					    struct thump_err *err);

/* tid in the target's own pid namespace of a thread that we know as tid_host; 0: no such thread. */
int32_t thump_capture_tid(const struct thump_capture *cap, int32_t tid_host);

/* One remote call whose arguments are numbers, or the address of the remote area where the
 * argument is THUMP_AREA. result_ret is the raw result. `thread` is an index into threads, or
 * THUMP_ANY_THREAD. */
#define THUMP_ANY_THREAD SIZE_MAX
THUMP_MUST_CHECK int thump_capture_call(struct thump_capture *cap, size_t thread, long nr,
					const uint64_t args[6], long *result_ret,
					struct thump_err *err);

/* The first size_bytes of the remote area. */
THUMP_MUST_CHECK int thump_capture_area(struct thump_capture *cap, void *buf, size_t size_bytes,
					struct thump_err *err);

/* Lists something that cannot be saved. */
#define thump_capture_refuse(cap, word, ...)                                                       \
	thump_problem_add((cap)->problems, false, -1, (word), __VA_ARGS__)
#define thump_capture_warn(cap, word, ...)                                                         \
	thump_problem_add((cap)->problems, true, -1, (word), __VA_ARGS__)

#define thump_out_of_memory(err) thump_fail((err), "out of memory")

#endif
