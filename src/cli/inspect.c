/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `thump inspect`: what an image says about itself. Its texts come from a file that anybody may
 * have made: for people, control characters are shown, not sent to the terminal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/keys.h"
#include "cli/report.h"
#include "kinds/kind.h"
#include "pack/pack.h"
#include "proc/arch/cpu.h"
#include "proc/arch/syscalls.h"

static const char usage[] =
	"usage: thump inspect FILE [--fds] [--maps] [--threads] [--json]\n"
	"\n"
	"Say what is in an image, packed or not: program, threads, memory by kind, descriptors,\n"
	"what it requires, when and where it was made. FILE may be -, standard input.\n"
	"\n"
	"      --decrypt-with FILE\n"
	"                   the secret key in FILE opens an encrypted image; may be repeated\n"
	"      --passphrase-file FILE, --passphrase-fd N\n"
	"                   the passphrase of an encrypted image is the first line there\n"
	"      --store DIR  its chunks are in the chunk store DIR, not where FILE says\n"
	"      --fds        list every descriptor\n"
	"      --maps       list every mapping, and how much of it is stored\n"
	"      --threads    list every thread\n"
	"  -v, --verbose    all three lists\n"
	"      --json       print one JSON object on stdout; with the lists asked for\n"
	"  -h, --help       print this\n"
	"      --version    print thump's version\n"
	"\n"
	"Exit codes: 0 done; 1 the image cannot be read; 2 usage; 3 it is made for another\n"
	"thump or machine; 4 it is damaged.\n";

enum { OPT_FDS = THUMP_OPT_VERB, OPT_MAPS, OPT_THREADS };

#define NR_VMA_KINDS (THUMP_VMA_DEVICE_ZERO + 1)

struct inspect {
	bool hot_is_beside; /* the image itself was never trained */
	struct thump_common common;
	const char *path;
	bool fds, maps, threads;
	const struct thump_model *model;
	uint64_t size_bytes;
	struct thump_packed_info packed; /* raw_bytes is 0: it is not */
	struct thump_key_words key_words;
};

struct sums {
	uint64_t nr_vmas, mapped_bytes, stored_bytes;
};

static void add_up(const struct thump_model *model, struct sums sums[NR_VMA_KINDS])
{
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		struct sums *sum = &sums[vma->kind < NR_VMA_KINDS ? vma->kind : 0];

		sum->nr_vmas++;
		sum->mapped_bytes += vma->end - vma->start;
		sum->stored_bytes += thump_extents_bytes(vma->extents, vma->nr_extents);
	}
}

static uint64_t backings_bytes(const struct thump_model *model)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < model->nr_backings; i++)
		sum += thump_extents_bytes(model->backings[i].extents,
					   model->backings[i].nr_extents);
	return sum;
}

