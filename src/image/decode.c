/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes -> model. Input is hostile: every count is limited by the bytes that are left before
 * anything is allocated, and every record must be used up. Meaning is checked in rules.c.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/pages.h"
#include "image/arch/core.h"
#include "image/note.h"
#include "image/read.h"

#define VMA_NUMBERS_SIZE 48u

struct decode {
	struct thump_image *image;
	struct thump_model *model;
	struct thump_arena *arena;
	struct thump_task *task; /* of the last NT_PRSTATUS */
	bool task_has_record;
	uint32_t nr_prstatus;
	uint32_t seen; /* bits of records by their low byte */
	bool has_auxv;
};

/* ---- fields --------------------------------------------------------------------------- */

static int32_t get_i32(struct thump_reader *r)
{
	return (int32_t)thump_get_u32(r);
}

static bool get_bool(struct thump_reader *r)
{
	uint8_t value = thump_get_u8(r);

	if (value > 1)
		r->failed = true;
	return value == 1;
}

/* A count of elements of at least min_size bytes each: never more than can be there. */
static uint32_t get_count(struct thump_reader *r, uint32_t max, size_t min_size)
{
	uint32_t count = thump_get_u32(r);

	if (count > max || count > (size_t)(r->end - r->at) / min_size)
		r->failed = true;
	return r->failed ? 0 : count;
}

static void *get_array(struct thump_reader *r, struct thump_arena *arena, uint32_t count,
		       size_t size_bytes)
{
	void *array = thump_arena_alloc(arena, count ? count : 1, size_bytes);

	if (!array)
		r->failed = true;
	return array;
}

static char *get_str(struct thump_reader *r, struct decode *d)
{
	return thump_get_str(r, d->arena, IMG_MAX_STRING);
}

static void get_copy(struct thump_reader *r, void *to, size_t size_bytes)
{
	const void *from = thump_get_bytes(r, size_bytes);

	if (from)
		memcpy(to, from, size_bytes);
}

static void get_words64(struct thump_reader *r, uint64_t *words, size_t count)
{
	get_copy(r, words, count * sizeof(*words));
	for (size_t i = 0; i < count; i++)
		words[i] = le64toh(words[i]);
}

static void get_words32(struct thump_reader *r, uint32_t *words, size_t count)
{
	get_copy(r, words, count * sizeof(*words));
	for (size_t i = 0; i < count; i++)
		words[i] = le32toh(words[i]);
}

static struct thump_siginfo *get_siginfos(struct thump_reader *r, struct decode *d,
					  uint32_t *count_ret)
{
	uint32_t count = get_count(r, IMG_MAX_PENDING, THUMP_SIGINFO_SIZE);
	struct thump_siginfo *infos = get_array(r, d->arena, count, sizeof(*infos));

	if (r->failed)
		return NULL;
	for (uint32_t i = 0; i < count; i++)
		get_copy(r, infos[i].bytes, sizeof(infos[i].bytes));
	*count_ret = count;
	return infos;
}

static void get_identity(struct thump_reader *r, struct thump_file_identity *id)
{
	const void *build_id;
	size_t len;

	id->size_bytes = thump_get_u64(r);
	id->edge_hash = thump_get_u64(r);
	id->mode = thump_get_u32(r);
	id->mtime_ns = thump_get_u64(r);
	id->dev = thump_get_u64(r);
	id->ino = thump_get_u64(r);
	build_id = thump_get_blob(r, sizeof(id->build_id), &len);
	if (build_id)
		memcpy(id->build_id, build_id, len);
	id->build_id_len = (uint32_t)len;
}

/* ---- records -------------------------------------------------------------------------- */

