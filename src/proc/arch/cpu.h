/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this CPU offers to user space. Programs choose code by it once, at their start: an image
 * taken with AVX-512 in use must not go on where there is none.
 */
#ifndef THUMP_PROC_ARCH_CPU_H
#define THUMP_PROC_ARCH_CPU_H

#include "base/err.h"

/*
 * Words of model.machine.cpuid_words, x86-64. Only bits that matter to user space are kept (those
 * with a name in cpu_x86_64.c); the order is part of the image format, new words go to the end.
 */
enum thump_cpu_word {
	THUMP_CPU_1_ECX = 0,
	THUMP_CPU_1_EDX = 1,
	THUMP_CPU_7_0_EBX = 2,
	THUMP_CPU_7_0_ECX = 3,
	THUMP_CPU_7_0_EDX = 4,
	THUMP_CPU_7_1_EAX = 5,
	THUMP_CPU_7_1_EDX = 6,
	THUMP_CPU_D_1_EAX = 7,
	THUMP_CPU_80000001_ECX = 8,
	THUMP_CPU_80000001_EDX = 9,
	THUMP_CPU_80000008_EBX = 10,
	THUMP_NR_CPU_WORDS = 11,
};

void thump_cpu_words(uint32_t words_ret[THUMP_NR_CPU_WORDS]);

/* XCR0: the xsave components that the kernel has enabled; 0 when there is no xsave. */
uint64_t thump_cpu_xcr0(void);

/*
 * Levels of the x86-64 psABI, x86-64-v1 to x86-64-v4, by their numbers. The features of a level
 * include those of lower ones.
 */
#define THUMP_CPU_LEVELS 4
void thump_cpu_level_words(int level, uint32_t words_ret[THUMP_NR_CPU_WORDS]);
/* xsave components that programs of a level have in use. */
uint64_t thump_cpu_level_xcr0(int level);
/* The highest level of this machine, kernel included. */
int thump_cpu_level(void);
/* The lowest level that has all features in `wanted`; 0: no level has them all. */
int thump_cpu_level_for(const uint32_t *wanted, size_t nr_wanted);

/* xsave components that are in use in an XSAVE area in its standard format; 0 without one. */
uint64_t thump_xstate_in_use(const unsigned char *xstate, size_t size_bytes);
/* Lets the rights of protection keys be unused when they are as the kernel or the CPU sets them. */
void thump_xstate_drop_default_pkru(unsigned char *xstate, size_t size_bytes);

/* Brand string, NUL-terminated. */
void thump_cpu_name(char name_ret[49]);

/*
 * Names of the features that `wanted` has and `here` has not, separated by spaces, cut off at
 * size_bytes. Words beyond nr_wanted count as 0; unnamed bits are shown as word:bit. Returns how
 * many there are.
 */
unsigned thump_cpu_missing(const uint32_t *wanted, size_t nr_wanted,
			   const uint32_t here[THUMP_NR_CPU_WORDS], char *text_ret,
			   size_t size_bytes);

#endif
