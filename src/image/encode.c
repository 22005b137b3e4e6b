/* SPDX-License-Identifier: Apache-2.0 */
/* One function per record of docs/FORMAT.md, in its order of fields. */
#include "image/encode.h"

#include <string.h>

#include "image/format.h"
#include "image/note.h"

static void put_i32(struct thump_buf *buf, int32_t value)
{
	thump_buf_put_u32(buf, (uint32_t)value);
}

static void put_bool(struct thump_buf *buf, bool value)
{
	thump_buf_put_u8(buf, value ? 1 : 0);
}

static void put_words64(struct thump_buf *buf, const uint64_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		thump_buf_put_u64(buf, words[i]);
}

static void put_words32(struct thump_buf *buf, const uint32_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		thump_buf_put_u32(buf, words[i]);
}

static void put_siginfos(struct thump_buf *buf, const struct thump_siginfo *infos, uint32_t count)
{
	thump_buf_put_u32(buf, count);
	for (uint32_t i = 0; i < count; i++)
		thump_buf_put(buf, infos[i].bytes, sizeof(infos[i].bytes));
}

static void put_identity(struct thump_buf *buf, const struct thump_file_identity *id)
{
	thump_buf_put_u64(buf, id->size_bytes);
	thump_buf_put_u64(buf, id->edge_hash);
	thump_buf_put_u32(buf, id->mode);
	thump_buf_put_u64(buf, id->mtime_ns);
	thump_buf_put_u64(buf, id->dev);
	thump_buf_put_u64(buf, id->ino);
	thump_buf_put_blob(buf, id->build_id, id->build_id_len);
}

static void put_machine(struct thump_buf *buf, const struct thump_machine *machine)
{
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_MACHINE);

	thump_buf_put_str(buf, machine->hostname);
	thump_buf_put_str(buf, machine->kernel_release);
	thump_buf_put_str(buf, machine->thump_version);
	thump_buf_put_u64(buf, machine->boottime_ns);
	thump_buf_put_u64(buf, machine->monotonic_ns);
	thump_buf_put_u64(buf, machine->realtime_ns);
	thump_buf_put_str(buf, machine->boot_id);
	thump_buf_put_u64(buf, machine->xcr0);
	thump_buf_put_u32(buf, machine->xsave_size_bytes);
	thump_buf_put_str(buf, machine->cpu_name);
	thump_buf_put_u32(buf, machine->nr_cpuid_words);
	put_words32(buf, machine->cpuid_words, machine->nr_cpuid_words);
	thump_buf_put_u64(buf, machine->mmap_min_addr);
	image_note_end(buf, mark);
}

static void put_creds(struct thump_buf *buf, const struct thump_creds *creds)
{
	const uint32_t ids[] = { creds->uid, creds->euid, creds->suid, creds->fsuid,
				 creds->gid, creds->egid, creds->sgid, creds->fsgid };
	const uint64_t caps[] = { creds->cap_inheritable, creds->cap_permitted,
				  creds->cap_effective, creds->cap_bounding, creds->cap_ambient };

	put_words32(buf, ids, THUMP_ARRAY_SIZE(ids));
	thump_buf_put_u32(buf, creds->securebits);
	put_bool(buf, creds->no_new_privs);
	put_words64(buf, caps, THUMP_ARRAY_SIZE(caps));
	thump_buf_put_u32(buf, creds->nr_groups);
	put_words32(buf, creds->groups, creds->nr_groups);
}

static void put_limits_and_signals(struct thump_buf *buf, const struct thump_process *process)
{
	thump_buf_put_u32(buf, THUMP_NR_RLIMITS);
	for (size_t i = 0; i < THUMP_NR_RLIMITS; i++) {
		thump_buf_put_u64(buf, process->rlimits[i].soft);
		thump_buf_put_u64(buf, process->rlimits[i].hard);
	}
	thump_buf_put_u32(buf, THUMP_NR_SIGNALS);
	for (size_t i = 0; i < THUMP_NR_SIGNALS; i++) {
		const struct thump_sigaction *action = &process->sigactions[i];

		thump_buf_put_u64(buf, action->handler);
		thump_buf_put_u64(buf, action->flags);
		thump_buf_put_u64(buf, action->restorer);
		thump_buf_put_u64(buf, action->mask);
	}
	thump_buf_put_u32(buf, THUMP_NR_ITIMERS);
	for (size_t i = 0; i < THUMP_NR_ITIMERS; i++) {
		thump_buf_put_u64(buf, process->itimers[i].interval_us);
		thump_buf_put_u64(buf, process->itimers[i].value_us);
	}
	put_siginfos(buf, process->pending, process->nr_pending);
}

