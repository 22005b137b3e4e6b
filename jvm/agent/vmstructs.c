/* SPDX-License-Identifier: Apache-2.0 */
#include "vmstructs.h"

#include <dlfcn.h>
#include <string.h>

/* One number of libjvm's description of its tables. */
static uint64_t read_number(struct vm_structs *vm, void *libjvm, const char *name)
{
	const uint64_t *number = dlsym(libjvm, name);

	if (!number)
		vm->missing = true;
	return number ? *number : 0;
}

static const char *read_pointer(struct vm_structs *vm, void *libjvm, const char *name)
{
	const char *const *pointer = dlsym(libjvm, name);

	if (!pointer || !*pointer)
		vm->missing = true;
	return pointer ? *pointer : NULL;
}

/* A launcher may have loaded it without RTLD_GLOBAL. */
static void *open_libjvm(const struct agent *agent)
{
	Dl_info info;

	if (!dladdr((const void *)(*agent->vm)->GetEnv, &info) || !info.dli_fname)
		return NULL;
	return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
}

void vm_sizes(const struct agent *agent, struct vm_sizes *sizes_ret)
{
	void *libjvm = open_libjvm(agent);
	jlong (*total)(void) = libjvm ? (jlong(*)(void))dlsym(libjvm, "JVM_TotalMemory") : NULL;
	jlong (*most)(void) = libjvm ? (jlong(*)(void))dlsym(libjvm, "JVM_MaxMemory") : NULL;
	jint (*count)(void) =
		libjvm ? (jint(*)(void))dlsym(libjvm, "JVM_ActiveProcessorCount") : NULL;

	*sizes_ret = (struct vm_sizes){
		.heap_bytes = total ? (uint64_t)total() : 0,
		.heap_max_bytes = most ? (uint64_t)most() : 0,
		.processors = count ? (uint32_t)count() : 0,
	};
	if (libjvm)
		(void)dlclose(libjvm);
}

void vm_open(struct vm_structs *vm, const struct agent *agent)
{
	void *libjvm = open_libjvm(agent);

	memset(vm, 0, sizeof(*vm));
	if (!libjvm) {
		vm->missing = true;
		return;
	}
#define NUMBER(name) read_number(vm, libjvm, "gHotSpotVM" name)
	vm->fields.entries = read_pointer(vm, libjvm, "gHotSpotVMStructs");
	vm->fields.stride = NUMBER("StructEntryArrayStride");
	vm->field.type = NUMBER("StructEntryTypeNameOffset");
	vm->field.name = NUMBER("StructEntryFieldNameOffset");
	vm->field.is_static = NUMBER("StructEntryIsStaticOffset");
	vm->field.offset = NUMBER("StructEntryOffsetOffset");
	vm->field.address = NUMBER("StructEntryAddressOffset");
	vm->types.entries = read_pointer(vm, libjvm, "gHotSpotVMTypes");
	vm->types.stride = NUMBER("TypeEntryArrayStride");
	vm->type.name = NUMBER("TypeEntryTypeNameOffset");
	vm->type.size = NUMBER("TypeEntrySizeOffset");
	vm->constants.entries = read_pointer(vm, libjvm, "gHotSpotVMLongConstants");
	vm->constants.stride = NUMBER("LongConstantEntryArrayStride");
	vm->constant.name = NUMBER("LongConstantEntryNameOffset");
	vm->constant.value = NUMBER("LongConstantEntryValueOffset");
#undef NUMBER
	(void)dlclose(libjvm); /* it stays loaded: we run in it */
}

/* The entry of a field; NULL without complaint when there is none. */
static const char *find_field(const struct vm_structs *vm, const char *type, const char *field,
			      bool is_static)
{
	const char *entry = vm->fields.entries, *name;

	if (vm->missing)
		return NULL;
	for (; (name = vm_pointer(entry, vm->field.type)); entry += vm->fields.stride) {
		const char *field_name = vm_pointer(entry, vm->field.name);
		int32_t entry_is_static;

		memcpy(&entry_is_static, entry + vm->field.is_static, sizeof(entry_is_static));
		if (field_name && strcmp(name, type) == 0 && strcmp(field_name, field) == 0 &&
		    (entry_is_static != 0) == is_static)
			return entry;
	}
	return NULL;
}

size_t vm_offset_either(struct vm_structs *vm, const char *type, const char *field,
			const char *other_type, const char *other_field)
{
	const char *entry = find_field(vm, type, field, false);

	if (!entry && other_type)
		entry = find_field(vm, other_type, other_field, false);
	if (!entry)
		vm->missing = true;
	return entry ? vm_word(entry, vm->field.offset) : 0;
}

size_t vm_offset(struct vm_structs *vm, const char *type, const char *field)
{
	return vm_offset_either(vm, type, field, NULL, NULL);
}

const void *vm_static(struct vm_structs *vm, const char *type, const char *field)
{
	const char *entry = find_field(vm, type, field, true);

	if (!entry)
		vm->missing = true;
	return entry ? vm_pointer(entry, vm->field.address) : NULL;
}

const char *vm_static_pointer(struct vm_structs *vm, const char *type, const char *field)
{
	const void *place = vm_static(vm, type, field);

	return place ? vm_pointer(place, 0) : NULL;
}

size_t vm_type_size(struct vm_structs *vm, const char *type)
{
	const char *entry = vm->types.entries, *name;

	if (vm->missing)
		return 0;
	for (; (name = vm_pointer(entry, vm->type.name)); entry += vm->types.stride)
		if (strcmp(name, type) == 0)
			return vm_word(entry, vm->type.size);
	vm->missing = true;
	return 0;
}

void vm_constants(const struct vm_structs *vm,
		  void (*visit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	const char *entry = vm->constants.entries, *name;

	if (vm->missing)
		return;
	for (; (name = vm_pointer(entry, vm->constant.name)); entry += vm->constants.stride)
		visit(ctx, name, vm_word(entry, vm->constant.value));
}

/* Where the value of a -XX flag lies, or NULL. */
static const void *find_flag(struct vm_structs *vm, const char *name)
{
	const char *flag = vm_static_pointer(vm, "JVMFlag", "flags");
	const void *count = vm_static(vm, "JVMFlag", "numFlags");
	size_t name_at = vm_offset(vm, "JVMFlag", "_name"),
	       addr_at = vm_offset(vm, "JVMFlag", "_addr");
	size_t size = vm_type_size(vm, "JVMFlag");

	if (vm->missing || !flag)
		return NULL;
	for (size_t left = vm_word(count, 0); left > 0; left--, flag += size) {
		const char *flag_name = vm_pointer(flag, name_at);

		if (flag_name && strcmp(flag_name, name) == 0)
			return vm_pointer(flag, addr_at);
	}
	return NULL;
}

bool vm_flag(struct vm_structs *vm, const char *name)
{
	const bool *flag = find_flag(vm, name);

	return flag && *flag;
}

int vm_flag_number(struct vm_structs *vm, const char *name)
{
	const int *flag = find_flag(vm, name); /* int, or the low half of an intx */

	return flag ? *flag : 0;
}

size_t vm_flag_word(struct vm_structs *vm, const char *name)
{
	const size_t *flag = find_flag(vm, name);

	return flag ? *flag : 0;
}
