/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_BASE_PAGES_H
#define THUMP_BASE_PAGES_H

/* Private memory at which nobody looks any more: its pages go back to the kernel, where that is
 * worth a system call. What lies there afterwards is undefined. */
void thump_forget_pages(const void *from, const void *to);

#endif