static void format_time(uint64_t realtime_ns, char *text, size_t size)
{
	time_t seconds = (time_t)(realtime_ns / 1000000000u);
	struct tm utc;

	if (!gmtime_r(&seconds, &utc) || strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		(void)snprintf(text, size, "an unknown time");
}

static void format_prot(uint32_t prot, char text[4])
{
	text[0] = prot & PROT_READ ? 'r' : '-';
	text[1] = prot & PROT_WRITE ? 'w' : '-';
	text[2] = prot & PROT_EXEC ? 'x' : '-';
	text[3] = '\0';
}

static const char *state_name(uint32_t state)
{
	return state == THUMP_TASK_STOPPED ? "stopped" : "running";
}

/* NULL: it has none. */
static const char *vma_path(const struct thump_model *model, const struct thump_vma *vma)
{
	if (vma->backing_id != THUMP_NO_ID)
		return model->backings[vma->backing_id].path;
	return vma->anon_name;
}

static const char *ofd_kind_name(const struct thump_ofd *ofd)
{
	const struct thump_kind *kind = thump_kind_by_id(ofd->kind_id);

	return kind ? kind->name : "unknown";
}

/* ---- for people ------------------------------------------------------------------------ */

static void put_line(const char *title, const char *text)
{
	printf("%-12s ", title);
	thump_put_text(text);
	putchar('\n');
}

static void put_size(uint64_t bytes)
{
	if (bytes < 10000000)
		printf("%9" PRIu64 " kB", (bytes + 999) / 1000);
	else
		printf("%9" PRIu64 " MB", (bytes + 999999) / 1000000);
}

static void print_origin(const struct inspect *inspect)
{
	const struct thump_machine *machine = &inspect->model->machine;
	char made[64];

	format_time(machine->realtime_ns, made, sizeof(made));
	printf("%-12s %s on ", "made", made);
	thump_put_text(machine->hostname);
	printf(", Linux ");
	thump_put_text(machine->kernel_release);
	printf(", by thump ");
	thump_put_text(machine->thump_version);
	putchar('\n');
}

/* Why a restore must give the program the pids that it had; NULL: it need not. */
static const char *why_same_pids(const struct thump_model *model)
{
	return model->process.user_vouched ? model->tid_obstacle
					   : "no runtime vouches that the program stands others";
}

static void print_program(const struct inspect *inspect)
{
	const char *reason = why_same_pids(inspect->model);
	const struct thump_process *process = &inspect->model->process;

	put_line("program", process->cmdline);
	put_line("executable", process->exe_path);
	put_line("directory", process->cwd);
	printf("%-12s %" PRId32, "pid", process->pid);
	if (process->pid_host != process->pid)
		printf(" (%" PRId32 " outside its pid namespace)", process->pid_host);
	printf(", %" PRIu32 " thread%s\n", inspect->model->nr_tasks,
	       inspect->model->nr_tasks == 1 ? "" : "s");
	if (reason)
		printf("%-12s kept, or no restore: ", "pids");
	else
		printf("%-12s kept, or others", "pids");
	thump_put_text(reason ? reason : "");
	putchar('\n');
	printf("%-12s uid %" PRIu32 ", gid %" PRIu32 "%s\n", "user", process->creds.uid,
	       process->creds.gid, process->creds.cap_permitted ? ", with capabilities" : "");
}

/* What `bytes_of` says of all stored private memory in the vouched ranges, part by part. */
static uint64_t sum_vouched(const struct thump_model *model,
			    uint64_t (*bytes_of)(const struct thump_hot *hot, uint64_t start,
						 uint64_t end))
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		for (uint32_t k = 0; k < vma->nr_extents; k++) {
			struct thump_range part = { .end = vma->extents[k].start };

			while (thump_model_find_vouched(model, part.end, vma->extents[k].end,
							&part))
				sum += bytes_of(&model->hot, part.start, part.end);
		}
	}
	return sum;
}

static uint64_t bytes_between(const struct thump_hot *hot, uint64_t start, uint64_t end)
{
	(void)hot;
	return end - start;
}

/* What a restore need not read. */
static uint64_t vouched_bytes(const struct thump_model *model)
{
	return sum_vouched(model, bytes_between);
}

static void print_vouched(const struct thump_model *model)
{
	if (!model->nr_vouched)
		return;
	printf("%9s    ", "");
	put_size(vouched_bytes(model));
	printf("  %8" PRIu32 "  ranges of it that may be mapped from the image\n",
	       model->nr_vouched);
}

/* Of [start, end) what is in none of these ranges. */
static uint64_t bytes_outside(const struct thump_range *ranges, uint32_t count, uint64_t start,
			      uint64_t end)
{
	struct thump_range part = { .end = start };
	uint64_t sum = end - start;

	while (thump_find_part(ranges, count, part.end, end, &part))
		sum -= part.end - part.start;
	return sum;
}

static uint64_t cold_bytes_of(const struct thump_hot *hot, uint64_t start, uint64_t end)
{
	struct thump_range part;
	uint64_t sum = 0, at = start;

	for (; thump_find_part(hot->read, hot->nr_read, at, end, &part); at = part.end)
		sum += bytes_outside(hot->written, hot->nr_written, at, part.start);
	return sum + bytes_outside(hot->written, hot->nr_written, at, end);
}

/* What is mapped from the image, but not touched at first. */
static uint64_t cold_bytes(const struct thump_model *model)
{
	return sum_vouched(model, cold_bytes_of);
}

static void print_hot(const struct thump_model *model, bool is_beside)
{
	const struct thump_hot *hot = &model->hot;

	if (!hot->nr_written && !hot->nr_read)
		return;
	printf("%9s    ", "");
	put_size(thump_ranges_bytes(hot->written, hot->nr_written));
	printf("  %8" PRIu32 "  ranges of it that are written to first (%s)\n", hot->nr_written,
	       is_beside ? "says FILE.hot" : "trained");
	printf("%9s    ", "");
	put_size(thump_ranges_bytes(hot->read, hot->nr_read));
	printf("  %8" PRIu32 "  ranges of it that are touched first\n", hot->nr_read);
	printf("%9s    ", "");
	put_size(cold_bytes(model));
	printf("  %8s  of it that is cold\n", "");
}

