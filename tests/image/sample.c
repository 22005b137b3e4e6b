/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE THUMP_PAGE_SIZE

/* Of every 64 pages, 8 in a row and 2 in a row are zero: longer and shorter than what is filled. */
static bool zero_page(uint64_t page_nr)
{
	uint64_t in_period = page_nr % 64;

	return (in_period >= 8 && in_period < 16) || in_period == 20 || in_period == 21;
}

static void fill_bytes(uint64_t seed, uint64_t at, unsigned char *buf, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++, at++)
		buf[i] = zero_page(at / PAGE)
				 ? 0
				 : (unsigned char)(((at * 31 + seed) ^ (at >> 12)) % 251 + 1);
}

void sample_memory(uint64_t addr, unsigned char *buf, size_t size_bytes)
{
	fill_bytes(7, addr, buf, size_bytes);
}

void sample_backing(uint32_t backing_id, uint64_t offset, unsigned char *buf, size_t size_bytes)
{
	fill_bytes(1000 + backing_id, offset, buf, size_bytes);
}

static int read_memory(void *ctx, uint64_t addr, void *buf, size_t size_bytes,
		       struct thump_err *err)
{
	(void)ctx;
	(void)err;
	sample_memory(addr, buf, size_bytes);
	return 0;
}

static int read_backing(void *ctx, uint32_t backing_id, uint64_t offset, void *buf,
			size_t size_bytes, struct thump_err *err)
{
	(void)ctx;
	(void)err;
	sample_backing(backing_id, offset, buf, size_bytes);
	return 0;
}

const struct thump_page_source sample_source = { .read_memory = read_memory,
						 .read_backing = read_backing };

static struct thump_siginfo *siginfos(struct thump_model *model, uint32_t count, int first)
{
	struct thump_siginfo *infos = thump_arena_alloc(&model->arena, count, sizeof(*infos));

	for (uint32_t i = 0; i < count; i++) {
		memset(infos[i].bytes, 0x30 + (int)i, sizeof(infos[i].bytes));
		memcpy(infos[i].bytes, &(int32_t){ first + (int)i }, sizeof(int32_t));
	}
	return infos;
}

static void fill_identity(struct thump_file_identity *id, uint64_t seed)
{
	*id = (struct thump_file_identity){ .size_bytes = seed * 1000,
					    .edge_hash = seed * 77,
					    .build_id_len = 20,
					    .mode = 0100755,
					    .mtime_ns = seed * 13,
					    .dev = 5 + seed,
					    .ino = 6 + seed };
	memset(id->build_id, (int)(0x40 + seed), id->build_id_len);
}

static void fill_machine(struct thump_model *model)
{
	struct thump_machine *machine = &model->machine;

	machine->hostname = thump_arena_strdup(&model->arena, "host.example");
	machine->kernel_release = thump_arena_strdup(&model->arena, "6.1.0-test");
	machine->thump_version = thump_arena_strdup(&model->arena, "0.1.0");
	machine->boottime_ns = 111;
	machine->monotonic_ns = 222;
	machine->realtime_ns = 1700000000000000000u;
	machine->boot_id = thump_arena_strdup(&model->arena, "b0b0-1");
	machine->xcr0 = 7;
	machine->xsave_size_bytes = 832;
	machine->cpuid_words = thump_arena_alloc(&model->arena, 3, sizeof(uint32_t));
	for (uint32_t i = 0; i < 3; i++)
		machine->cpuid_words[i] = 0xc0000000u + i;
	machine->nr_cpuid_words = 3;
	machine->cpu_name = thump_arena_strdup(&model->arena, "A Processor");
	machine->mmap_min_addr = 65536;
}

static void fill_creds(struct thump_model *model, struct thump_creds *creds)
{
	*creds = (struct thump_creds){ .uid = 1,
				       .euid = 2,
				       .suid = 3,
				       .fsuid = 4,
				       .gid = 5,
				       .egid = 6,
				       .sgid = 7,
				       .fsgid = 8,
				       .nr_groups = 2,
				       .cap_inheritable = 9,
				       .cap_permitted = 10,
				       .cap_effective = 11,
				       .cap_bounding = 12,
				       .cap_ambient = 13,
				       .securebits = 14,
				       .no_new_privs = true };
	creds->groups = thump_arena_alloc(&model->arena, 2, sizeof(uint32_t));
	creds->groups[0] = 100;
	creds->groups[1] = 4294967294u;
}