static void get_machine(struct decode *d, struct thump_reader *r)
{
	struct thump_machine *machine = &d->model->machine;

	machine->hostname = get_str(r, d);
	machine->kernel_release = get_str(r, d);
	machine->thump_version = get_str(r, d);
	machine->boottime_ns = thump_get_u64(r);
	machine->monotonic_ns = thump_get_u64(r);
	machine->realtime_ns = thump_get_u64(r);
	machine->boot_id = get_str(r, d);
	machine->xcr0 = thump_get_u64(r);
	machine->xsave_size_bytes = thump_get_u32(r);
	machine->cpu_name = get_str(r, d);
	machine->nr_cpuid_words = get_count(r, IMG_MAX_CPU_WORDS, sizeof(uint32_t));
	machine->cpuid_words =
		get_array(r, d->arena, machine->nr_cpuid_words, sizeof(*machine->cpuid_words));
	if (machine->cpuid_words)
		get_words32(r, machine->cpuid_words, machine->nr_cpuid_words);
	machine->mmap_min_addr = thump_get_u64(r);
}

static void get_creds(struct decode *d, struct thump_reader *r, struct thump_creds *creds)
{
	uint32_t *const ids[] = { &creds->uid, &creds->euid, &creds->suid, &creds->fsuid,
				  &creds->gid, &creds->egid, &creds->sgid, &creds->fsgid };
	uint64_t *const caps[] = { &creds->cap_inheritable, &creds->cap_permitted,
				   &creds->cap_effective, &creds->cap_bounding,
				   &creds->cap_ambient };

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(ids); i++)
		*ids[i] = thump_get_u32(r);
	creds->securebits = thump_get_u32(r);
	creds->no_new_privs = get_bool(r);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(caps); i++)
		*caps[i] = thump_get_u64(r);
	creds->nr_groups = get_count(r, IMG_MAX_GROUPS, sizeof(uint32_t));
	creds->groups = get_array(r, d->arena, creds->nr_groups, sizeof(*creds->groups));
	if (creds->groups)
		get_words32(r, creds->groups, creds->nr_groups);
}

/* Tables whose length is part of the format. */
static void expect_count(struct thump_reader *r, uint32_t count)
{
	if (thump_get_u32(r) != count)
		r->failed = true;
}

static void get_limits_and_signals(struct decode *d, struct thump_reader *r,
				   struct thump_process *process)
{
	expect_count(r, THUMP_NR_RLIMITS);
	for (size_t i = 0; i < THUMP_NR_RLIMITS; i++) {
		process->rlimits[i].soft = thump_get_u64(r);
		process->rlimits[i].hard = thump_get_u64(r);
	}
	expect_count(r, THUMP_NR_SIGNALS);
	for (size_t i = 0; i < THUMP_NR_SIGNALS; i++) {
		process->sigactions[i].handler = thump_get_u64(r);
		process->sigactions[i].flags = thump_get_u64(r);
		process->sigactions[i].restorer = thump_get_u64(r);
		process->sigactions[i].mask = thump_get_u64(r);
	}
	expect_count(r, THUMP_NR_ITIMERS);
	for (size_t i = 0; i < THUMP_NR_ITIMERS; i++) {
		process->itimers[i].interval_us = thump_get_u64(r);
		process->itimers[i].value_us = thump_get_u64(r);
	}
	process->pending = get_siginfos(r, d, &process->nr_pending);
}

static void get_process(struct decode *d, struct thump_reader *r)
{
	struct thump_process *process = &d->model->process;

	process->pid = get_i32(r);
	process->ppid = get_i32(r);
	process->pgid = get_i32(r);
	process->sid = get_i32(r);
	process->pid_host = get_i32(r);
	process->tty_nr = thump_get_u32(r);
	process->exe_path = get_str(r, d);
	get_identity(r, &process->exe_identity);
	process->cwd = get_str(r, d);
	process->root = get_str(r, d);
	process->umask = thump_get_u32(r);
	process->personality = thump_get_u32(r);
	process->oom_score_adj = get_i32(r);
	process->child_subreaper = get_bool(r);
	process->user_vouched = get_bool(r);
	process->cmdline = thump_get_str(r, d->arena, IMG_MAX_CMDLINE);
	get_creds(d, r, &process->creds);
	get_limits_and_signals(d, r, process);
}

