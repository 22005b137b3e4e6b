/* SPDX-License-Identifier: Apache-2.0 */
/* The linked blob as bytes inside thump; made by the build (objcopy of resume.bin). */
#ifndef THUMP_RESUME_BLOB_H
#define THUMP_RESUME_BLOB_H

extern const unsigned char thump_blob_start[];
extern const unsigned char thump_blob_end[];
/* The entry point is the first byte; on entry rdi = address of struct thump_blob_data and rsp =
 * top of the leader's stack in the data region. */

#endif