static void fill_process(struct thump_model *model)
{
	struct thump_process *process = &model->process;

	process->pid = 4711;
	process->ppid = 1;
	process->pgid = 4710;
	process->sid = 4709;
	process->pid_host = 94711;
	process->tty_nr = 34816;
	process->exe_path = thump_arena_strdup(&model->arena, "/usr/bin/sample");
	fill_identity(&process->exe_identity, 1);
	process->cwd = thump_arena_strdup(&model->arena, "/srv/w\xc3\xb6rk");
	process->root = thump_arena_strdup(&model->arena, "/");
	process->umask = 027;
	process->personality = 0x0040000;
	process->oom_score_adj = -5;
	process->child_subreaper = true;
	process->user_vouched = true;
	process->cmdline = thump_arena_strdup(&model->arena, "sample --of everything");
	process->runtime.name = thump_arena_strdup(&model->arena, "sample");
	process->runtime.parameters_addr = 0x7000;
	process->runtime.parameters_size_bytes = 4096;
	process->runtime.clock_addr = 0x7ff8;
	process->runtime.heap_bytes = 100 << 20;
	process->runtime.heap_max_bytes = 256 << 20;
	process->runtime.processors = 2;
	fill_creds(model, &process->creds);
	for (uint64_t i = 0; i < THUMP_NR_RLIMITS; i++)
		process->rlimits[i] =
			(struct thump_rlimit){ .soft = i + 1, .hard = UINT64_MAX - i };
	for (uint64_t i = 0; i < THUMP_NR_SIGNALS; i++)
		process->sigactions[i] = (struct thump_sigaction){
			.handler = i % 3, .flags = 0x4000000 + i, .restorer = i * 4096, .mask = ~i
		};
	for (uint64_t i = 0; i < THUMP_NR_ITIMERS; i++)
		process->itimers[i] = (struct thump_itimer){ .interval_us = 10 + i, .value_us = i };
	process->pending = siginfos(model, 2, 10);
	process->nr_pending = 2;
}

static void fill_mm(struct thump_model *model)
{
	struct thump_mm *mm = &model->mm;

	*mm = (struct thump_mm){ .start_code = 0x400000,
				 .end_code = 0x401000,
				 .start_data = 0x403000,
				 .end_data = 0x403500,
				 .start_brk = 0x1000000,
				 .brk = 0x1040000,
				 .start_stack = 0x7ffff000,
				 .arg_start = 0x7ffff100,
				 .arg_end = 0x7ffff200,
				 .env_start = 0x7ffff200,
				 .env_end = 0x7ffff300,
				 .auxv_size = 64,
				 .vdso_start = 0x7fff00004000,
				 .vdso_end = 0x7fff00006000,
				 .vvar_start = 0x7fff00000000,
				 .vvar_end = 0x7fff00004000,
				 .vdso_hash = { 1, 2, 3, 4, 5, 6, 7, 8 },
				 .syscall_insn = 0x7fff00004123,
				 .dumpable_known = true,
				 .dumpable = 1,
				 .thp_disable = true,
				 .membarrier_known = true,
				 .membarrier_registrations = 0x18,
				 .mcl_future = true };
	mm->auxv = thump_arena_alloc(&model->arena, mm->auxv_size, 1);
	memset(mm->auxv, 0x21, mm->auxv_size);
}