static void get_runtime(struct decode *d, struct thump_reader *r)
{
	struct thump_runtime *runtime = &d->model->process.runtime;
	uint64_t end;

	runtime->name = thump_get_str(r, d->arena, IMG_MAX_RUNTIME);
	runtime->parameters_addr = thump_get_u64(r);
	runtime->parameters_size_bytes = thump_get_u64(r);
	runtime->clock_addr = thump_get_u64(r);
	if (__builtin_add_overflow(runtime->parameters_addr, runtime->parameters_size_bytes,
				   &end) ||
	    end > IMG_USER_END)
		r->failed = true;
}

static void get_sizes(struct decode *d, struct thump_reader *r)
{
	struct thump_runtime *runtime = &d->model->process.runtime;

	runtime->heap_bytes = thump_get_u64(r);
	runtime->heap_max_bytes = thump_get_u64(r);
	runtime->processors = thump_get_u32(r);
}

static void get_mm(struct decode *d, struct thump_reader *r)
{
	struct thump_mm *mm = &d->model->mm;
	uint64_t *const addresses[] = { &mm->start_code,  &mm->end_code,   &mm->start_data,
					&mm->end_data,	  &mm->start_brk,  &mm->brk,
					&mm->start_stack, &mm->arg_start,  &mm->arg_end,
					&mm->env_start,	  &mm->env_end,	   &mm->vdso_start,
					&mm->vdso_end,	  &mm->vvar_start, &mm->vvar_end };

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(addresses); i++)
		*addresses[i] = thump_get_u64(r);
	get_copy(r, mm->vdso_hash, sizeof(mm->vdso_hash));
	mm->syscall_insn = thump_get_u64(r);
	mm->dumpable_known = get_bool(r);
	mm->dumpable = thump_get_u32(r);
	mm->thp_disable = get_bool(r);
	mm->membarrier_known = get_bool(r);
	mm->membarrier_registrations = thump_get_u32(r);
	mm->mcl_future = get_bool(r);
}

static void get_thread(struct decode *d, struct thump_reader *r)
{
	struct thump_task *task = d->task;
	int32_t tid = get_i32(r);

	if (!task || d->task_has_record || tid != task->tid) {
		r->failed = true;
		return;
	}
	d->task_has_record = true;
	task->state = thump_get_u32(r);
	get_copy(r, task->comm, sizeof(task->comm));
	task->sigmask = thump_get_u64(r);
	task->clear_child_tid = thump_get_u64(r);
	task->robust_list = thump_get_u64(r);
	task->robust_list_len = thump_get_u64(r);
	task->rseq_addr = thump_get_u64(r);
	task->rseq_len = thump_get_u32(r);
	task->rseq_sig = thump_get_u32(r);
	task->altstack_sp = thump_get_u64(r);
	task->altstack_size = thump_get_u64(r);
	task->altstack_flags = thump_get_u32(r);
	task->sched_policy = get_i32(r);
	task->sched_priority = get_i32(r);
	task->nice = get_i32(r);
	task->sched_flags = thump_get_u32(r);
	task->ioprio = get_i32(r);
	task->timer_slack_ns = thump_get_u64(r);
	task->pdeathsig = get_i32(r);
	task->blocked_syscall = thump_get_u32(r);
	task->nr_affinity_words = get_count(r, IMG_MAX_CPU_WORDS, sizeof(uint64_t));
	task->affinity = get_array(r, d->arena, task->nr_affinity_words, sizeof(*task->affinity));
	if (task->affinity)
		get_words64(r, task->affinity, task->nr_affinity_words);
	task->pending = get_siginfos(r, d, &task->nr_pending);
}

/* The numbers of a VMA in one piece: an image has thousands of them. */
struct vma_numbers {
	uint64_t start, end, offset;
	uint32_t prot, kind, traits, backing_id, pkey, name_len;
};
_Static_assert(sizeof(struct vma_numbers) == VMA_NUMBERS_SIZE, "docs/FORMAT.md: VMA");