static void print_memory(const struct inspect *inspect)
{
	struct sums sums[NR_VMA_KINDS] = { 0 };

	add_up(inspect->model, sums);
	printf("memory           mapped       stored  mappings\n");
	for (uint32_t kind = 1; kind < NR_VMA_KINDS; kind++) {
		if (!sums[kind].nr_vmas)
			continue;
		put_size(sums[kind].mapped_bytes);
		printf(" ");
		put_size(sums[kind].stored_bytes);
		printf("  %8" PRIu64 "  %s\n", sums[kind].nr_vmas, thump_vma_kind_name(kind));
	}
	print_vouched(inspect->model);
	print_hot(inspect->model, inspect->hot_is_beside);
	if (backings_bytes(inspect->model)) {
		printf("%9s    ", "");
		put_size(backings_bytes(inspect->model));
		printf("  %8s  content of shared memory and carried files\n", "");
	}
}

/* How many descriptors of each kind, in the order in which the kinds come first. */
static void print_fd_summary(const struct thump_model *model)
{
	auto_free uint32_t *counts = calloc(UINT16_MAX + 1, sizeof(*counts)); /* by kind_id */

	printf("%-12s %" PRIu32, "descriptors", model->nr_fds);
	for (uint32_t i = 0; i < model->nr_fds && counts; i++)
		counts[model->ofds[model->fds[i].ofd_id].kind_id]++;
	for (uint32_t i = 0; i < model->nr_fds && counts; i++) {
		const struct thump_ofd *ofd = &model->ofds[model->fds[i].ofd_id];

		if (counts[ofd->kind_id])
			printf(", %" PRIu32 " %s", counts[ofd->kind_id], ofd_kind_name(ofd));
		counts[ofd->kind_id] = 0;
	}
	putchar('\n');
}

static void print_needs(const struct thump_model *model)
{
	const int level =
		thump_cpu_level_for(model->machine.cpuid_words, model->machine.nr_cpuid_words);
	uint32_t nr_files = 0;

	for (uint32_t i = 0; i < model->nr_backings; i++)
		nr_files += model->backings[i].kind == THUMP_BACKING_FILE;
	if (level)
		printf("%-12s x86-64-v%d", "needs", level);
	else
		printf("%-12s x86-64", "needs");
	if (!level && model->machine.cpu_name && *model->machine.cpu_name) {
		printf(" with the features of ");
		thump_put_text(model->machine.cpu_name);
	}
	printf(" (XCR0 %#" PRIx64 "), %" PRIu32 " files as they were\n", model->machine.xcr0,
	       nr_files);
}

static void print_runtime(const struct thump_model *model)
{
	const struct thump_runtime *runtime = &model->process.runtime;

	if (!runtime->name)
		return;
	printf("%-12s ", "runtime");
	thump_put_text(runtime->name);
	if (runtime->heap_max_bytes)
		printf(", a heap of %" PRIu64 " MB, at most %" PRIu64 " MB",
		       runtime->heap_bytes / 1000000, runtime->heap_max_bytes / 1000000);
	if (runtime->processors)
		printf(", set up for %" PRIu32 " processors", runtime->processors);
	putchar('\n');
}

static const char *call_text(uint32_t nr, char *room, size_t size)
{
	const char *name = nr == THUMP_NO_ID ? "-" : thump_syscall_name(nr);

	if (name)
		return name;
	(void)snprintf(room, size, "syscall %" PRIu32, nr);
	return room;
}

static void print_threads(const struct thump_model *model)
{
	printf("\nthreads      tid  state    blocked in      name\n");
	for (uint32_t i = 0; i < model->nr_tasks; i++) {
		const struct thump_task *task = &model->tasks[i];
		char room[32];

		printf("%16" PRId32 "  %-7s  %-15s ", task->tid, state_name(task->state),
		       call_text(task->blocked_syscall, room, sizeof(room)));
		thump_put_text(task->comm);
		putchar('\n');
	}
}

static void print_fds(const struct thump_model *model)
{
	printf("\ndescriptors   fd  kind          flags\n");
	for (uint32_t i = 0; i < model->nr_fds; i++) {
		const struct thump_fd *fd = &model->fds[i];
		const struct thump_ofd *ofd = &model->ofds[fd->ofd_id];

		printf("%16" PRId32 "  %-12s  %#" PRIo32 "%s  ", fd->fd, ofd_kind_name(ofd),
		       ofd->open_flags, fd->cloexec ? ",cloexec" : "");
		thump_put_text(ofd->text);
		putchar('\n');
	}
}

