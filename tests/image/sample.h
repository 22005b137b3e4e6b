/* SPDX-License-Identifier: Apache-2.0 */
/* A made-up process with one of everything that an image can hold, and its memory. */
#ifndef THUMP_TESTS_IMAGE_SAMPLE_H
#define THUMP_TESTS_IMAGE_SAMPLE_H

#include "image/image.h"

enum sample_size {
	SAMPLE_SMALL, /* a few pages: for tests that try every byte of the file */
	SAMPLE_RICH,
	SAMPLE_MANY_FDS, /* small, with as many descriptors as an image may have */
};

void sample_fill(struct thump_model *model, enum sample_size size);

/* Memory and backings: every byte follows from its address; some pages are zero. */
extern const struct thump_page_source sample_source;
void sample_memory(uint64_t addr, unsigned char *buf, size_t size_bytes);
void sample_backing(uint32_t backing_id, uint64_t offset, unsigned char *buf, size_t size_bytes);

/* Writes and commits; aborts the test program on failure. */
void sample_write(const struct thump_model *model, const char *path,
		  struct thump_image_stats *stats_ret);

#endif
