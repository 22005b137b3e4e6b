/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vdso of an image and that of this kernel. When they are the same, the kernel's is moved to
 * where the program knows it. When they differ (another kernel), the program still holds addresses
 * inside the old one: libc and language runtimes look its functions up once. Then
 *   - the old code stays at its place, as ordinary memory with the image's bytes, but each exported
 *     function begins with a jump to the kernel's function of that name, or with the system call
 *     that it stands for where the kernel's vdso lacks it, but for code that needs neither;
 *   - the kernel's own vdso and vvar are moved to some free place;
 *   - the old vvar becomes zeros. To the code of before, which a signal handler may return into,
 *     they say that no clock can be read without a system call (VDSO_CLOCKMODE_NONE).
 * A thread that is inside the old code is refused: what it has read so far is of the old clock.
 */
#include <elf.h>
#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "image/hash.h"
#include "proc/maps.h"
#include "rebuild/arch/arch.h"
#include "rebuild/plan.h"

#define VDSO_LIMIT_BYTES ((uint64_t)1 << 20)
#define NAME_LIMIT	 64
#define MAX_SYMBOLS	 256

/* 2^27 pages, below what rebuild uses itself (layout.c) and away from all that programs use by
 * default. */
#define PLACE_START	  UINT64_C(0x80000000000)
#define PLACE_RANDOM_MASK ((UINT64_C(1) << 27) - 1)

/* ---- what the kernel maps ------------------------------------------------------------------ */

static bool is_kernel_mapping(const struct thump_map *map)
{
	return strcmp(map->path, "[vdso]") == 0 || strncmp(map->path, "[vvar", 5) == 0;
}

static int read_own_maps(struct thump_maps *maps, struct thump_err *err)
{
	auto_close int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return thump_fail_errno(err, "open /proc/self/maps");
	return thump_maps_read(maps, fd, err);
}

static uint64_t find_insn(const unsigned char *bytes, uint64_t size_bytes)
{
	for (uint64_t i = 1; i + 1 < size_bytes; i++) {
		if (thump_is_syscall_insn(bytes + i))
			return i;
	}
	return 0;
}

/* What our kernel maps into every process, relative to the vdso; *vdso_ret is ours, or 0. */
static int find_kernel_mappings(struct thump_kernel_mappings *own, uint64_t *vdso_ret,
				struct thump_err *err)
{
	struct thump_arena arena;
	struct thump_maps maps;
	int result;

	*vdso_ret = 0;
	own->count = 0;
	thump_arena_init(&arena);
	thump_maps_init(&maps, &arena);
	result = read_own_maps(&maps, err);
	for (size_t i = 0; i < maps.count; i++) {
		const struct thump_map *map = &maps.list[i];

		if (!is_kernel_mapping(map))
			continue;
		if (own->count == THUMP_MAX_KERNEL_MAPPINGS)
			result = thump_fail(err, "the kernel maps more than vdso and vvar");
		else
			own->list[own->count++] =
				(struct thump_kernel_mapping){ .from_vdso = map->start,
							       .size = map->end - map->start };
		if (strcmp(map->path, "[vdso]") != 0)
			continue;
		*vdso_ret = map->start;
		own->vdso_size = map->end - map->start;
		own->insn_from_vdso = find_insn((const unsigned char *)(uintptr_t)map->start,
						map->end - map->start);
	}
	for (size_t i = 0; i < own->count; i++)
		own->list[i].from_vdso -= *vdso_ret;
	thump_arena_deinit(&arena);
	return result;
}

/* The image's mappings of the kernel lie relative to each other as ours do, and are as big: the
 * vdso's code finds vvar relative to itself. */
static bool same_shape(const struct thump_model *model, const struct thump_kernel_mappings *own)
{
	size_t at = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		if (vma->kind != THUMP_VMA_VDSO && vma->kind != THUMP_VMA_VVAR)
			continue;
		if (at == own->count || own->list[at].size != vma->end - vma->start ||
		    own->list[at].from_vdso != vma->start - model->mm.vdso_start)
			return false;
		at++;
	}
	return at == own->count;
}

/* ---- exported functions; the bytes may be anybody's ---------------------------------------- */

struct vdso {
	const unsigned char *bytes;
	uint64_t size_bytes;
	uint64_t symtab, strtab, strtab_size, hash, gnu_hash;
	uint32_t nr_symbols;
};