static void get_vma(struct decode *d, struct thump_reader *r, struct thump_vma *vma)
{
	struct vma_numbers le = { 0 };
	uint32_t name_len;
	const char *name;

	get_copy(r, &le, sizeof(le));
	vma->start = le64toh(le.start);
	vma->end = le64toh(le.end);
	vma->offset = le64toh(le.offset);
	vma->prot = le32toh(le.prot);
	vma->kind = le32toh(le.kind);
	vma->traits = le32toh(le.traits);
	vma->backing_id = le32toh(le.backing_id);
	vma->pkey = le32toh(le.pkey);
	name_len = le32toh(le.name_len);
	if (name_len == THUMP_NO_ID)
		return;
	name = name_len <= IMG_MAX_VMA_NAME ? thump_get_bytes(r, name_len) : NULL;
	if (name && !memchr(name, 0, name_len))
		vma->anon_name = thump_arena_strndup(d->arena, name, name_len);
	if (!vma->anon_name)
		r->failed = true;
}

static void get_vmas(struct decode *d, struct thump_reader *r)
{
	uint32_t count = get_count(r, IMG_MAX_ITEMS, VMA_NUMBERS_SIZE);
	struct thump_vma *vmas = get_array(r, d->arena, count, sizeof(*vmas));
	const unsigned char *begin = r->at;

	if (r->failed)
		return;
	for (uint32_t i = 0; i < count && !r->failed; i++)
		get_vma(d, r, &vmas[i]);
	thump_forget_pages(begin, r->at); /* names were copied */
	d->model->vmas = vmas;
	d->model->nr_vmas = count;
}

static void get_backing(struct decode *d, struct thump_reader *r, struct thump_backing *backing)
{
	backing->kind = thump_get_u32(r);
	backing->deleted = get_bool(r);
	backing->memfd_seals = thump_get_u32(r);
	backing->memfd_flags = thump_get_u32(r);
	backing->content_size_bytes = thump_get_u64(r);
	backing->path = get_str(r, d);
	get_identity(r, &backing->identity);
	backing->capture_fd = -1;
	backing->nr_extents = get_count(r, IMG_MAX_ITEMS, 24);
	backing->extents = get_array(r, d->arena, backing->nr_extents, sizeof(*backing->extents));
	for (uint32_t i = 0; i < backing->nr_extents && !r->failed; i++) {
		backing->extents[i].start = thump_get_u64(r);
		backing->extents[i].end = thump_get_u64(r);
		backing->extents[i].file_offset = thump_get_u64(r);
	}
}

static void get_backings(struct decode *d, struct thump_reader *r)
{
	uint32_t count = get_count(r, IMG_MAX_ITEMS, 77);
	struct thump_backing *backings = get_array(r, d->arena, count, sizeof(*backings));

	if (r->failed)
		return;
	for (uint32_t i = 0; i < count && !r->failed; i++)
		get_backing(d, r, &backings[i]);
	d->model->backings = backings;
	d->model->nr_backings = count;
}

static void get_ofd(struct decode *d, struct thump_reader *r, struct thump_ofd *ofd)
{
	const void *record;
	size_t record_size;

	ofd->kind_id = thump_get_u16(r);
	ofd->version = thump_get_u16(r);
	ofd->open_flags = thump_get_u32(r);
	ofd->pos = thump_get_u64(r);
	ofd->backing_id = thump_get_u32(r);
	ofd->owner = get_i32(r);
	ofd->owner_type = get_i32(r);
	ofd->owner_signal = get_i32(r);
	record = thump_get_blob(r, IMG_MAX_OFD_RECORD, &record_size);
	ofd->record = record_size ? thump_arena_memdup(d->arena, record, record_size) : NULL;
	if (record_size && !ofd->record)
		r->failed = true;
	ofd->record_size = (uint32_t)record_size;
	ofd->text = get_str(r, d);
}

static void get_ofds(struct decode *d, struct thump_reader *r)
{
	uint32_t count = get_count(r, IMG_MAX_ITEMS, 40);
	struct thump_ofd *ofds = get_array(r, d->arena, count, sizeof(*ofds));

	if (r->failed)
		return;
	for (uint32_t i = 0; i < count && !r->failed; i++)
		get_ofd(d, r, &ofds[i]);
	d->model->ofds = ofds;
	d->model->nr_ofds = count;
}

