/* SPDX-License-Identifier: Apache-2.0 */
/* The linked blob as read-only bytes of thump. THUMP_BLOB_BIN is its path, given by the build. */
	.section .rodata
	.balign	16
	.globl	thump_blob_start
	.globl	thump_blob_end
thump_blob_start:
	.incbin	THUMP_BLOB_BIN
thump_blob_end:
	.section .note.GNU-stack, "", @progbits