static bool get(const struct vdso *vdso, uint64_t at, void *out, size_t size_bytes)
{
	if (at > vdso->size_bytes || size_bytes > vdso->size_bytes - at)
		return false;
	memcpy(out, vdso->bytes + at, size_bytes);
	return true;
}

static bool find_dynamic(const struct vdso *vdso, uint64_t *at_ret, uint64_t *end_ret)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	if (!get(vdso, 0, &header, sizeof(header)) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(segment))
		return false;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		if (!get(vdso, header.e_phoff + i * sizeof(segment), &segment, sizeof(segment)))
			return false;
		/* Offsets are addresses in there: it is one segment from 0 on. */
		if (segment.p_type != PT_DYNAMIC || segment.p_offset != segment.p_vaddr)
			continue;
		*at_ret = segment.p_offset;
		*end_ret = segment.p_offset + segment.p_filesz;
		return *end_ret >= *at_ret;
	}
	return false;
}

static bool read_dynamic(struct vdso *vdso)
{
	uint64_t at, end;
	Elf64_Dyn entry;

	if (!find_dynamic(vdso, &at, &end))
		return false;
	for (; at < end; at += sizeof(entry)) {
		if (!get(vdso, at, &entry, sizeof(entry)))
			return false;
		if (entry.d_tag == DT_SYMTAB)
			vdso->symtab = entry.d_un.d_ptr;
		else if (entry.d_tag == DT_STRTAB)
			vdso->strtab = entry.d_un.d_ptr;
		else if (entry.d_tag == DT_STRSZ)
			vdso->strtab_size = entry.d_un.d_val;
		else if (entry.d_tag == DT_HASH)
			vdso->hash = entry.d_un.d_ptr;
		else if (entry.d_tag == DT_GNU_HASH)
			vdso->gnu_hash = entry.d_un.d_ptr;
		else if (entry.d_tag == DT_NULL)
			break;
	}
	return vdso->symtab && vdso->strtab && vdso->strtab_size <= vdso->size_bytes &&
	       vdso->strtab <= vdso->size_bytes - vdso->strtab_size;
}

/* The table of symbols has no length of its own; its last chain ends with an odd hash. */
static bool count_by_gnu_hash(struct vdso *vdso)
{
	struct {
		uint32_t nr_buckets, first_symbol, bloom_size, bloom_shift;
	} header;
	uint64_t buckets, chains;
	uint32_t last = 0, bucket, chain = 0;

	if (!get(vdso, vdso->gnu_hash, &header, sizeof(header)))
		return false;
	buckets = vdso->gnu_hash + sizeof(header) + header.bloom_size * sizeof(uint64_t);
	chains = buckets + header.nr_buckets * sizeof(bucket);
	for (uint64_t i = 0; i < header.nr_buckets; i++) {
		if (!get(vdso, buckets + i * sizeof(bucket), &bucket, sizeof(bucket)))
			return false;
		if (bucket > last)
			last = bucket;
	}
	if (last < header.first_symbol)
		return false;
	for (; !(chain & 1); last++)
		if (!get(vdso, chains + (uint64_t)(last - header.first_symbol) * sizeof(chain),
			 &chain, sizeof(chain)))
			return false;
	vdso->nr_symbols = last;
	return true;
}

static bool vdso_init(struct vdso *vdso, const unsigned char *bytes, uint64_t size_bytes)
{
	*vdso = (struct vdso){ .bytes = bytes, .size_bytes = size_bytes };
	if (!read_dynamic(vdso))
		return false;
	if (vdso->hash ? !get(vdso, vdso->hash + sizeof(uint32_t), &vdso->nr_symbols,
			      sizeof(vdso->nr_symbols))
		       : !vdso->gnu_hash || !count_by_gnu_hash(vdso))
		return false;
	return vdso->nr_symbols <= MAX_SYMBOLS;
}

struct function {
	char name[NAME_LIMIT];
	uint64_t at; /* 0: this symbol is no function */
};

static bool get_function(const struct vdso *vdso, uint32_t index, struct function *function)
{
	Elf64_Sym symbol;
	size_t room;

	function->at = 0;
	if (!get(vdso, vdso->symtab + (uint64_t)index * sizeof(symbol), &symbol, sizeof(symbol)))
		return false;
	if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC)
		return true;
	if (symbol.st_name >= vdso->strtab_size)
		return false;
	room = thump_min_u64(vdso->strtab_size - symbol.st_name, NAME_LIMIT);
	memcpy(function->name, vdso->bytes + vdso->strtab + symbol.st_name, room);
	function->at = symbol.st_value;
	return memchr(function->name, '\0', room) != NULL;
}