static void print_maps(const struct thump_model *model)
{
	for (uint32_t i = 0; i < model->nr_vouched; i++)
		printf("%s%016" PRIx64 "-%016" PRIx64 "\n",
		       i ? "" : "\nmay be mapped from the image\n", model->vouched[i].start,
		       model->vouched[i].end);
	printf("\nmappings\n");
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		char prot[4];

		format_prot(vma->prot, prot);
		printf("%016" PRIx64 "-%016" PRIx64 " %s %-13s", vma->start, vma->end, prot,
		       thump_vma_kind_name(vma->kind));
		put_size(thump_extents_bytes(vma->extents, vma->nr_extents));
		printf(" stored  ");
		thump_put_text(vma_path(model, vma));
		putchar('\n');
	}
}

static const char *cipher_name(const struct thump_packed_info *packed)
{
	return packed->cipher == THUMP_CIPHER_AES256_OCB ? "AES-256-OCB" : "XChaCha20-Poly1305";
}

static void print_packed(const struct thump_packed_info *packed)
{
	printf("%-12s from %" PRIu64 " bytes, in %" PRIu32 " chunks", "packed", packed->raw_bytes,
	       packed->nr_chunks);
	if (packed->encrypted)
		printf(", encrypted (%s)", cipher_name(packed));
	if (packed->apart)
		printf(", %" PRIu64 " bytes in a chunk store", packed->stored_bytes);
	if (packed->nr_signatures)
		printf(", with %" PRIu32 " signature%s", packed->nr_signatures,
		       packed->nr_signatures == 1 ? "" : "s");
	putchar('\n');
}

static void print_text(const struct inspect *inspect)
{
	printf("%-12s ", "image");
	thump_put_text(inspect->path);
	printf(", %" PRIu64 " bytes\n", inspect->size_bytes);
	if (inspect->packed.raw_bytes)
		print_packed(&inspect->packed);
	print_origin(inspect);
	print_program(inspect);
	print_fd_summary(inspect->model);
	print_needs(inspect->model);
	print_runtime(inspect->model);
	print_memory(inspect);
	if (inspect->threads)
		print_threads(inspect->model);
	if (inspect->fds)
		print_fds(inspect->model);
	if (inspect->maps)
		print_maps(inspect->model);
}

/* ---- for programs ---------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
	return text ? thump_json_text(text) : json_null();
}

/* JSON numbers lose bits above 2^53 in many readers: addresses are strings. */
static json_t *address(uint64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%#" PRIx64, value);
	return json_string(text);
}

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *json_origin(const struct thump_machine *machine)
{
	char made[64];

	format_time(machine->realtime_ns, made, sizeof(made));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "time", made, "hostname",
			 text_or_null(machine->hostname), "kernel",
			 text_or_null(machine->kernel_release), "thump",
			 text_or_null(machine->thump_version), "realtime_ns",
			 integer(machine->realtime_ns), "monotonic_ns",
			 integer(machine->monotonic_ns), "boottime_ns",
			 integer(machine->boottime_ns), "boot_id", text_or_null(machine->boot_id));
}

static json_t *json_program(const struct thump_model *model)
{
	const struct thump_process *process = &model->process;

	return json_pack("{s:o, s:o, s:o, s:i, s:i, s:o, s:o, s:b, s:o}", "command",
			 text_or_null(process->cmdline), "executable",
			 text_or_null(process->exe_path), "directory", text_or_null(process->cwd),
			 "pid", (int)process->pid, "pid_outside", (int)process->pid_host, "uid",
			 integer(process->creds.uid), "gid", integer(process->creds.gid),
			 "stands_other_pids", why_same_pids(model) == NULL, "same_pids_reason",
			 text_or_null(why_same_pids(model)));
}

/* Their names, as in /proc/cpuinfo. */
static json_t *cpu_features(const struct thump_machine *machine)
{
	const uint32_t none[THUMP_NR_CPU_WORDS] = { 0 };
	char names[2048], *rest = names, *name;
	json_t *list = json_array();

	(void)thump_cpu_missing(machine->cpuid_words, machine->nr_cpuid_words, none, names,
				sizeof(names));
	while ((name = strsep(&rest, " ")))
		if (*name)
			json_array_append_new(list, thump_json_text(name));
	return list;
}