static void get_fds(struct decode *d, struct thump_reader *r)
{
	uint32_t count = get_count(r, IMG_MAX_ITEMS, 9);
	struct thump_fd *fds = get_array(r, d->arena, count, sizeof(*fds));

	if (r->failed)
		return;
	for (uint32_t i = 0; i < count; i++) {
		fds[i].fd = get_i32(r);
		fds[i].cloexec = get_bool(r);
		fds[i].ofd_id = thump_get_u32(r);
	}
	d->model->fds = fds;
	d->model->nr_fds = count;
}

static void get_timers(struct decode *d, struct thump_reader *r)
{
	uint32_t count = get_count(r, IMG_MAX_TIMERS, 48);
	struct thump_posix_timer *timers = get_array(r, d->arena, count, sizeof(*timers));

	if (r->failed)
		return;
	for (uint32_t i = 0; i < count; i++) {
		timers[i].id = get_i32(r);
		timers[i].clock_id = get_i32(r);
		timers[i].notify = get_i32(r);
		timers[i].signo = get_i32(r);
		timers[i].sigval = thump_get_u64(r);
		timers[i].tid = get_i32(r);
		timers[i].interval_ns = thump_get_u64(r);
		timers[i].value_ns = thump_get_u64(r);
		timers[i].overrun = thump_get_u32(r);
	}
	d->model->timers = timers;
	d->model->nr_timers = count;
}

static void get_layout(struct decode *d, struct thump_reader *r)
{
	d->image->memory_end = thump_get_u64(r);
	d->image->backing_end = thump_get_u64(r);
	d->image->debug_end = thump_get_u64(r);
	d->image->zero_end = thump_get_u64(r);
}

static void get_checksums(struct decode *d, struct thump_reader *r)
{
	if (thump_get_u32(r) != IMG_CHUNK_SIZE)
		r->failed = true;
	d->image->nr_chunks = get_count(r, UINT32_MAX, sizeof(uint64_t));
	d->image->checksums = thump_get_bytes(r, (size_t)d->image->nr_chunks * sizeof(uint64_t));
}

static void get_ranges(struct thump_reader *r, struct thump_arena *arena,
		       struct thump_range **ranges_ret, uint32_t *count_ret)
{
	uint32_t count = get_count(r, IMG_MAX_ITEMS, 2 * sizeof(uint64_t));
	struct thump_range *ranges = get_array(r, arena, count, sizeof(*ranges));

	if (r->failed)
		return;
	for (uint32_t i = 0; i < count; i++) {
		ranges[i].start = thump_get_u64(r);
		ranges[i].end = thump_get_u64(r);
	}
	*ranges_ret = ranges;
	*count_ret = count;
}

static void get_vouched(struct decode *d, struct thump_reader *r)
{
	get_ranges(r, d->arena, &d->model->vouched, &d->model->nr_vouched);
}

void image_get_hot(struct thump_reader *r, struct thump_arena *arena, struct thump_hot *hot)
{
	get_ranges(r, arena, &hot->written, &hot->nr_written);
	get_ranges(r, arena, &hot->read, &hot->nr_read);
}

static void get_hot(struct decode *d, struct thump_reader *r)
{
	image_get_hot(r, d->arena, &d->model->hot);
}

static void get_pkeys(struct decode *d, struct thump_reader *r)
{
	d->model->mm.pkeys = thump_get_u16(r);
}

static void get_filters(struct decode *d, struct thump_reader *r)
{
	d->model->process.creds.seccomp_filters_known = true;
	d->model->process.creds.seccomp_filters = thump_get_u32(r);
}

static void get_guards(struct decode *d, struct thump_reader *r)
{
	get_ranges(r, d->arena, &d->model->guards, &d->model->nr_guards);
}

static void get_tids(struct decode *d, struct thump_reader *r)
{
	char *obstacle = get_str(r, d);
	uint32_t count = get_count(r, IMG_MAX_ITEMS, sizeof(uint64_t));
	uint64_t *words = get_array(r, d->arena, count, sizeof(*words));

	if (r->failed)
		return;
	get_words64(r, words, count);
	d->model->tid_obstacle = *obstacle ? obstacle : NULL;
	d->model->tid_words = words;
	d->model->nr_tid_words = count;
}

