/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a file is known again at restore: build-id + size for ELF files that have one, else size +
 * xxh3 of the first and last 64 KiB. mtime and dev:inode are hints for messages only: tar and
 * container layers round or reset mtime, and dev:inode lies on overlayfs.
 */
#ifndef THUMP_PROC_IDENTITY_H
#define THUMP_PROC_IDENTITY_H

#include <sys/stat.h>

#include "base/err.h"
#include "model/model.h"

#define THUMP_IDENTITY_EDGE_BYTES ((uint64_t)64 << 10)

/* Reads the identity of the regular file behind `fd`, which must be open for reading. */
THUMP_MUST_CHECK int thump_identity_read(int fd, struct thump_file_identity *identity_ret,
					 struct thump_err *err);

/* Files that the kernel makes up while they are read (procfs, sysfs): there is no content to
 * compare, their sizes are none, and reading some of them changes something. */
bool thump_identity_is_made_up(int fd);

/* Only what stat(2) tells: for files whose content does not matter (directories, devices). */
void thump_identity_from_stat(const struct stat *st, struct thump_file_identity *identity_ret);

/* Same type, same size, and the same build-id or the same edges. */
bool thump_identity_same(const struct thump_file_identity *a, const struct thump_file_identity *b);

/*
 * The file is the one recorded, with bytes added at its end only (a log): at least as big, and its
 * first bytes up to the recorded size have the recorded edges. Reads the file behind `fd`.
 */
THUMP_MUST_CHECK int thump_identity_grown(int fd, const struct thump_file_identity *recorded,
					  bool *grown_ret, struct thump_err *err);

/* The GNU build-id of a 64-bit ELF file; returns its length, 0 when there is none. */
uint32_t thump_build_id_of_fd(int fd, unsigned char build_id[64]);
/* The same in the notes of one PT_NOTE segment; pure. */
uint32_t thump_build_id_of_notes(const unsigned char *notes, size_t size_bytes,
				 unsigned char build_id[64]);

#endif