static void fill_task(struct thump_model *model, uint32_t index)
{
	struct thump_task *task = &model->tasks[index];
	unsigned char *regs = (unsigned char *)&task->regs;

	*task = (struct thump_task){ .tid = 4711 + (int32_t)index,
				     .state = index ? THUMP_TASK_STOPPED : THUMP_TASK_RUNNING,
				     .xstate_size = 832,
				     .sigmask = 0x8000000000000001u + index,
				     .nr_pending = index,
				     .clear_child_tid = 21 + index,
				     .robust_list = 22,
				     .robust_list_len = 24,
				     .rseq_addr = 25,
				     .rseq_len = 32,
				     .rseq_sig = 0x53053053,
				     .altstack_sp = 26,
				     .altstack_size = 8192,
				     .altstack_flags = 2,
				     .sched_policy = 3,
				     .sched_priority = 27,
				     .nice = -7,
				     .sched_flags = 1,
				     .ioprio = 28,
				     .timer_slack_ns = 50000,
				     .nr_affinity_words = 2,
				     .pdeathsig = 15,
				     .blocked_syscall = index ? THUMP_NO_ID : 232 };
	(void)snprintf(task->comm, sizeof(task->comm), "thread-%u", index % 1000);
	for (size_t i = 0; i < sizeof(task->regs); i++)
		regs[i] = (unsigned char)(i + index + 1);
	task->xstate = thump_arena_alloc(&model->arena, task->xstate_size, 1);
	memset(task->xstate, (int)(0x50 + index), task->xstate_size);
	memset(task->xstate + 512, 0, 64);
	task->xstate[512] = 7;
	memcpy(task->xstate + 464, &(uint64_t){ 7 }, sizeof(uint64_t)); /* XCR0, where gdb looks */
	task->pending = index ? siginfos(model, index, 12) : NULL;
	task->affinity = thump_arena_alloc(&model->arena, 2, sizeof(uint64_t));
	task->affinity[0] = 3;
	task->affinity[1] = (uint64_t)1 << 63;
}

static struct thump_extent *pages(struct thump_model *model, uint64_t base, uint32_t count,
				  const uint64_t (*ranges)[2])
{
	struct thump_extent *extents = thump_arena_alloc(&model->arena, count, sizeof(*extents));

	for (uint32_t i = 0; i < count; i++) {
		extents[i].start = base + ranges[i][0] * PAGE;
		extents[i].end = base + ranges[i][1] * PAGE;
	}
	return extents;
}

#define RANGES(...) ((const uint64_t[][2]){ __VA_ARGS__ })
#define NR(...)	    (sizeof(RANGES(__VA_ARGS__)) / sizeof(uint64_t[2]))
#define PAGES(model, base, ...)                                                                    \
	.extents = pages((model), (base), NR(__VA_ARGS__), RANGES(__VA_ARGS__)),                   \
	.nr_extents = NR(__VA_ARGS__)

static void add_vma(struct thump_model *model, struct thump_vma vma, uint64_t nr_pages)
{
	vma.end = vma.start + nr_pages * PAGE;
	model->vmas = thump_arena_grow(&model->arena, model->vmas, model->nr_vmas, sizeof(vma));
	model->vmas[model->nr_vmas++] = vma;
}

static void add_backing(struct thump_model *model, struct thump_backing backing, const char *path)
{
	backing.path = thump_arena_strdup(&model->arena, path);
	backing.capture_fd = -1;
	fill_identity(&backing.identity, 2 + model->nr_backings);
	model->backings = thump_arena_grow(&model->arena, model->backings, model->nr_backings,
					   sizeof(backing));
	model->backings[model->nr_backings++] = backing;
}

static void fill_backings(struct thump_model *model, bool rich)
{
	add_backing(model, (struct thump_backing){ .kind = THUMP_BACKING_FILE }, "/usr/bin/sample");
	add_backing(model,
		    (struct thump_backing){ .kind = THUMP_BACKING_CARRIED,
					    .deleted = true,
					    .content_size_bytes = 2 * PAGE + 100,
					    PAGES(model, 0, { 0, 3 }) },
		    "/tmp/gone");
	if (!rich)
		return;
	add_backing(model,
		    (struct thump_backing){ .kind = THUMP_BACKING_MEMFD,
					    .memfd_seals = 3,
					    .memfd_flags = 2,
					    .content_size_bytes = 1024 * PAGE,
					    PAGES(model, 0, { 0, 5 }, { 100, 700 }) },
		    "zgc heap");
	add_backing(model,
		    (struct thump_backing){ .kind = THUMP_BACKING_SHMEM,
					    .content_size_bytes = 64 * PAGE,
					    PAGES(model, 0, { 60, 64 }) },
		    "");
}