static void get_seal(struct decode *d, struct thump_reader *r)
{
	(void)d;
	(void)thump_get_u64(r); /* size and hash: compared when the image was opened */
	(void)thump_get_u64(r);
}

static const struct record_rule {
	uint32_t id;
	enum { RULE_ONE, RULE_MANY /* one per thread */, RULE_OPTIONAL } how_many;
	const char *name;
	void (*get)(struct decode *d, struct thump_reader *r);
} record_rules[] = {
	{ IMG_REC_MACHINE, RULE_ONE, "MACHINE", get_machine },
	{ IMG_REC_PROCESS, RULE_ONE, "PROCESS", get_process },
	{ IMG_REC_MM, RULE_ONE, "MM", get_mm },
	{ IMG_REC_THREAD, RULE_MANY, "THREAD", get_thread },
	{ IMG_REC_VMAS, RULE_ONE, "VMAS", get_vmas },
	{ IMG_REC_BACKINGS, RULE_ONE, "BACKINGS", get_backings },
	{ IMG_REC_OFDS, RULE_ONE, "OFDS", get_ofds },
	{ IMG_REC_FDS, RULE_ONE, "FDS", get_fds },
	{ IMG_REC_TIMERS, RULE_ONE, "TIMERS", get_timers },
	{ IMG_REC_LAYOUT, RULE_ONE, "LAYOUT", get_layout },
	{ IMG_REC_CHECKSUMS, RULE_ONE, "CHECKSUMS", get_checksums },
	{ IMG_REC_SEAL, RULE_ONE, "SEAL", get_seal },
	{ IMG_REC_RUNTIME, RULE_OPTIONAL, "RUNTIME", get_runtime },
	{ IMG_REC_VOUCHED, RULE_OPTIONAL, "VOUCHED", get_vouched },
	{ IMG_REC_HOT, RULE_OPTIONAL, "HOT", get_hot },
	{ IMG_REC_TIDS, RULE_OPTIONAL, "TIDS", get_tids },
	{ IMG_REC_GUARDS, RULE_OPTIONAL, "GUARDS", get_guards },
	{ IMG_REC_PKEYS, RULE_OPTIONAL, "PKEYS", get_pkeys },
	{ IMG_REC_FILTERS, RULE_OPTIONAL, "FILTERS", get_filters },
	{ IMG_REC_SIZES, RULE_OPTIONAL, "SIZES", get_sizes },
};

static const struct record_rule *record_rule(uint32_t id)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(record_rules); i++)
		if (record_rules[i].id == id)
			return &record_rules[i];
	return NULL;
}

static int decode_record(struct decode *d, const struct image_note *note, struct thump_err *err)
{
	const struct record_rule *rule = record_rule(note->type);
	struct thump_reader r = thump_reader_of(note->desc, note->desc_size);
	uint16_t version = thump_get_u16(&r), flags = thump_get_u16(&r);
	uint32_t bit;

	if (thump_get_u32(&r) != 0 || (flags & ~IMG_REC_REQUIRED) || r.failed)
		return thump_damaged(err, "record %#x has a broken head", note->type);
	if (!rule || version != IMG_REC_VERSION) {
		if (!(flags & IMG_REC_REQUIRED))
			return 0;
		return thump_refuse(err,
				    "record %s %#x version %u is needed to use this image and not "
				    "known to this version of thump",
				    rule ? rule->name : "number", note->type, version);
	}
	bit = 1u << (note->type & 31);
	if ((d->seen & bit) && rule->how_many != RULE_MANY)
		return thump_damaged(err, "record %s is there twice", rule->name);
	d->seen |= bit;
	rule->get(d, &r);
	return thump_reader_done(&r, rule->name, err);
}

/* ---- notes of a core file ------------------------------------------------------------- */

static int check_task_complete(const struct decode *d, struct thump_err *err)
{
	if (d->task && (!d->task->xstate || !d->task_has_record))
		return thump_damaged(err, "thread %" PRId32 ": %s is missing", d->task->tid,
				     d->task->xstate ? "record THREAD" : "NT_X86_XSTATE");
	return 0;
}

