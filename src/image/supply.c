/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content that a supply makes when it is asked for. It goes into the image's file, which is in
 * memory, once; who fills a process with content takes pieces from the supply itself.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/fd.h"
#include "image/read.h"

struct image_fetching {
	pthread_mutex_t lock;
	void *bench;
	bool *there; /* [nr_pieces], under lock */
};

static void fetching_destroy(struct image_fetching *fetching, struct thump_supply *supply)
{
	if (!fetching)
		return;
	supply->ops->bench_destroy(fetching->bench);
	pthread_mutex_destroy(&fetching->lock);
	free(fetching->there);
	free(fetching);
}

static int fetching_create(struct thump_supply *supply, struct image_fetching **fetching_ret,
			   struct thump_err *err)
{
	struct image_fetching *fetching = calloc(1, sizeof(*fetching));

	if (!fetching)
		return thump_fail_errno(err, "memory for content");
	pthread_mutex_init(&fetching->lock, NULL);
	fetching->there = calloc(supply->nr_pieces, sizeof(*fetching->there));
	if (!fetching->there) {
		fetching_destroy(fetching, supply);
		return thump_fail_errno(err, "memory for content");
	}
	if (supply->ops->bench_create(supply, &fetching->bench, err) < 0) {
		fetching_destroy(fetching, supply);
		return -1;
	}
	*fetching_ret = fetching;
	return 0;
}

int thump_image_set_supply(struct thump_image *image, struct thump_supply *supply,
			   struct thump_err *err)
{
	if (fetching_create(supply, &image->fetching, err) < 0) {
		supply->ops->destroy(supply);
		return -1;
	}
	image->supply = supply;
	return 0;
}

void image_supply_destroy(struct thump_image *image)
{
	if (!image->supply)
		return;
	fetching_destroy(image->fetching, image->supply);
	image->supply->ops->destroy(image->supply);
}

struct thump_supply *thump_image_supply(const struct thump_image *image)
{
	return image->supply;
}

static int fetch_piece(struct thump_image *image, uint32_t index, uint64_t at, size_t size,
		       struct thump_err *err)
{
	struct thump_supply *supply = image->supply;
	const unsigned char *bytes;

	if (supply->ops->make(supply, image->fetching->bench, index, &bytes, err) < 0)
		return -1;
	if (thump_pwrite_full(image->fd, bytes, size, at) < 0)
		return thump_fail_errno(err, "write what was unpacked");
	image->fetching->there[index] = true;
	return 0;
}

static int fetch_pieces(struct thump_image *image, uint64_t offset, uint64_t end,
			struct thump_err *err)
{
	struct thump_supply *supply = image->supply;
	uint32_t low = 0, high = supply->nr_pieces;
	uint64_t at;
	size_t size;

	while (low < high) { /* the first that ends behind `offset` */
		uint32_t middle = low + (high - low) / 2;

		supply->ops->find(supply, middle, &at, &size);
		if (at + size <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < supply->nr_pieces; low++) {
		supply->ops->find(supply, low, &at, &size);
		if (at >= end)
			break;
		if (!image->fetching->there[low] && fetch_piece(image, low, at, size, err) < 0)
			return -1;
	}
	return 0;
}

int thump_image_fetch(struct thump_image *image, uint64_t offset, uint64_t size_bytes,
		      struct thump_err *err)
{
	int failed;

	if (!image->supply)
		return 0;
	pthread_mutex_lock(&image->fetching->lock);
	failed = fetch_pieces(image, offset, offset + size_bytes, err);
	pthread_mutex_unlock(&image->fetching->lock);
	return failed;
}

int thump_image_read(struct thump_image *image, uint64_t offset, void *buf, size_t size_bytes,
		     struct thump_err *err)
{
	if (thump_image_fetch(image, offset, size_bytes, err) < 0)
		return -1;
	if (thump_pread_full(image->fd, buf, size_bytes, offset) < 0)
		return thump_fail_errno(err, "image %s: read at %#llx", image->name,
					(unsigned long long)offset);
	return 0;
}
