/* SPDX-License-Identifier: Apache-2.0 */
#include "pack_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "sample.h"

static void die(const char *what)
{
	perror(what);
	abort();
}

unsigned char *pack_fixture_read(const char *path, size_t *size_ret)
{
	char *bytes;

	if (thump_slurp(AT_FDCWD, path, &bytes, size_ret) < 0)
		die(path);
	return (unsigned char *)bytes;
}

void pack_fixture_write(const char *path, const void *bytes, size_t size)
{
	auto_close int fd = -1;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || thump_write_full(fd, bytes, size) < 0)
		die(path);
}

static int set_up(void **state, enum sample_size size)
{
	struct pack_fixture *f = calloc(1, sizeof(*f));
	struct thump_image_stats stats;
	struct thump_model model;

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/thump-pack-XXXXXX");
	if (!mkdtemp(f->dir))
		die(f->dir);
	(void)snprintf(f->path, sizeof(f->path), "%s/raw.thump", f->dir);
	(void)snprintf(f->packed, sizeof(f->packed), "%s/packed.thump", f->dir);
	(void)snprintf(f->unpacked, sizeof(f->unpacked), "%s/unpacked.thump", f->dir);
	sample_fill(&model, size);
	f->nr_tasks = model.nr_tasks;
	sample_write(&model, f->path, &stats);
	thump_model_deinit(&model);
	f->raw = pack_fixture_read(f->path, &f->raw_size);
	*state = f;
	return 0;
}

int pack_fixture_small(void **state)
{
	return set_up(state, SAMPLE_SMALL);
}

int pack_fixture_rich(void **state)
{
	return set_up(state, SAMPLE_RICH);
}

int pack_fixture_tear_down(void **state)
{
	struct pack_fixture *f = *state;

	(void)unlink(f->path);
	(void)unlink(f->packed);
	(void)unlink(f->unpacked);
	(void)rmdir(f->dir);
	free(f->raw);
	free(f);
	return 0;
}

struct thump_pack_stats pack_fixture_pack(const struct pack_fixture *f,
					  const struct thump_compression *compression)
{
	const struct thump_open_options open_options = { .extent = THUMP_OPEN_ALL };
	const struct thump_pack_options options = { .path = f->packed,
						    .compression = *compression };
	struct thump_pack_stats stats = { 0 };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image = NULL;

	if (thump_open(f->path, &open_options, &image, NULL, &err) < 0 ||
	    thump_pack(image, &options, &stats, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		abort();
	}
	thump_image_destroy(image);
	return stats;
}