static int decode_prstatus(struct decode *d, const struct image_note *note, struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(note->desc, note->desc_size);

	if (check_task_complete(d, err) < 0)
		return -1;
	d->task = &d->model->tasks[d->model->nr_tasks++];
	d->task_has_record = false;
	if (image_decode_prstatus(&r, d->task) < 0)
		r.failed = true;
	return thump_reader_done(&r, "NT_PRSTATUS", err);
}

static int decode_xstate(struct decode *d, const struct image_note *note, struct thump_err *err)
{
	if (!d->task || d->task->xstate || note->desc_size > IMG_MAX_XSTATE)
		return thump_damaged(err, "NT_X86_XSTATE is there twice, too long or of no thread");
	/* Not copied: the model lives as long as the image. */
	d->task->xstate = (unsigned char *)note->desc;
	d->task->xstate_size = (uint32_t)note->desc_size;
	return 0;
}

static int decode_auxv(struct decode *d, const struct image_note *note, struct thump_err *err)
{
	if (d->has_auxv || note->desc_size > IMG_MAX_AUXV)
		return thump_damaged(err, "NT_AUXV is there twice or too long");
	d->has_auxv = true;
	d->model->mm.auxv = (unsigned char *)note->desc;
	d->model->mm.auxv_size = (uint32_t)note->desc_size;
	return 0;
}

static bool is_note(const struct image_note *note, const char *owner, uint32_t type)
{
	return note->type == type && strcmp(note->owner, owner) == 0;
}

static int decode_note(struct decode *d, const struct image_note *note, struct thump_err *err)
{
	if (strcmp(note->owner, IMG_OWNER) == 0)
		return decode_record(d, note, err);
	if (is_note(note, "CORE", NT_PRSTATUS))
		return decode_prstatus(d, note, err);
	if (is_note(note, "CORE", NT_AUXV))
		return decode_auxv(d, note, err);
	if (is_note(note, "LINUX", NT_X86_XSTATE))
		return decode_xstate(d, note, err);
	return 0;
}

/* Notes are well formed, the SEAL is the last, and threads are counted, so that they get their
 * room at once. */
static int survey_notes(struct decode *d, struct thump_reader r, struct thump_err *err)
{
	struct image_note note = { 0 };

	while (r.at < r.end) {
		if (image_note_next(&r, &note, err) < 0)
			return -1;
		if (is_note(&note, "CORE", NT_PRSTATUS))
			d->nr_prstatus++;
	}
	if (!note.owner || !is_note(&note, IMG_OWNER, IMG_REC_SEAL))
		return thump_damaged(err, "the last note is not record SEAL");
	if (d->nr_prstatus > IMG_MAX_TASKS)
		return thump_damaged(err, "%" PRIu32 " threads are too many", d->nr_prstatus);
	d->model->tasks = thump_arena_alloc(d->arena, d->nr_prstatus + 1, sizeof(*d->task));
	return d->model->tasks ? 0 : thump_fail_errno(err, "list of threads");
}

static int check_all_seen(const struct decode *d, struct thump_err *err)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(record_rules); i++)
		if (record_rules[i].how_many != RULE_OPTIONAL &&
		    !(d->seen & (1u << (record_rules[i].id & 31))))
			return thump_damaged(err, "record %s is missing", record_rules[i].name);
	if (!d->has_auxv)
		return thump_damaged(err, "NT_AUXV is missing");
	return check_task_complete(d, err);
}

int image_decode_notes(struct thump_image *image, struct thump_err *err)
{
	struct decode d = { .image = image, .model = &image->model, .arena = &image->model.arena };
	struct thump_reader r = thump_reader_of(image->notes, image->notes_size);

	if (survey_notes(&d, r, err) < 0)
		return -1;
	while (r.at < r.end) {
		struct image_note note;

		if (image_note_next(&r, &note, err) < 0 || decode_note(&d, &note, err) < 0)
			return -1;
	}
	return check_all_seen(&d, err);
}
