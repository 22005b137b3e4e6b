/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slots (.got.plt) through which a library calls functions of another one. Each library has
 * slots of its own, and others go on calling what they called.
 */
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"

struct patch {
	uintptr_t inside; /* an address in the library */
	bool others;	  /* all but that one */
	const struct slot *slots;
	size_t nr_slots, nr_patched;
};

struct dynamic {
	const Elf64_Rela *relocations;
	size_t nr_relocations;
	const Elf64_Sym *symbols;
	const char *names;
};

static uintptr_t replacement_of(const struct patch *patch, const char *name)
{
	for (size_t i = 0; i < patch->nr_slots; i++)
		if (strcmp(name, patch->slots[i].name) == 0)
			return patch->slots[i].function;
	return 0;
}

/* Slots are read-only where the library was linked with -z now: then ld.so has bound them all, and
 * other threads only read them meanwhile. */
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
		value = replacement_of(patch, dynamic->names + symbol->st_name);
		if (value && write_slot((uintptr_t *)slot, value, is_relro(info, slot)))
			patch->nr_patched++;
	}
}

/* The two tables of a library; glibc has relocated these addresses in place (DL_RELOCATE_LD in
 * elf/dl-relocate-ld.h). */
static bool find_tables(const struct dl_phdr_info *info, struct dynamic tables_ret[2])
{
	struct dynamic plt = { 0 }, other = { 0 };
	const Elf64_Dyn *entry = NULL;

	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			entry = (const Elf64_Dyn *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	for (; entry && entry->d_tag != DT_NULL; entry++) {
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
	tables_ret[0] = plt;
	tables_ret[1] = other;
	return plt.symbols && plt.names;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

bool slots_lead_to(const struct dl_phdr_info *info, const char *const *names, size_t count)
{
	struct dynamic tables[2];

	if (!find_tables(info, tables))
		return false;
	for (int t = 0; t < 2; t++) {
		for (size_t i = 0; i < tables[t].nr_relocations; i++) {
			size_t symbol = ELF64_R_SYM(tables[t].relocations[i].r_info);

			if (symbol && is_one_of(tables[t].names + tables[t].symbols[symbol].st_name,
						names, count))
				return true;
		}
	}
	return false;
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
	struct dynamic tables[2];

	(void)size;
	if (is_inside(info, patch->inside) == patch->others)
		return 0;
	if (find_tables(info, tables)) {
		patch_relocations(info, &tables[0], patch);
		patch_relocations(info, &tables[1], patch);
	}
	return !patch->others;
}

size_t slots_point(const struct agent *agent, const struct slot *slots, size_t count)
{
	struct patch patch = {
		.inside = (uintptr_t)(*agent->vm)->GetEnv,
		.slots = slots,
		.nr_slots = count,
	};

	(void)dl_iterate_phdr(patch_library, &patch);
	return patch.nr_patched;
}

void slots_point_everywhere(const struct slot *slots, size_t count)
{
	struct patch patch = {
		.inside = (uintptr_t)slots_point_everywhere,
		.others = true,
		.slots = slots,
		.nr_slots = count,
	};

	(void)dl_iterate_phdr(patch_library, &patch);
}
