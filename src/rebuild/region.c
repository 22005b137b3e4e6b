/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/region.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/pages.h"
#include "resume/blob.h"

#define REGION_ALIGN ((size_t)16)
#define COPY_STEPS   8192u

static size_t align_up(size_t value)
{
	return (value + REGION_ALIGN - 1) & ~(REGION_ALIGN - 1);
}

/* Takes fixed places at the beginning, before the pool. */
static void *take(struct thump_region *region, size_t size_bytes)
{
	void *at = region->bytes + region->used;

	region->used += align_up(size_bytes);
	return at;
}

static int map_memfd(struct thump_region *region, struct thump_err *err)
{
	const size_t size_bytes = region->code_size + region->room;
	unsigned char *bytes;

	region->fd = memfd_create("thump", MFD_CLOEXEC);
	if (region->fd < 0)
		return thump_fail_errno(err, "memfd_create");
	if (ftruncate(region->fd, (off_t)size_bytes) < 0)
		return thump_fail_errno(err, "size the data region (%zu bytes)", size_bytes);
	bytes = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region->fd, 0);
	if (bytes == MAP_FAILED)
		return thump_fail_errno(err, "map the data region");
	memcpy(bytes, thump_blob_start, (size_t)(thump_blob_end - thump_blob_start));
	region->bytes = bytes + region->code_size;
	return 0;
}

int thump_region_create(struct thump_region *region, uint64_t code_addr,
			const struct thump_region_needs *needs, struct thump_err *err)
{
	size_t nr_steps = needs->nr_steps + THUMP_REGION_LAYOUT_STEPS;
	size_t room = sizeof(struct thump_blob_data) + sizeof(struct thump_err) +
		      needs->nr_fds * sizeof(int32_t) + nr_steps * sizeof(struct thump_step) +
		      needs->pool_bytes + 8 * REGION_ALIGN;

	*region = (struct thump_region){ .fd = -1, .room = thump_page_up(room) };
	region->code_addr = code_addr;
	region->code_size = thump_page_up((size_t)(thump_blob_end - thump_blob_start));
	region->addr = code_addr + region->code_size;
	/* Not cleared: far more than will be used, and each page of it would have to be made. */
	region->steps = region->written = reallocarray(NULL, nr_steps, sizeof(*region->steps));
	if (!region->steps)
		return thump_fail_errno(err, "memory for %zu steps", nr_steps);
	if (map_memfd(region, err) < 0) {
		thump_region_destroy(region);
		return -1;
	}
	region->blob = take(region, sizeof(*region->blob));
	region->child_err = take(region, sizeof(*region->child_err));
	region->nr_fds = (uint32_t)needs->nr_fds;
	region->fds = take(region, needs->nr_fds * sizeof(int32_t));
	region->room_steps = (uint32_t)nr_steps;
	region->nr_steps = THUMP_REGION_LAYOUT_STEPS;
	return 0;
}

void thump_region_close(struct thump_region *region)
{
	uint32_t nr_steps = region->nr_steps;
	struct thump_step *steps =
		thump_region_alloc(region, nr_steps * sizeof(*steps), &region->blob->steps);

	if (!steps)
		return;
	/* Piece by piece, so that they are not there twice: 60,000 mappings are 4 MB of steps. */
	for (uint32_t i = 0; i < nr_steps; i += COPY_STEPS) {
		size_t count = thump_min_u64(COPY_STEPS, nr_steps - i);

		memcpy(steps + i, region->written + i, count * sizeof(*steps));
		thump_forget_pages(region->written + i, region->written + i + count);
	}
	region->steps = steps;
	region->room_steps = nr_steps;
}

void thump_region_reserve(struct thump_region *region, size_t size_bytes)
{
	uint64_t addr;

	if (!thump_region_alloc(region, size_bytes, &addr))
		return;
	region->reserve_at = addr - region->addr;
}

void thump_region_begin_again(struct thump_region *region, size_t nr_steps)
{
	struct thump_step *steps;

	region->used = region->reserve_at;
	steps = thump_region_alloc(region, nr_steps * sizeof(*steps), &region->blob->steps);
	region->steps = steps;
	region->nr_steps = 0;
	region->room_steps = steps ? (uint32_t)nr_steps : 0;
}

void thump_region_destroy(struct thump_region *region)
{
	if (region->bytes)
		(void)munmap(region->bytes - region->code_size, region->code_size + region->room);
	region->bytes = NULL;
	thump_free_ptr(&region->written);
	thump_close_fd(&region->fd);
}

void *thump_region_alloc(struct thump_region *region, size_t size_bytes, uint64_t *addr_ret)
{
	if (size_bytes > region->room || align_up(size_bytes) > region->room - region->used) {
		region->failed = true;
		*addr_ret = 0;
		return NULL;
	}
	*addr_ret = region->addr + region->used;
	return take(region, size_bytes);
}

uint64_t thump_region_put(struct thump_region *region, const void *data, size_t size_bytes)
{
	uint64_t addr;
	void *at = thump_region_alloc(region, size_bytes, &addr);

	if (at)
		memcpy(at, data, size_bytes);
	return addr;
}

struct thump_step *thump_region_step(struct thump_region *region, enum thump_what what, long nr,
				     const uint64_t args[6])
{
	struct thump_step *step;

	if (region->nr_steps == region->room_steps) {
		region->failed = true;
		return &region->overflow;
	}
	step = &region->steps[region->nr_steps++];
	*step = (struct thump_step){
		.op = THUMP_STEP_SYSCALL,
		.expect = THUMP_EXPECT_OK,
		.nr = (uint32_t)nr,
		.what = (uint32_t)what,
	};
	memcpy(step->args, args, sizeof(step->args));
	return step;
}

void thump_step_try(struct thump_step *step)
{
	step->expect = THUMP_EXPECT_ANY;
}

void thump_step_expect(struct thump_step *step, uint64_t value)
{
	step->expect = THUMP_EXPECT_VALUE;
	step->value = value;
}

int thump_region_check(const struct thump_region *region, struct thump_err *err)
{
	if (!region->failed)
		return 0;
	return thump_fail(err, "the data region of %zu bytes is too small for %u steps",
			  region->room, region->nr_steps);
}
