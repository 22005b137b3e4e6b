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

static void check(int failed, const struct thump_err *err)
{
	if (!failed)
		return;
	(void)fprintf(stderr, "%s\n", err->text);
	abort();
}

static void make_keys(struct pack_fixture *f)
{
	struct thump_err err = THUMP_ERR_INIT;

	(void)snprintf(f->secret, sizeof(f->secret), "%s/secret.key", f->dir);
	(void)snprintf(f->signing, sizeof(f->signing), "%s/signing.key", f->dir);
	check(thump_key_generate(THUMP_KEY_DECRYPT, f->secret, f->recipient, &err), &err);
	check(thump_key_generate(THUMP_KEY_SIGN, f->signing, f->signer, &err), &err);
	check(thump_keys_create(&f->keys, &err), &err);
	check(thump_keys_add(f->keys, THUMP_KEY_DECRYPT, f->secret, &err), &err);
	check(thump_keys_add(f->keys, THUMP_KEY_RECIPIENT, f->recipient, &err), &err);
	check(thump_keys_add(f->keys, THUMP_KEY_SIGN, f->signing, &err), &err);
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
	make_keys(f);
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
	(void)unlink(f->secret);
	(void)unlink(f->signing);
	thump_keys_destroy(f->keys);
	(void)rmdir(f->dir);
	free(f->raw);
	free(f);
	return 0;
}

struct thump_pack_stats pack_fixture_pack(const struct pack_fixture *f,
					  const struct thump_compression *compression)
{
	return pack_fixture_pack_with(f, compression, NULL);
}

struct thump_pack_stats pack_fixture_pack_with(const struct pack_fixture *f,
					       const struct thump_compression *compression,
					       const struct thump_keys *keys)
{
	const struct thump_open_options open_options = { .extent = THUMP_OPEN_ALL };
	const struct thump_pack_options options = {
		.path = f->packed, .compression = *compression, .keys = keys, .cipher = f->cipher
	};
	struct thump_pack_stats stats = { 0 };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image = NULL;

	check(thump_open(f->path, &open_options, &image, NULL, &err), &err);
	check(thump_pack(image, &options, &stats, &err), &err);
	thump_image_destroy(image);
	return stats;
}