static void put_process(struct thump_buf *buf, const struct thump_process *process)
{
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_PROCESS);

	put_i32(buf, process->pid);
	put_i32(buf, process->ppid);
	put_i32(buf, process->pgid);
	put_i32(buf, process->sid);
	put_i32(buf, process->pid_host);
	thump_buf_put_u32(buf, process->tty_nr);
	thump_buf_put_str(buf, process->exe_path);
	put_identity(buf, &process->exe_identity);
	thump_buf_put_str(buf, process->cwd);
	thump_buf_put_str(buf, process->root);
	thump_buf_put_u32(buf, process->umask);
	thump_buf_put_u32(buf, process->personality);
	put_i32(buf, process->oom_score_adj);
	put_bool(buf, process->child_subreaper);
	put_bool(buf, process->user_vouched);
	thump_buf_put_str(buf, process->cmdline);
	put_creds(buf, &process->creds);
	put_limits_and_signals(buf, process);
	image_note_end(buf, mark);
}

/* Only where there is one: readers that do not know it restore the program all the same. */
static void put_runtime(struct thump_buf *buf, const struct thump_runtime *runtime)
{
	struct image_note_mark mark;

	if (!runtime->name)
		return;
	mark = image_record_begin_optional(buf, IMG_REC_RUNTIME);
	thump_buf_put_str(buf, runtime->name);
	thump_buf_put_u64(buf, runtime->parameters_addr);
	thump_buf_put_u64(buf, runtime->parameters_size_bytes);
	thump_buf_put_u64(buf, runtime->clock_addr);
	image_note_end(buf, mark);
}

/* A record of its own, so that readers of images without it need no other version. */
static void put_sizes(struct thump_buf *buf, const struct thump_runtime *runtime)
{
	struct image_note_mark mark;

	if (!runtime->name)
		return;
	mark = image_record_begin_optional(buf, IMG_REC_SIZES);
	thump_buf_put_u64(buf, runtime->heap_bytes);
	thump_buf_put_u64(buf, runtime->heap_max_bytes);
	thump_buf_put_u32(buf, runtime->processors);
	image_note_end(buf, mark);
}

static void put_mm(struct thump_buf *buf, const struct thump_mm *mm)
{
	const uint64_t addresses[] = { mm->start_code,	mm->end_code,	mm->start_data,
				       mm->end_data,	mm->start_brk,	mm->brk,
				       mm->start_stack, mm->arg_start,	mm->arg_end,
				       mm->env_start,	mm->env_end,	mm->vdso_start,
				       mm->vdso_end,	mm->vvar_start, mm->vvar_end };
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_MM);

	put_words64(buf, addresses, THUMP_ARRAY_SIZE(addresses));
	thump_buf_put(buf, mm->vdso_hash, sizeof(mm->vdso_hash));
	thump_buf_put_u64(buf, mm->syscall_insn);
	put_bool(buf, mm->dumpable_known);
	thump_buf_put_u32(buf, mm->dumpable);
	put_bool(buf, mm->thp_disable);
	put_bool(buf, mm->membarrier_known);
	thump_buf_put_u32(buf, mm->membarrier_registrations);
	put_bool(buf, mm->mcl_future);
	image_note_end(buf, mark);
}

