/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way into a program that exec has just made: these bytes are written over code of it that is
 * never to run, and map the blob. rdi = struct thump_door. Position independent, without a stack.
 * Ends in the blob, or in a trap when something could not be mapped.
 */
#include <asm/unistd.h>

	.section .rodata
	.balign	16
	.globl	thump_door_start
	.globl	thump_door_end
thump_door_start:
	movq	%rdi, %rbx
	leaq	96(%rdi), %r12		/* behind `maps` */
1:	movq	0(%rdi), %rdi
	movq	8(%rbx), %rsi
	movq	16(%rbx), %rdx
	movq	24(%rbx), %r10
	movq	32(%rbx), %r8
	movq	40(%rbx), %r9
	movl	$__NR_mmap, %eax
	syscall
	cmpq	%rax, %rdi
	jne	2f
	addq	$48, %rbx
	movq	%rbx, %rdi
	cmpq	%r12, %rbx
	jne	1b
	movq	0(%rbx), %rsp		/* stack_top */
	movq	8(%rbx), %rdi		/* data */
	jmpq	*16(%rbx)		/* entry */
2:	int3
thump_door_end:
	.section .note.GNU-stack, "", @progbits