static void fill_small_vmas(struct thump_model *model)
{
	add_vma(model,
		(struct thump_vma){ .start = 0x400000,
				    .prot = PROT_READ | PROT_EXEC,
				    .kind = THUMP_VMA_FILE_PRIVATE,
				    .backing_id = 0,
				    .traits = THUMP_VMA_MAYREAD | THUMP_VMA_MAYEXEC,
				    PAGES(model, 0x400000, { 0, 1 }) },
		3);
	add_vma(model,
		(struct thump_vma){ .start = 0x403000,
				    .prot = PROT_READ | PROT_WRITE,
				    .kind = THUMP_VMA_FILE_PRIVATE,
				    .offset = 3 * PAGE,
				    .backing_id = 0,
				    PAGES(model, 0x403000, { 0, 1 }) },
		2);
	add_vma(model,
		(struct thump_vma){ .start = 0x1000000,
				    .prot = PROT_READ | PROT_WRITE,
				    .kind = THUMP_VMA_ANON,
				    .traits = THUMP_VMA_ACCOUNT,
				    .backing_id = THUMP_NO_ID,
				    .anon_name = thump_arena_strdup(&model->arena, "heap of mine"),
				    PAGES(model, 0x1000000, { 0, 1 }, { 3, 4 }, { 12, 17 }) },
		20);
	add_vma(model,
		(struct thump_vma){ .start = 0x1014000,
				    .prot = PROT_READ,
				    .kind = THUMP_VMA_FILE_SHARED,
				    .backing_id = 1 },
		3);
}

static void fill_rich_vmas(struct thump_model *model)
{
	add_vma(model,
		(struct thump_vma){
			.start = 0x200000000,
			.prot = PROT_READ | PROT_WRITE,
			.kind = THUMP_VMA_ANON,
			.traits = THUMP_VMA_HUGEPAGE,
			.backing_id = THUMP_NO_ID,
			PAGES(model, 0x200000000, { 3, 900 }, { 2000, 2001 }, { 2003, 2300 }) },
		4096);
	add_vma(model,
		(struct thump_vma){
			.start = 0x300000000, .kind = THUMP_VMA_ANON, .backing_id = THUMP_NO_ID },
		262144);
	add_vma(model,
		(struct thump_vma){ .start = 0x400000000,
				    .prot = PROT_READ | PROT_WRITE,
				    .kind = THUMP_VMA_MEMFD_SHARED,
				    .backing_id = 2 },
		1024);
	add_vma(model,
		(struct thump_vma){ .start = 0x500000000,
				    .prot = PROT_READ | PROT_WRITE,
				    .kind = THUMP_VMA_MEMFD_SHARED,
				    .offset = 200 * PAGE,
				    .backing_id = 2 },
		100);
	add_vma(model,
		(struct thump_vma){ .start = 0x600000000,
				    .prot = PROT_READ | PROT_WRITE,
				    .kind = THUMP_VMA_MEMFD_PRIVATE,
				    .offset = 2 * PAGE,
				    .backing_id = 2,
				    PAGES(model, 0x600000000, { 1, 2 }, { 8, 10 }) },
		20);
	add_vma(model,
		(struct thump_vma){ .start = 0x700000000,
				    .prot = PROT_READ | PROT_WRITE,
				    .kind = THUMP_VMA_SHMEM_ANON,
				    .backing_id = 3 },
		64);
	add_vma(model,
		(struct thump_vma){ .start = 0x700040000,
				    .prot = PROT_READ | PROT_WRITE,
				    .kind = THUMP_VMA_DEVICE_ZERO,
				    .backing_id = THUMP_NO_ID,
				    .pkey = 1,
				    PAGES(model, 0x700040000, { 0, 9 }) },
		9);
	add_vma(model,
		(struct thump_vma){ .start = 0x7fff00000000,
				    .prot = PROT_READ,
				    .kind = THUMP_VMA_VVAR,
				    .traits = THUMP_VMA_IO,
				    .backing_id = THUMP_NO_ID },
		4);
	add_vma(model,
		(struct thump_vma){ .start = 0x7fff00004000,
				    .prot = PROT_READ | PROT_EXEC,
				    .kind = THUMP_VMA_VDSO,
				    .backing_id = THUMP_NO_ID,
				    PAGES(model, 0x7fff00004000, { 0, 2 }) },
		2);
	add_vma(model,
		(struct thump_vma){ .start = 0xffffffffff600000,
				    .prot = PROT_EXEC,
				    .kind = THUMP_VMA_VSYSCALL,
				    .backing_id = THUMP_NO_ID },
		1);
}