static void put_thread(struct thump_buf *buf, const struct thump_task *task)
{
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_THREAD);

	put_i32(buf, task->tid);
	thump_buf_put_u32(buf, task->state);
	thump_buf_put(buf, task->comm, sizeof(task->comm));
	thump_buf_put_u64(buf, task->sigmask);
	thump_buf_put_u64(buf, task->clear_child_tid);
	thump_buf_put_u64(buf, task->robust_list);
	thump_buf_put_u64(buf, task->robust_list_len);
	thump_buf_put_u64(buf, task->rseq_addr);
	thump_buf_put_u32(buf, task->rseq_len);
	thump_buf_put_u32(buf, task->rseq_sig);
	thump_buf_put_u64(buf, task->altstack_sp);
	thump_buf_put_u64(buf, task->altstack_size);
	thump_buf_put_u32(buf, task->altstack_flags);
	put_i32(buf, task->sched_policy);
	put_i32(buf, task->sched_priority);
	put_i32(buf, task->nice);
	thump_buf_put_u32(buf, task->sched_flags);
	put_i32(buf, task->ioprio);
	thump_buf_put_u64(buf, task->timer_slack_ns);
	put_i32(buf, task->pdeathsig);
	thump_buf_put_u32(buf, task->blocked_syscall);
	thump_buf_put_u32(buf, task->nr_affinity_words);
	put_words64(buf, task->affinity, task->nr_affinity_words);
	put_siginfos(buf, task->pending, task->nr_pending);
	image_note_end(buf, mark);
}

static void put_vmas(struct thump_buf *buf, const struct thump_model *model)
{
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_VMAS);

	thump_buf_put_u32(buf, model->nr_vmas);
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		thump_buf_put_u64(buf, vma->start);
		thump_buf_put_u64(buf, vma->end);
		thump_buf_put_u64(buf, vma->offset);
		thump_buf_put_u32(buf, vma->prot);
		thump_buf_put_u32(buf, vma->kind);
		thump_buf_put_u32(buf, vma->traits);
		thump_buf_put_u32(buf, vma->backing_id);
		thump_buf_put_u32(buf, vma->pkey);
		if (vma->anon_name)
			thump_buf_put_str(buf, vma->anon_name);
		else
			thump_buf_put_u32(buf, THUMP_NO_ID);
	}
	image_note_end(buf, mark);
}

static void put_backings(struct thump_buf *buf, const struct thump_model *model,
			 const struct image_extent_list *extents)
{
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_BACKINGS);

	thump_buf_put_u32(buf, model->nr_backings);
	for (uint32_t i = 0; i < model->nr_backings; i++) {
		const struct thump_backing *backing = &model->backings[i];

		thump_buf_put_u32(buf, backing->kind);
		put_bool(buf, backing->deleted);
		thump_buf_put_u32(buf, backing->memfd_seals);
		thump_buf_put_u32(buf, backing->memfd_flags);
		thump_buf_put_u64(buf, backing->content_size_bytes);
		thump_buf_put_str(buf, backing->path);
		put_identity(buf, &backing->identity);
		thump_buf_put_u32(buf, (uint32_t)extents[i].count);
		for (size_t k = 0; k < extents[i].count; k++) {
			thump_buf_put_u64(buf, extents[i].list[k].start);
			thump_buf_put_u64(buf, extents[i].list[k].end);
			thump_buf_put_u64(buf, extents[i].list[k].file_offset);
		}
	}
	image_note_end(buf, mark);
}

static void put_ofds(struct thump_buf *buf, const struct thump_model *model)
{
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_OFDS);

	thump_buf_put_u32(buf, model->nr_ofds);
	for (uint32_t i = 0; i < model->nr_ofds; i++) {
		const struct thump_ofd *ofd = &model->ofds[i];

		thump_buf_put_u16(buf, ofd->kind_id);
		thump_buf_put_u16(buf, ofd->version);
		thump_buf_put_u32(buf, ofd->open_flags);
		thump_buf_put_u64(buf, ofd->pos);
		thump_buf_put_u32(buf, ofd->backing_id);
		put_i32(buf, ofd->owner);
		put_i32(buf, ofd->owner_type);
		put_i32(buf, ofd->owner_signal);
		thump_buf_put_blob(buf, ofd->record, ofd->record_size);
		thump_buf_put_str(buf, ofd->text);
	}
	image_note_end(buf, mark);
}

