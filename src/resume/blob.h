/* SPDX-License-Identifier: Apache-2.0 */
/* What is put into a new process, as bytes inside thump. */
#ifndef THUMP_RESUME_BLOB_H
#define THUMP_RESUME_BLOB_H

/* The linked blob; made by the build (objcopy of blob.elf). */
extern const unsigned char thump_blob_start[];
extern const unsigned char thump_blob_end[];
/*
 * The entry point is the first byte. On entry rdi = address of struct thump_blob_data and rsp = its
 * stack_top. The blob never returns: it ends in a trap, with `failed` or phase READY in the data.
 */

/* Runs at any address, with that of a struct thump_door; see there. */
extern const unsigned char thump_door_start[];
extern const unsigned char thump_door_end[];

#endif
