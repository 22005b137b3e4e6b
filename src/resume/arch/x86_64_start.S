/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte of the blob: rdi = struct thump_blob_data, rsp = its stack_top (16-byte aligned). */
	.section .text.start, "ax", @progbits
	.globl	thump_blob_entry
	.hidden	thump_blob_entry
	.type	thump_blob_entry, @function
thump_blob_entry:
	xorl	%ebp, %ebp
	cld
	call	thump_blob_leader
	ud2
	.size	thump_blob_entry, . - thump_blob_entry
	.section .note.GNU-stack, "", @progbits
