/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of docs/FORMAT.md, shared by writer and reader, which otherwise know nothing of each
 * other. A number here is on disk: it is never changed and never reused.
 */
#ifndef THUMP_IMAGE_FORMAT_H
#define THUMP_IMAGE_FORMAT_H

#include <elf.h>

#include "model/model.h"

#define IMG_OWNER "thump"

enum image_record_id {
	IMG_REC_MACHINE = 0x74680001,
	IMG_REC_PROCESS = 0x74680002,
	IMG_REC_MM = 0x74680003,
	IMG_REC_THREAD = 0x74680004,
	IMG_REC_VMAS = 0x74680005,
	IMG_REC_BACKINGS = 0x74680006,
	IMG_REC_OFDS = 0x74680007,
	IMG_REC_FDS = 0x74680008,
	IMG_REC_TIMERS = 0x74680009,
	IMG_REC_LAYOUT = 0x7468000a,
	IMG_REC_CHECKSUMS = 0x7468000b,
	IMG_REC_SEAL = 0x7468000c,
	IMG_REC_RUNTIME = 0x7468000d,
	IMG_REC_VOUCHED = 0x7468000e,
	IMG_REC_TIDS = 0x7468000f,
	IMG_REC_GUARDS = 0x74680010,
	IMG_REC_SIZES = 0x74680011,
	IMG_REC_HOT = 0x74680012,
	IMG_REC_PKEYS = 0x74680013,
	IMG_REC_FILTERS = 0x74680014,
};

#define IMG_REC_REQUIRED 1u /* bit of a record's flags */
#define IMG_REC_VERSION	 1u /* of every record so far */

#define IMG_CHUNK_SIZE	   ((uint64_t)1 << 20)
#define IMG_DATA_OFFSET	   THUMP_PAGE_SIZE
#define IMG_ZERO_BLOCK_MAX IMG_CHUNK_SIZE
#define IMG_MAX_SEGMENTS   60000u /* PT_LOADs; jhsdb refuses PN_XNUM (0xffff) */
#define IMG_MAX_META	   ((uint64_t)256 << 20)
#define IMG_USER_END	   (((uint64_t)1 << 56) - THUMP_PAGE_SIZE) /* five-level page tables */

#define IMG_MAX_TASKS	   65536u
#define IMG_MAX_ITEMS	   1048576u /* VMAs, backings, extents of backings, ofds, fds */
#define IMG_MAX_TIMERS	   65536u
#define IMG_MAX_PENDING	   65536u
#define IMG_MAX_GROUPS	   65536u
#define IMG_MAX_CPU_WORDS  1024u
#define IMG_MAX_TID	   4194304
#define IMG_MAX_STRING	   65536u
#define IMG_MAX_RUNTIME	   64u /* length of its name */
#define IMG_MAX_CMDLINE	   ((uint32_t)1 << 20)
#define IMG_MAX_OFD_RECORD ((uint32_t)16 << 20)
#define IMG_MAX_VMA_NAME   80u
#define IMG_MAX_AUXV	   4096u
#define IMG_MIN_XSTATE	   576u
#define IMG_MAX_XSTATE	   16384u
#define IMG_XCOMP_BV_AT	   520u

#define IMG_VMA_TRAITS ((THUMP_VMA_LAZY_IMAGE << 1) - 1)

_Static_assert(sizeof(Elf64_Ehdr) == 64, "docs/FORMAT.md: ELF header");
_Static_assert(sizeof(Elf64_Phdr) == 56, "docs/FORMAT.md: program header");
_Static_assert(THUMP_NR_SIGNALS == 64 && THUMP_NR_RLIMITS == 16 && THUMP_NR_ITIMERS == 3,
	       "docs/FORMAT.md: PROCESS");
_Static_assert(THUMP_COMM_SIZE == 16 && THUMP_SIGINFO_SIZE == 128, "docs/FORMAT.md: THREAD");
_Static_assert(IMG_VMA_TRAITS == 0x7fffff, "docs/FORMAT.md: traits of a VMA");

#endif
