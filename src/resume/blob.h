/* SPDX-License-Identifier: Apache-2.0 */
/* The linked blob as bytes inside thump; made by the build (objcopy of blob.elf). */
#ifndef THUMP_RESUME_BLOB_H
#define THUMP_RESUME_BLOB_H

extern const unsigned char thump_blob_start[];
extern const unsigned char thump_blob_end[];
/*
 * The entry point is the first byte. On entry rdi = address of struct thump_blob_data and rsp = its
 * stack_top. The blob never returns: it ends in a trap, with `failed` or phase READY in the data.
 */

#endif