static json_t *json_needs(const struct thump_model *model)
{
	const int level =
		thump_cpu_level_for(model->machine.cpuid_words, model->machine.nr_cpuid_words);
	json_t *files = json_array(), *words = json_array();

	for (uint32_t i = 0; i < model->nr_backings; i++)
		if (model->backings[i].kind == THUMP_BACKING_FILE)
			json_array_append_new(files, text_or_null(model->backings[i].path));
	for (uint32_t i = 0; i < model->machine.nr_cpuid_words; i++)
		json_array_append_new(words, integer(model->machine.cpuid_words[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "architecture", "x86-64", "cpu",
			 text_or_null(model->machine.cpu_name), "cpu_level",
			 level ? json_sprintf("x86-64-v%d", level) : json_null(), "cpu_features",
			 cpu_features(&model->machine), "xcr0", address(model->machine.xcr0),
			 "cpuid_words", words, "files", files);
}

static json_t *json_memory(const struct thump_model *model)
{
	struct sums sums[NR_VMA_KINDS] = { 0 };
	json_t *kinds = json_object();

	add_up(model, sums);
	for (uint32_t kind = 1; kind < NR_VMA_KINDS; kind++)
		if (sums[kind].nr_vmas)
			json_object_set_new(kinds, thump_vma_kind_name(kind),
					    json_pack("{s:o, s:o, s:o}", "mappings",
						      integer(sums[kind].nr_vmas), "mapped_bytes",
						      integer(sums[kind].mapped_bytes),
						      "stored_bytes",
						      integer(sums[kind].stored_bytes)));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "kinds", kinds, "backings_bytes",
			 integer(backings_bytes(model)), "vouched_bytes",
			 integer(vouched_bytes(model)), "hot_written_bytes",
			 integer(thump_ranges_bytes(model->hot.written, model->hot.nr_written)),
			 "hot_read_bytes",
			 integer(thump_ranges_bytes(model->hot.read, model->hot.nr_read)),
			 "cold_bytes", integer(cold_bytes(model)));
}

static json_t *json_threads(const struct thump_model *model)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < model->nr_tasks; i++) {
		const struct thump_task *task = &model->tasks[i];
		json_t *blocked = task->blocked_syscall == THUMP_NO_ID
					  ? json_null()
					  : integer(task->blocked_syscall);

		json_array_append_new(list, json_pack("{s:i, s:o, s:s, s:o}", "tid", (int)task->tid,
						      "name", text_or_null(task->comm), "state",
						      state_name(task->state), "blocked_syscall",
						      blocked));
	}
	return list;
}

static json_t *json_fds(const struct thump_model *model)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < model->nr_fds; i++) {
		const struct thump_fd *fd = &model->fds[i];
		const struct thump_ofd *ofd = &model->ofds[fd->ofd_id];

		json_array_append_new(list, json_pack("{s:i, s:s, s:o, s:o, s:b, s:o, s:o}", "fd",
						      (int)fd->fd, "kind", ofd_kind_name(ofd),
						      "text", text_or_null(ofd->text), "open_flags",
						      integer(ofd->open_flags), "cloexec",
						      fd->cloexec, "pos", integer(ofd->pos),
						      "description", integer(fd->ofd_id)));
	}
	return list;
}

static json_t *json_vouched(const struct thump_model *model)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < model->nr_vouched; i++)
		json_array_append_new(list, json_pack("{s:o, s:o}", "start",
						      address(model->vouched[i].start), "end",
						      address(model->vouched[i].end)));
	return list;
}

static json_t *json_runtime(const struct thump_runtime *runtime)
{
	if (!runtime->name)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o}", "name", thump_json_text(runtime->name),
			 "heap_bytes", integer(runtime->heap_bytes), "heap_max_bytes",
			 integer(runtime->heap_max_bytes), "processors",
			 integer(runtime->processors));
}

static json_t *json_maps(const struct thump_model *model)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		char prot[4];

		format_prot(vma->prot, prot);
		json_array_append_new(
			list, json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "start",
					address(vma->start), "end", address(vma->end), "prot", prot,
					"kind", thump_vma_kind_name(vma->kind), "offset",
					address(vma->offset), "stored_bytes",
					integer(thump_extents_bytes(vma->extents, vma->nr_extents)),
					"path", text_or_null(vma_path(model, vma))));
	}
	return list;
}