static void put_fds(struct thump_buf *buf, const struct thump_model *model)
{
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_FDS);

	thump_buf_put_u32(buf, model->nr_fds);
	for (uint32_t i = 0; i < model->nr_fds; i++) {
		put_i32(buf, model->fds[i].fd);
		put_bool(buf, model->fds[i].cloexec);
		thump_buf_put_u32(buf, model->fds[i].ofd_id);
	}
	image_note_end(buf, mark);
}

static void put_timers(struct thump_buf *buf, const struct thump_model *model)
{
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_TIMERS);

	thump_buf_put_u32(buf, model->nr_timers);
	for (uint32_t i = 0; i < model->nr_timers; i++) {
		const struct thump_posix_timer *timer = &model->timers[i];

		put_i32(buf, timer->id);
		put_i32(buf, timer->clock_id);
		put_i32(buf, timer->notify);
		put_i32(buf, timer->signo);
		thump_buf_put_u64(buf, timer->sigval);
		put_i32(buf, timer->tid);
		thump_buf_put_u64(buf, timer->interval_ns);
		thump_buf_put_u64(buf, timer->value_ns);
		thump_buf_put_u32(buf, timer->overrun);
	}
	image_note_end(buf, mark);
}

static void put_ranges(struct thump_buf *buf, const struct thump_range *ranges, uint32_t count)
{
	thump_buf_put_u32(buf, count);
	for (uint32_t i = 0; i < count; i++) {
		thump_buf_put_u64(buf, ranges[i].start);
		thump_buf_put_u64(buf, ranges[i].end);
	}
}

static void put_vouched(struct thump_buf *buf, const struct thump_model *model)
{
	struct image_note_mark mark;

	if (!model->nr_vouched)
		return;
	mark = image_record_begin_optional(buf, IMG_REC_VOUCHED);
	put_ranges(buf, model->vouched, model->nr_vouched);
	image_note_end(buf, mark);
}

void image_put_hot(struct thump_buf *buf, const struct thump_hot *hot)
{
	put_ranges(buf, hot->written, hot->nr_written);
	put_ranges(buf, hot->read, hot->nr_read);
}

void image_encode_hot(struct thump_buf *buf, const struct thump_hot *hot)
{
	struct image_note_mark mark;

	if (!hot->nr_written && !hot->nr_read)
		return;
	mark = image_record_begin_optional(buf, IMG_REC_HOT);
	image_put_hot(buf, hot);
	image_note_end(buf, mark);
}

static void put_pkeys(struct thump_buf *buf, const struct thump_mm *mm)
{
	struct image_note_mark mark;

	if (!mm->pkeys)
		return;
	mark = image_record_begin(buf, IMG_REC_PKEYS);
	thump_buf_put_u16(buf, mm->pkeys);
	image_note_end(buf, mark);
}

static void put_filters(struct thump_buf *buf, const struct thump_creds *creds)
{
	struct image_note_mark mark;

	if (!creds->seccomp_filters_known)
		return;
	mark = image_record_begin(buf, IMG_REC_FILTERS);
	thump_buf_put_u32(buf, creds->seccomp_filters);
	image_note_end(buf, mark);
}

static void put_guards(struct thump_buf *buf, const struct thump_model *model)
{
	struct image_note_mark mark;

	if (!model->nr_guards)
		return;
	mark = image_record_begin(buf, IMG_REC_GUARDS);
	put_ranges(buf, model->guards, model->nr_guards);
	image_note_end(buf, mark);
}

static void put_tids(struct thump_buf *buf, const struct thump_model *model)
{
	struct image_note_mark mark;

	if (!model->process.user_vouched)
		return;
	mark = image_record_begin_optional(buf, IMG_REC_TIDS);
	thump_buf_put_str(buf, model->tid_obstacle ? model->tid_obstacle : "");
	thump_buf_put_u32(buf, model->nr_tid_words);
	put_words64(buf, model->tid_words, model->nr_tid_words);
	image_note_end(buf, mark);
}