static void fill_fds(struct thump_model *model)
{
	static const struct thump_ofd ofds[] = {
		{ .kind_id = 3,
		  .version = 2,
		  .open_flags = 02000002,
		  .pos = 12345678901,
		  .backing_id = 1,
		  .owner = -4711,
		  .owner_type = 2,
		  .owner_signal = 29,
		  .record = (unsigned char *)"rec\0ord",
		  .record_size = 8,
		  .text = (char *)"/tmp/gone (deleted)" },
		{ .kind_id = 65535,
		  .version = 1,
		  .backing_id = THUMP_NO_ID,
		  .text = (char *)"eventfd" },
	};
	static const struct thump_fd fds[] = {
		{ .fd = 0, .ofd_id = 1 },
		{ .fd = 7, .cloexec = true, .ofd_id = 0 },
		{ .fd = 1000000, .ofd_id = 0 },
	};
	static const struct thump_range vouched[] = {
		{ 0x100000, 0x300000 },
		{ 0x300000, 0x301000 },
	};
	static const uint64_t tid_words[] = { 0x100004, 0x100008, 0x200000 };
	static const struct thump_posix_timer timers[] = {
		{ .id = 3,
		  .clock_id = -6,
		  .notify = 4,
		  .signo = 34,
		  .sigval = 0xdeadbeefcafe,
		  .tid = 4712,
		  .interval_ns = 1000,
		  .value_ns = 5000000001,
		  .overrun = 9 },
	};

	model->tid_words = thump_arena_memdup(&model->arena, tid_words, sizeof(tid_words));
	model->nr_tid_words = THUMP_ARRAY_SIZE(tid_words);
	model->tid_obstacle = thump_arena_strdup(&model->arena, "thread 4712 holds a lock");
	model->vouched = thump_arena_memdup(&model->arena, vouched, sizeof(vouched));
	model->nr_vouched = THUMP_ARRAY_SIZE(vouched);
	model->ofds = thump_arena_memdup(&model->arena, ofds, sizeof(ofds));
	model->nr_ofds = THUMP_ARRAY_SIZE(ofds);
	model->fds = thump_arena_memdup(&model->arena, fds, sizeof(fds));
	model->nr_fds = THUMP_ARRAY_SIZE(fds);
	model->timers = thump_arena_memdup(&model->arena, timers, sizeof(timers));
	model->nr_timers = THUMP_ARRAY_SIZE(timers);
}

static void fill_many_fds(struct thump_model *model)
{
	model->nr_fds = 1 << 20;
	model->fds = thump_arena_alloc(&model->arena, model->nr_fds, sizeof(*model->fds));
	for (uint32_t i = 0; i < model->nr_fds; i++)
		model->fds[i] = (struct thump_fd){ .fd = (int32_t)i, .ofd_id = i % model->nr_ofds };
}

void sample_fill(struct thump_model *model, enum sample_size size)
{
	bool rich = size == SAMPLE_RICH;

	thump_model_init(model);
	fill_machine(model);
	fill_process(model);
	fill_mm(model);
	model->nr_tasks = rich ? 3 : 1;
	model->tasks = thump_arena_alloc(&model->arena, model->nr_tasks, sizeof(*model->tasks));
	for (uint32_t i = 0; i < model->nr_tasks; i++)
		fill_task(model, i);
	fill_backings(model, rich);
	fill_small_vmas(model);
	if (rich) {
		fill_rich_vmas(model);
		model->mm.pkeys = 1u << 1 | 1u << 15;
		model->process.creds.seccomp_filters_known = true;
		model->process.creds.seccomp_filters = 2;
	}
	fill_fds(model);
	if (size == SAMPLE_MANY_FDS)
		fill_many_fds(model);
}

void sample_write(const struct thump_model *model, const char *path,
		  struct thump_image_stats *stats_ret)
{
	const struct thump_image_options options = { .path = path };
	struct thump_image_writer *writer = NULL;
	struct thump_err err = THUMP_ERR_INIT;

	if (thump_image_write(&options, model, &sample_source, &writer, stats_ret, &err) < 0 ||
	    thump_image_commit(writer, &err) < 0) {
		(void)fprintf(stderr, "sample image: %s\n", err.text);
		abort();
	}
	thump_image_writer_destroy(writer);
}
