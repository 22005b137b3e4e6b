/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps HotSpot within a level of the x86-64 psABI. The flags that `thump run --cpu` gives it
 * choose most of its code. What has no flag (serialize, adcx, gfni, rdpid ...) it uses when its
 * table of the CPU's features has it, which it asks each time: that table is cut here, once HotSpot
 * has made its own stubs by it, and before the program runs.
 *
 * VM_Version::_features is a word, and its constants are masks; from JDK 25 on it is a bitmap, and
 * they are numbers of bits.
 */
#include <stdio.h>
#include <string.h>

#include "vmstructs.h"

#define CONSTANT_PREFIX "VM_Version::CPU_"
#define BITS_PER_WORD	64

/* By HotSpot's names: what a level has (with its lower ones), and what is no matter of instructions
 * or does nothing where it is not there (prefetchw, a faster rep movsb). */
static const struct {
	int level;
	const char *name;
} allowed[] = {
	{ 1, "CX8" },	{ 1, "CMOV" },	  { 1, "FXSR" },       { 1, "HT" },
	{ 1, "MMX" },	{ 1, "SSE" },	  { 1, "SSE2" },       { 1, "3DNOW_PREFETCH" },
	{ 1, "TSC" },	{ 1, "TSCINV" },  { 1, "TSCINV_BIT" }, { 1, "FLUSH" },
	{ 1, "ERMS" },	{ 1, "FSRM" },	  { 1, "HV" },	       { 1, "PKU" },
	{ 1, "OSPKE" }, { 1, "CET_IBT" }, { 1, "CET_SS" },     { 2, "SSE3" },
	{ 2, "SSSE3" }, { 2, "SSE4_1" },  { 2, "SSE4_2" },     { 2, "POPCNT" },
	{ 3, "AVX" },	{ 3, "AVX2" },	  { 3, "BMI1" },       { 3, "BMI2" },
	{ 3, "FMA" },	{ 3, "F16C" },	  { 3, "LZCNT" },      { 3, "VZEROUPPER" },
};

/* What must be off for code that HotSpot made before we could cut the table, too. */
static const struct {
	int up_to; /* for this level and lower ones */
	const char *flag;
} off[] = {
	{ 1, "UsePopCountInstruction" },
	{ 2, "UseFMA" },
	{ 2, "UseBMI1Instructions" },
	{ 2, "UseBMI2Instructions" },
	{ 2, "UseCountLeadingZerosInstruction" },
	{ 2, "UseCountTrailingZerosInstruction" },
	{ 4, "UseAES" },
	{ 4, "UseSHA" },
	{ 4, "UseCLMUL" },
	{ 4, "UsePoly1305Intrinsics" },
	{ 4, "UseIntPolyIntrinsics" },
};

struct cut {
	int level;
	uint64_t *words;
	bool numbered;
	size_t nr_cut;
};

static bool is_allowed(int level, const char *feature)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (strcmp(allowed[i].name, feature) == 0)
			return allowed[i].level <= level;
	return false;
}

static void cut_feature(void *ctx, const char *name, uint64_t value)
{
	struct cut *cut = ctx;
	const size_t len = strlen(CONSTANT_PREFIX);

	if (strncmp(name, CONSTANT_PREFIX, len) != 0 || is_allowed(cut->level, name + len))
		return;
	if (cut->numbered)
		cut->words[value / BITS_PER_WORD] &= ~(UINT64_C(1) << value % BITS_PER_WORD);
	else
		cut->words[0] &= ~value;
	cut->nr_cut++;
}

/* The flag that somebody has set to what the level has not, or NULL. */
static const char *wrong_flag(struct vm_structs *vm, int level)
{
	if (vm_flag_number(vm, "UseAVX") > (level >= 3 ? 2 : 0))
		return "UseAVX";
	if (level == 1 && vm_flag_number(vm, "UseSSE") > 2)
		return "UseSSE";
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		if (level <= off[i].up_to && vm_flag(vm, off[i].flag))
			return off[i].flag;
	return NULL;
}

static uint64_t *find_table(struct vm_structs *vm, bool *numbered_ret)
{
	const void *words = vm_static(vm, "VM_Version", "_features");

	*numbered_ret = words != NULL;
	if (!words) {
		vm->missing = false; /* an older one */
		words = vm_static(vm, "Abstract_VM_Version", "_features");
	}
	return (uint64_t *)(uintptr_t)words;
}

bool level_keep(struct agent *agent)
{
	struct cut cut = { .level = agent->options.cpu_level };
	struct vm_structs vm;
	const char *wrong;
	char text[160];

	vm_open(&vm, agent);
	wrong = wrong_flag(&vm, cut.level);
	if (!vm.missing && !wrong)
		cut.words = find_table(&vm, &cut.numbered);
	if (cut.words)
		vm_constants(&vm, cut_feature, &cut);
	if (!vm.missing && cut.nr_cut > 0)
		return true;
	(void)snprintf(
		text, sizeof(text),
		"this JVM may use what x86-64-v%d has not: %s%s; its image needs all features "
		"of this CPU",
		cut.level, wrong ? "-XX:" : "its table of features is not known",
		wrong ? wrong : "");
	agent_complain(NULL, text, JVMTI_ERROR_NONE);
	return false;
}