static void put_layout(struct thump_buf *buf, const struct image_content *content)
{
	struct image_note_mark mark = image_record_begin(buf, IMG_REC_LAYOUT);

	thump_buf_put_u64(buf, content->memory_end);
	thump_buf_put_u64(buf, content->backing_end);
	thump_buf_put_u64(buf, content->debug_end);
	thump_buf_put_u64(buf, content->zero_end);
	image_note_end(buf, mark);

	mark = image_record_begin(buf, IMG_REC_CHECKSUMS);
	thump_buf_put_u32(buf, (uint32_t)IMG_CHUNK_SIZE);
	thump_buf_put_u32(buf, (uint32_t)content->nr_checksums);
	put_words64(buf, content->checksums, content->nr_checksums);
	image_note_end(buf, mark);
}

void image_encode_records(struct thump_buf *buf, const struct thump_model *model,
			  const struct image_content *content)
{
	put_machine(buf, &model->machine);
	put_process(buf, &model->process);
	put_runtime(buf, &model->process.runtime);
	put_mm(buf, &model->mm);
	put_vmas(buf, model);
	put_backings(buf, model, content->backing_extents);
	put_ofds(buf, model);
	put_fds(buf, model);
	put_timers(buf, model);
	put_vouched(buf, model);
	image_encode_hot(buf, &model->hot);
	put_guards(buf, model);
	put_pkeys(buf, &model->mm);
	put_filters(buf, &model->process.creds);
	put_tids(buf, model);
	put_sizes(buf, &model->process.runtime);
	put_layout(buf, content);
}

static void put_raw_note(struct thump_buf *buf, const char *owner, uint32_t type, const void *desc,
			 size_t size_bytes)
{
	struct image_note_mark mark = image_note_begin(buf, owner, type);

	thump_buf_put(buf, desc, size_bytes);
	image_note_end(buf, mark);
}

static const struct thump_backing *named_file(const struct thump_model *model,
					      const struct thump_vma *vma)
{
	if (vma->kind != THUMP_VMA_FILE_PRIVATE && vma->kind != THUMP_VMA_FILE_SHARED)
		return NULL;
	return &model->backings[vma->backing_id];
}

/* As fill_files_note() of the kernel's fs/binfmt_elf.c: counts, ranges, then names. */
static void put_nt_file(struct thump_buf *buf, const struct thump_model *model)
{
	struct image_note_mark mark = image_note_begin(buf, "CORE", NT_FILE);
	uint64_t count = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++)
		count += named_file(model, &model->vmas[i]) != NULL;
	thump_buf_put_u64(buf, count);
	thump_buf_put_u64(buf, THUMP_PAGE_SIZE);
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		if (!named_file(model, vma))
			continue;
		thump_buf_put_u64(buf, vma->start);
		thump_buf_put_u64(buf, vma->end);
		thump_buf_put_u64(buf, vma->offset / THUMP_PAGE_SIZE);
	}
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_backing *file = named_file(model, &model->vmas[i]);

		if (!file)
			continue;
		if (file->path)
			thump_buf_put(buf, file->path, strlen(file->path));
		if (file->deleted)
			thump_buf_put(buf, " (deleted)", strlen(" (deleted)"));
		thump_buf_put_u8(buf, 0);
	}
	image_note_end(buf, mark);
}

void image_encode_threads(struct thump_buf *buf, const struct thump_model *model)
{
	/* No signal stopped the program; gdb wants the note all the same for $_siginfo. */
	static const unsigned char no_siginfo[THUMP_SIGINFO_SIZE];

	for (uint32_t i = 0; i < model->nr_tasks; i++) {
		const struct thump_task *task = &model->tasks[i];

		image_encode_prstatus(buf, &model->process, task);
		if (i == 0)
			image_encode_prpsinfo(buf, &model->process, task);
		put_raw_note(buf, "CORE", NT_SIGINFO, no_siginfo, sizeof(no_siginfo));
		if (i == 0) {
			put_raw_note(buf, "CORE", NT_AUXV, model->mm.auxv, model->mm.auxv_size);
			put_nt_file(buf, model);
		}
		image_encode_fpregset(buf, task);
		put_raw_note(buf, "LINUX", NT_X86_XSTATE, task->xstate, task->xstate_size);
		put_thread(buf, task);
	}
}
