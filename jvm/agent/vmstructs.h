/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HotSpot's own fields, as libjvm exports them for the serviceability agent (gHotSpotVMStructs).
 * Names differ between versions and are probed, never versions. A lookup that fails is remembered:
 * look up everything that is needed, then ask once whether all of it is there.
 */
#ifndef THUMP_JVM_VMSTRUCTS_H
#define THUMP_JVM_VMSTRUCTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent.h"

/* A table of libjvm's, walked by its stride until an entry without a name. */
struct vm_table {
	const char *entries;
	uint64_t stride;
};

struct vm_structs {
	struct vm_table fields, types;
	struct {
		uint64_t type, name, is_static, offset, address;
	} field;
	struct {
		uint64_t name, size;
	} type;
	struct vm_table constants;
	struct {
		uint64_t name, value;
	} constant;
	bool missing; /* something that was looked up is not there; sticky */
};

/* Finds the tables in the libjvm that runs us. */
void vm_open(struct vm_structs *vm, const struct agent *agent);

/* What totalMemory(), maxMemory() and availableProcessors() of Runtime tell; 0 where libjvm does
 * not. Needs no Java thread. */
struct vm_sizes {
	uint64_t heap_bytes, heap_max_bytes;
	uint32_t processors;
};
void vm_sizes(const struct agent *agent, struct vm_sizes *sizes_ret);

/* Offset of a field in its object. A second name is for another version, or NULL. */
size_t vm_offset(struct vm_structs *vm, const char *type, const char *field);
size_t vm_offset_either(struct vm_structs *vm, const char *type, const char *field,
			const char *other_type, const char *other_field);
/* Where a static field lies; NULL when it is missing. */
const void *vm_static(struct vm_structs *vm, const char *type, const char *field);
/* Value of a static field that is a pointer. */
const char *vm_static_pointer(struct vm_structs *vm, const char *type, const char *field);

/* In bytes. */
size_t vm_type_size(struct vm_structs *vm, const char *type);
/* A boolean -XX flag of the JVM. */
bool vm_flag(struct vm_structs *vm, const char *name);

/* A number of such a flag. */
int vm_flag_number(struct vm_structs *vm, const char *name);
/* One that is as big as a word (size_t, uintx); 0 when there is none of this name. */
size_t vm_flag_word(struct vm_structs *vm, const char *name);

/* Calls `visit` for each named constant of HotSpot's that is a long. */
void vm_constants(const struct vm_structs *vm,
		  void (*visit)(void *ctx, const char *name, uint64_t value), void *ctx);

static inline const char *vm_pointer(const char *object, size_t offset)
{
	return *(const char *const *)(const void *)(object + offset);
}

static inline size_t vm_word(const char *object, size_t offset)
{
	return *(const size_t *)(const void *)(object + offset);
}

#endif