/* 0 when there is none. */
static uint64_t find_function(const struct vdso *vdso, const char *name)
{
	struct function function;

	for (uint32_t i = 0; i < vdso->nr_symbols && get_function(vdso, i, &function); i++)
		if (function.at && strcmp(function.name, name) == 0)
			return function.at;
	return 0;
}

/* ---- the bridge from the old to the new one ------------------------------------------------ */

/* No other function begins in the bytes that are overwritten. */
static bool has_room(const struct vdso *vdso, uint64_t at)
{
	struct function other;

	if (at > vdso->size_bytes || THUMP_JUMP_SIZE > vdso->size_bytes - at)
		return false;
	for (uint32_t i = 0; i < vdso->nr_symbols && get_function(vdso, i, &other); i++)
		if (other.at > at && other.at < at + THUMP_JUMP_SIZE)
			return false;
	return true;
}

static int bridge_one(const struct thump_kernel_mappings *kernel, const struct vdso *old,
		      const struct vdso *new, const struct function *function, unsigned char *bytes,
		      struct thump_err *err)
{
	uint64_t to = new ? find_function(new, function->name) : 0;
	long nr = thump_vdso_syscall(function->name);

	if (!has_room(old, function->at))
		return thump_refuse(err, "%s of the image's vdso is too short", function->name);
	if (to)
		thump_write_jump(bytes + function->at, kernel->vdso_to + to);
	else if (nr >= 0)
		thump_write_syscall(bytes + function->at, nr);
	else if (!thump_vdso_function_stays(function->name))
		return thump_refuse(err, "this kernel's vdso has no %s", function->name);
	return 0;
}

/* Writes the jumps over the image's bytes. own: this kernel's vdso, as it is mapped here; or 0. */
static int build_bridge(struct thump_plan *plan, uint64_t own, unsigned char *bytes,
			const unsigned char *image_bytes, struct thump_err *err)
{
	const struct thump_mm *mm = &plan->model->mm;
	struct vdso old, new;
	struct function function;

	if (!vdso_init(&old, image_bytes, mm->vdso_end - mm->vdso_start))
		return thump_refuse(err, "the image's vdso cannot be understood");
	if (own && !vdso_init(&new, (const unsigned char *)(uintptr_t)own, plan->kernel.vdso_size))
		return thump_refuse(err, "this kernel's vdso cannot be understood");
	for (uint32_t i = 0; i < old.nr_symbols; i++) {
		if (!get_function(&old, i, &function))
			return thump_refuse(err, "the image's vdso cannot be understood");
		if (function.at &&
		    bridge_one(&plan->kernel, &old, own ? &new : NULL, &function, bytes, err) < 0)
			return -1;
	}
	return 0;
}

static const struct thump_vma *vdso_vma(const struct thump_model *model)
{
	for (uint32_t i = 0; i < model->nr_vmas; i++)
		if (model->vmas[i].kind == THUMP_VMA_VDSO)
			return &model->vmas[i];
	return NULL;
}

/* The image's vdso, checked; two copies: one to look at, one to write to. */
static int read_image_vdso(struct thump_plan *plan, unsigned char **bytes_ret,
			   struct thump_err *err)
{
	const struct thump_vma *vma = vdso_vma(plan->model);
	const struct thump_extent *extent = vma && vma->nr_extents == 1 ? vma->extents : NULL;
	unsigned char *bytes;
	uint64_t size;

	if (!extent || extent->start != vma->start || extent->end != vma->end ||
	    vma->end - vma->start > VDSO_LIMIT_BYTES)
		return thump_refuse(err, "the image does not hold its vdso");
	size = vma->end - vma->start;
	bytes = thump_arena_alloc(&plan->arena, 2, size);
	if (!bytes)
		return thump_fail_errno(err, "memory for a vdso");
	if (thump_image_verify_range(plan->image, extent->file_offset, size, err) < 0)
		return -1;
	if (thump_pread_full(thump_image_fd(plan->image), bytes, size, extent->file_offset) < 0)
		return thump_fail_errno(err, "read the image's vdso");
	memcpy(bytes + size, bytes, size);
	*bytes_ret = bytes;
	return 0;
}