static json_t *json_packed(const struct thump_packed_info *packed)
{
	if (!packed->raw_bytes)
		return json_null();
	return json_pack("{s:o, s:o, s:b, s:o, s:b, s:o, s:o}", "raw_bytes",
			 integer(packed->raw_bytes), "nr_chunks", integer(packed->nr_chunks),
			 "encrypted", packed->encrypted, "cipher",
			 text_or_null(packed->encrypted ? cipher_name(packed) : NULL), "in_store",
			 packed->apart, "stored_bytes", integer(packed->stored_bytes),
			 "nr_signatures", integer(packed->nr_signatures));
}

static int print_json(const struct inspect *inspect)
{
	const struct thump_model *model = inspect->model;
	json_t *object = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "image",
		thump_json_text(inspect->path), "size_bytes", integer(inspect->size_bytes),
		"packed", json_packed(&inspect->packed), "made", json_origin(&model->machine),
		"program", json_program(model), "needs", json_needs(model), "memory",
		json_memory(model), "nr_threads", integer(model->nr_tasks), "nr_fds",
		integer(model->nr_fds), "runtime", json_runtime(&model->process.runtime));

	if (object && inspect->threads)
		json_object_set_new(object, "threads", json_threads(model));
	if (object && inspect->fds)
		json_object_set_new(object, "fds", json_fds(model));
	if (object && inspect->maps) {
		json_object_set_new(object, "maps", json_maps(model));
		json_object_set_new(object, "vouched", json_vouched(model));
	}
	return thump_print_json(object, THUMP_OK);
}

static int inspect_image(struct inspect *inspect)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_open_options options = { .extent = THUMP_OPEN_META };
	struct thump_image *image = NULL;
	struct thump_keys *keys;
	int status = THUMP_OK;

	if (thump_keys_load(&inspect->key_words, &keys, &err) == 0) {
		options.keys = keys;
		options.store = inspect->key_words.store;
		(void)!thump_open(inspect->path, &options, &image, &inspect->packed, &err);
		thump_keys_destroy(keys);
	}
	if (image)
		inspect->hot_is_beside = thump_image_load_hot(image);
	if (!image) {
		if (inspect->common.json)
			return thump_print_json(json_pack("{s:o, s:o}", "image",
							  thump_json_text(inspect->path), "error",
							  thump_json_error(&err)),
						err.code);
		thump_print_error(&inspect->common, &err);
		return err.code;
	}
	inspect->model = thump_image_model(image);
	inspect->size_bytes =
		inspect->packed.raw_bytes ? inspect->packed.file_bytes : thump_image_size(image);
	if (inspect->common.json)
		status = print_json(inspect);
	else
		print_text(inspect);
	thump_image_destroy(image);
	return status == THUMP_OK ? thump_end_of_output(status) : status;
}

static int take_option(void *ctx, int opt)
{
	struct inspect *inspect = ctx;

	switch (opt) {
	case OPT_FDS:
		inspect->fds = true;
		return -1;
	case OPT_MAPS:
		inspect->maps = true;
		return -1;
	case OPT_THREADS:
		inspect->threads = true;
		return -1;
	default:
		if (thump_key_option(&inspect->key_words, opt, optarg))
			return -1;
		return thump_common_option(&inspect->common, opt);
	}
}

static int verb_inspect(int argc, char **argv)
{
	static const struct option options[] = { { "fds", no_argument, NULL, OPT_FDS },
						 { "maps", no_argument, NULL, OPT_MAPS },
						 { "threads", no_argument, NULL, OPT_THREADS },
						 THUMP_DECRYPT_OPTIONS,
						 THUMP_STORE_OPTION,
						 THUMP_PASSPHRASE_OPTIONS,
						 THUMP_COMMON_OPTIONS,
						 { 0 } };
	struct inspect inspect = { .common = { .verb = "inspect", .usage = usage } };
	int status = thump_parse_options(&inspect.common, argc, argv, ":hv", options, take_option,
					 &inspect);

	if (status >= 0)
		return status;
	if (optind + 1 != argc)
		return thump_usage_error(&inspect.common, "one image is expected");
	if (inspect.common.verbose)
		inspect.fds = inspect.maps = inspect.threads = true;
	inspect.path = argv[optind];
	return inspect_image(&inspect);
}

const struct thump_verb thump_verb_inspect = {
	.name = "inspect",
	.summary = "say what is in an image",
	.run = verb_inspect,
};
