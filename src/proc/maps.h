/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/maps and /proc/PID/smaps, see proc(5). One parser for both: lines are handed in one
 * by one, so that 60,000 mappings (48 MB of smaps) need no memory but for the result.
 */
#ifndef THUMP_PROC_MAPS_H
#define THUMP_PROC_MAPS_H

#include "base/arena.h"
#include "base/err.h"

/* Without padding: a process may have 65,530 of them. */
struct thump_map {
	uint64_t start, end; /* end is exclusive */
	uint64_t offset;     /* in bytes; 0 for anonymous memory */
	uint32_t dev_major, dev_minor;
	uint64_t ino; /* 0 for anonymous memory */
	/* "" for anonymous memory, "[heap]", "/path"; \012 is already a newline again, and the
	 * kernel's " (deleted)" is cut off. */
	const char *path;
	uint32_t prot; /* PROT_* */
	bool shared;   /* 's'; VM_MAYSHARE */
	bool deleted;
	/* From smaps only. */
	bool have_flags;
	char unknown_flag[3]; /* the first two letters that are not known here, or "" */
	uint32_t traits;      /* enum thump_vma_trait; RD WR EX SH MS are prot and shared */
	uint32_t pkey;	      /* ProtectionKey: */
	uint64_t swap_kib;    /* Swap:, swapped-out pages of shared memory included */
};

struct thump_maps {
	struct thump_arena *arena;
	struct thump_map *list;
	size_t count;
	/* Set after init by who needs few of them: the others are left out. NULL: all are kept. */
	bool (*wanted)(void *ctx, const struct thump_map *map);
	void *wanted_ctx;
	/* Of the reader: the end of the mapping before, and whether it was left out. */
	uint64_t last_end;
	bool left_out;
};

void thump_maps_init(struct thump_maps *maps, struct thump_arena *arena);

/* One line of len bytes; what follows it is its newline or NUL. Unknown attribute lines of smaps
 * are passed over; a malformed line or ranges out of order are an error. */
THUMP_MUST_CHECK int thump_maps_line(struct thump_maps *maps, const char *line, size_t len,
				     struct thump_err *err);

/* A whole text. */
THUMP_MUST_CHECK int thump_maps_parse(struct thump_maps *maps, const char *text,
				      struct thump_err *err);

/* Reads and parses a maps or smaps file in pieces. */
THUMP_MUST_CHECK int thump_maps_read(struct thump_maps *maps, int fd, struct thump_err *err);

/* Are the mappings in a maps or smaps file still these? Same ranges, protections and files;
 * attributes of smaps are not compared. */
THUMP_MUST_CHECK int thump_maps_compare(const struct thump_maps *maps, int fd, bool *same_ret,
					struct thump_err *err);

/* What smaps tells of the mappings that are the same in both lists. */
void thump_maps_take_attributes(struct thump_maps *maps, const struct thump_maps *from);

/* Letters of one VmFlags line (after the colon) -> bits of enum thump_vma_trait. */
uint32_t thump_vmflags_parse(const char *flags, size_t len, char unknown_flag[3]);

#endif