static uint64_t size_of_mappings(const struct thump_kernel_mappings *kernel, uint64_t *low_ret)
{
	int64_t low = 0, high = 0;

	for (size_t i = 0; i < kernel->count; i++) {
		int64_t start = (int64_t)kernel->list[i].from_vdso;
		int64_t end = start + (int64_t)kernel->list[i].size;

		low = start < low ? start : low;
		high = end > high ? end : high;
	}
	*low_ret = (uint64_t)-low;
	return (uint64_t)(high - low);
}

/* At a random address, as the kernel does it: its code is of use to an attacker. */
static int place_mappings(struct thump_plan *plan, struct thump_err *err)
{
	const uint64_t blob = thump_place_blob(plan->model) - THUMP_SPARE_BYTES;
	uint64_t below_vdso, size = size_of_mappings(&plan->kernel, &below_vdso), random, at;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return thump_fail_errno(err, "getrandom");
	random &= PLACE_RANDOM_MASK;
	at = thump_find_gap(plan->model, PLACE_START + random * THUMP_PAGE_SIZE, size);
	/* A sanitizer's shadow may be there. */
	if (!at || at + size > blob)
		at = thump_find_gap(plan->model, blob + THUMP_GAP_BYTES + random * THUMP_PAGE_SIZE,
				    size);
	if (!at)
		return thump_refuse(err, "there is no room for this kernel's vdso");
	plan->kernel.vdso_to = at + below_vdso;
	return 0;
}

static int nobody_inside(const struct thump_model *model, struct thump_err *err)
{
	for (uint32_t i = 0; i < model->nr_tasks; i++) {
		uint64_t at = thump_instruction_pointer(&model->tasks[i]);

		if (at >= model->mm.vdso_start && at < model->mm.vdso_end)
			return thump_refuse(err,
					    "thread %d is just reading a clock inside of it; "
					    "another checkpoint may find it elsewhere",
					    model->tasks[i].tid);
	}
	return 0;
}

static int bridge(struct thump_plan *plan, uint64_t own, struct thump_err *err)
{
	unsigned char *bytes;
	uint64_t size = plan->model->mm.vdso_end - plan->model->mm.vdso_start;

	if (nobody_inside(plan->model, err) < 0 || read_image_vdso(plan, &bytes, err) < 0 ||
	    place_mappings(plan, err) < 0 || build_bridge(plan, own, bytes, bytes + size, err) < 0)
		return -1;
	plan->kernel.bridged = true;
	plan->kernel.bridge = bytes;
	return 0;
}

int thump_check_vdso(struct thump_plan *plan, struct thump_problems *problems,
		     struct thump_err *err)
{
	const struct thump_mm *mm = &plan->model->mm;
	struct thump_err why = THUMP_ERR_INIT;
	uint64_t vdso, hash = 0; /* in XXH64_canonical_t's byte order, as in the image */

	if (find_kernel_mappings(&plan->kernel, &vdso, err) < 0)
		return -1;
	if (!mm->vdso_start)
		return 0;
	if (vdso && same_shape(plan->model, &plan->kernel))
		hash = htobe64(
			image_hash((const void *)(uintptr_t)vdso, mm->vdso_end - mm->vdso_start));
	if (hash && memcmp(&hash, mm->vdso_hash, sizeof(hash)) == 0)
		return 0;
	if (bridge(plan, vdso, &why) == 0)
		thump_problem_add(problems, true, -1, "vdso",
				  "the image was taken on kernel %s: calls to its vdso are led to "
				  "this kernel's",
				  plan->model->machine.kernel_release);
	else if (why.code == THUMP_REFUSED)
		thump_problem_add(problems, false, -1, "vdso",
				  "the image was taken on kernel %s, whose vdso differs from this "
				  "kernel's, and %s",
				  plan->model->machine.kernel_release, why.text);
	else
		*err = why;
	return why.code == THUMP_OK || why.code == THUMP_REFUSED ? 0 : -1;
}

void thump_bridge_steps(const struct thump_plan *plan, struct thump_region *region)
{
	const struct thump_model *model = plan->model;

	for (uint32_t i = 0; plan->kernel.bridged && i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		bool code = vma->kind == THUMP_VMA_VDSO;

		if (!code && vma->kind != THUMP_VMA_VVAR)
			continue;
		thump_step_expect(THUMP_STEP(region, THUMP_WHAT_MAP, SYS_mmap, vma->start,
					     vma->end - vma->start,
					     code ? PROT_READ | PROT_EXEC : PROT_READ,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
					     (uint64_t)-1, 0),
				  vma->start);
	}
}
