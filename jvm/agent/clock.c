/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System.nanoTime() goes on where it was, on any machine and without a time namespace: libjvm.so
 * calls clock_gettime(2) and pthread_cond_timedwait(3) through slots of its own (.got.plt), which
 * here are made to point to functions that know how much the clock is ahead of the program's. The
 * engine adds to that number before the restored process runs (coord/abi.h); it is 0 before.
 *
 * From the very beginning, not only after a restore: a thread that waits across the checkpoint
 * waits with a time of the machine's clock that lies in our frame. The engine moves that one; the
 * caller's own copy stays in the program's time.
 *
 * No other library of the JDK asks for monotonic time (libjava, libnio, libnet: none imports these
 * functions).
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define NS_PER_S INT64_C(1000000000)

static int64_t ahead_ns(void)
{
	return __atomic_load_n(&agent_get()->clock_ahead_ns, __ATOMIC_RELAXED);
}

static struct timespec moved(const struct timespec *time, int64_t ns)
{
	struct timespec sum = { .tv_sec = time->tv_sec + ns / NS_PER_S,
				.tv_nsec = time->tv_nsec + ns % NS_PER_S };

	if (sum.tv_nsec < 0) {
		sum.tv_nsec += NS_PER_S;
		sum.tv_sec--;
	} else if (sum.tv_nsec >= NS_PER_S) {
		sum.tv_nsec -= NS_PER_S;
		sum.tv_sec++;
	}
	return sum;
}

static int own_clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = clock_gettime(clock, now);
	int64_t ahead = ahead_ns();

	if (ahead != 0 && rc == 0 && clock == CLOCK_MONOTONIC)
		*now = moved(now, -ahead);
	return rc;
}

/* Bit 1 of __wrefs: the condition variable has CLOCK_MONOTONIC (nptl/pthread_cond_common.c; since
 * glibc 2.25, and public in the type). */
#define COND_IS_MONOTONIC 2u

static int own_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
			      const struct timespec *until)
{
	struct timespec here;

	if (!(__atomic_load_n(&cond->__data.__wrefs, __ATOMIC_RELAXED) & COND_IS_MONOTONIC))
		return pthread_cond_timedwait(cond, mutex, until);
	here = moved(until, ahead_ns());
	if (here.tv_sec < 0)
		here = (struct timespec){ 0 }; /* in the past, but a valid time */
	return pthread_cond_timedwait(cond, mutex, &here);
}

/* ---- slots -------------------------------------------------------------------------------------
 */

struct patch {
	uintptr_t inside; /* an address in the library */
	int nr_patched;
};

struct dynamic {
	const Elf64_Rela *relocations;
	size_t nr_relocations;
	const Elf64_Sym *symbols;
	const char *names;
};

static uintptr_t replacement_of(const char *name)
{
	if (strcmp(name, "clock_gettime") == 0)
		return (uintptr_t)own_clock_gettime;
	if (strcmp(name, "pthread_cond_timedwait") == 0)
		return (uintptr_t)own_cond_timedwait;
	return 0;
}

/* Slots are read-only where the library was linked with -z now: written as ld.so does it, before
 * any other thread of the JVM runs. */
static bool write_slot(uintptr_t *slot, uintptr_t value, bool read_only)
{
	const uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	void *page = (void *)((uintptr_t)slot & ~(page_size - 1));

	if (read_only && mprotect(page, page_size, PROT_READ | PROT_WRITE) != 0)
		return false;
	__atomic_store_n(slot, value, __ATOMIC_RELEASE);
	return !read_only || mprotect(page, page_size, PROT_READ) == 0;
}

static bool is_relro(const struct dl_phdr_info *info, uintptr_t addr)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *segment = &info->dlpi_phdr[i];

		if (segment->p_type == PT_GNU_RELRO &&
		    addr - (info->dlpi_addr + segment->p_vaddr) < segment->p_memsz)
			return true;
	}
	return false;
}

static void patch_relocations(const struct dl_phdr_info *info, const struct dynamic *dynamic,
			      struct patch *patch)
{
	for (size_t i = 0; i < dynamic->nr_relocations; i++) {
		const Elf64_Rela *relocation = &dynamic->relocations[i];
		const Elf64_Sym *symbol = &dynamic->symbols[ELF64_R_SYM(relocation->r_info)];
		uintptr_t slot = info->dlpi_addr + relocation->r_offset;
		uintptr_t value;

		if (ELF64_R_TYPE(relocation->r_info) != R_X86_64_JUMP_SLOT &&
		    ELF64_R_TYPE(relocation->r_info) != R_X86_64_GLOB_DAT)
			continue;
		value = replacement_of(dynamic->names + symbol->st_name);
		if (value && write_slot((uintptr_t *)slot, value, is_relro(info, slot)))
			patch->nr_patched++;
	}
}

/* glibc has relocated these addresses in place (DL_RELOCATE_LD in elf/dl-relocate-ld.h). */
static void patch_dynamic(const struct dl_phdr_info *info, const Elf64_Dyn *entry,
			  struct patch *patch)
{
	struct dynamic plt = { 0 }, other;

	other = plt;
	for (; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_JMPREL)
			plt.relocations = (const Elf64_Rela *)entry->d_un.d_ptr;
		else if (entry->d_tag == DT_PLTRELSZ)
			plt.nr_relocations = entry->d_un.d_val / sizeof(Elf64_Rela);
		else if (entry->d_tag == DT_RELA)
			other.relocations = (const Elf64_Rela *)entry->d_un.d_ptr;
		else if (entry->d_tag == DT_RELASZ)
			other.nr_relocations = entry->d_un.d_val / sizeof(Elf64_Rela);
		else if (entry->d_tag == DT_SYMTAB)
			plt.symbols = other.symbols = (const Elf64_Sym *)entry->d_un.d_ptr;
		else if (entry->d_tag == DT_STRTAB)
			plt.names = other.names = (const char *)entry->d_un.d_ptr;
	}
	if (!plt.symbols || !plt.names)
		return;
	patch_relocations(info, &plt, patch);
	patch_relocations(info, &other, patch);
}

static bool is_inside(const struct dl_phdr_info *info, uintptr_t addr)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *segment = &info->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD &&
		    addr - (info->dlpi_addr + segment->p_vaddr) < segment->p_memsz)
			return true;
	}
	return false;
}

static int patch_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct patch *patch = arg;

	(void)size;
	if (!is_inside(info, patch->inside))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			patch_dynamic(
				info,
				(const Elf64_Dyn *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
				patch);
	return 1;
}

bool clock_take_over(struct agent *agent)
{
	struct patch patch = { .inside = (uintptr_t)(*agent->vm)->GetEnv };

	(void)dl_iterate_phdr(patch_library, &patch);
	return patch.nr_patched >= 2;
}
