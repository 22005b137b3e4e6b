/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of a pack: chunks get their names as they come, not yet durable; syncfs(2); the image is
 * entered; the image gets its name. What a crash leaves before that nobody refers to, and who finds
 * a chunk that is there looks whether it is the same: so a name may well be there before its
 * content.
 */
#include "pack/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "pack/codec.h"
#include "pack/store_layout.h"

/* ---- the folder ---------------------------------------------------------------------------- */

static int join(const char *path, const char *name, char **joined_ret, struct thump_err *err)
{
	char *joined;

	if (asprintf(&joined, "%s/%s", path, name) < 0)
		return thump_fail_errno(err, "memory for a path");
	*joined_ret = joined;
	return 0;
}

static bool is_empty(const char *path)
{
	auto_closedir DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, STORE_MARKER) != 0)
			return false;
	return dir;
}

static int make_folder(const char *path, struct thump_err *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return thump_fail_errno(err, "make folder %s", path);
	return 0;
}

static int make_below(const char *path, const char *name, struct thump_err *err)
{
	auto_free char *folder = NULL;

	return join(path, name, &folder, err) < 0 ? -1 : make_folder(folder, err);
}

/* The marker comes first: without O_EXCL all who make the store at once get the same one, and a
 * folder that has it is taken for a store whatever else is missing. */
static int make_store(const char *path, const char *marker, int *fd_ret, struct thump_err *err)
{
	auto_close int fd = -1;

	if (make_folder(path, err) < 0)
		return -1;
	fd = open(marker, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && !is_empty(path))
		return thump_fail(err, "it is neither empty nor a chunk store");
	if (fd < 0)
		fd = open(marker, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return thump_fail_errno(err, "make %s", STORE_MARKER);
	if (make_below(path, STORE_CHUNKS, err) < 0 || make_below(path, STORE_IMAGES, err) < 0)
		return -1;
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static int open_marker(const char *path, enum pack_store_use use, int *fd_ret,
		       struct thump_err *err)
{
	auto_free char *marker = NULL;

	if (join(path, STORE_MARKER, &marker, err) < 0)
		return -1;
	if (use == PACK_STORE_ADD)
		return make_store(path, marker, fd_ret, err);
	if (access(path, F_OK) == 0 && access(marker, F_OK) < 0 && errno == ENOENT)
		return thump_fail(err, "it is not a chunk store: it has no %s", STORE_MARKER);
	return thump_open_regular(marker, O_RDONLY | O_CLOEXEC, fd_ret, err);
}

/* A living image keeps its chunks, so a reader need not wait; with the lock, which he may not be
 * able to have, he also gets to the end of one that is removed meanwhile. */
static int lock(int fd, enum pack_store_use use, struct thump_err *err)
{
	int how = use == PACK_STORE_REMOVE ? LOCK_EX : LOCK_SH;
	int result;

	if (use == PACK_STORE_READ)
		how |= LOCK_NB;
	do
		result = flock(fd, how);
	while (result < 0 && errno == EINTR);
	if (result < 0 && use != PACK_STORE_READ)
		return thump_fail_errno(err, "lock");
	return 0;
}

int pack_store_open(const char *path, enum pack_store_use use, struct pack_store *store_ret,
		    struct thump_err *err)
{
	auto_close int fd = -1;
	char *copy;

	if (open_marker(path, use, &fd, err) < 0 || lock(fd, use, err) < 0)
		return thump_add_context(err, "chunk store %s", path);
	copy = strdup(path);
	if (!copy)
		return thump_fail_errno(err, "memory for a path");
	*store_ret = (struct pack_store){ .path = copy, .fd = thump_take_fd(&fd) };
	return 0;
}

void pack_store_close(struct pack_store *store)
{
	thump_close_fd(&store->fd);
	free(store->path);
	free(store->entered);
	*store = PACK_STORE_INIT;
}

bool pack_store_is_same(const struct pack_store *a, const struct pack_store *b)
{
	struct stat one, other;

	return fstat(a->fd, &one) == 0 && fstat(b->fd, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

/* ---- chunks -------------------------------------------------------------------------------- */

static void put_hex(char *text, const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static int chunk_path(const struct pack_store *store, const struct pack_chunk *chunk,
		      char path[PATH_MAX], struct thump_err *err)
{
	char folder[2 + 1], name[STORE_NAME_LENGTH + 1];
	int length;

	put_hex(folder, chunk->hash, 1);
	put_hex(name, chunk->hash + 1, sizeof(chunk->hash) - 1);
	length = snprintf(path, PATH_MAX, "%s/" STORE_CHUNKS "/%s/%s", store->path, folder, name);
	return length < PATH_MAX ? 0 : thump_fail(err, "the path %s is too long", store->path);
}

/* Is it there, and the same? What a crash has cut short, or somebody altered, is not. */
static bool has_same(const char *path, const unsigned char *stored, size_t size)
{
	struct thump_err err = THUMP_ERR_INIT;
	auto_free unsigned char *bytes = NULL;
	auto_close int fd = -1;
	struct stat st;

	if (thump_open_regular(path, O_RDONLY | O_CLOEXEC, &fd, &err) < 0 || fstat(fd, &st) < 0 ||
	    (uint64_t)st.st_size != size)
		return false;
	bytes = malloc(size);
	return bytes && thump_pread_full(fd, bytes, size, 0) == 0 &&
	       memcmp(bytes, stored, size) == 0;
}

static int create_chunk(const char *path, struct image_tempfile *file_ret, struct thump_err *err)
{
	auto_free char *folder = NULL;

	if (access(path, F_OK) < 0) {
		folder = strndup(path, (size_t)(strrchr(path, '/') - path));
		if (!folder)
			return thump_fail_errno(err, "memory for a path");
		if (make_folder(folder, err) < 0)
			return -1;
	}
	return image_tempfile_create(path, file_ret, err);
}

int pack_store_put(const struct pack_store *store, const struct pack_chunk *chunk,
		   const unsigned char *stored, bool *new_ret, struct thump_err *err)
{
	struct image_tempfile file = IMAGE_TEMPFILE_INIT;
	char path[PATH_MAX];
	int failed;

	if (chunk_path(store, chunk, path, err) < 0)
		return -1;
	if (has_same(path, stored, chunk->stored_size)) {
		*new_ret = false;
		return 0;
	}
	failed = create_chunk(path, &file, err);
	if (!failed && (thump_pwrite_full(file.fd, stored, chunk->stored_size, 0) < 0 ||
			fchmod(file.fd, 0400) < 0))
		failed = thump_fail_errno(err, "write");
	if (!failed)
		failed = image_tempfile_commit(&file, false, err);
	image_tempfile_deinit(&file);
	if (failed)
		return thump_add_context(err, "chunk %s", path);
	*new_ret = true;
	return 0;
}

static int read_chunk(int fd, const struct pack_chunk *chunk, unsigned char *stored,
		      struct thump_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return thump_fail_errno(err, "fstat");
	if ((uint64_t)st.st_size != chunk->stored_size)
		return thump_damaged(err, "it has %jd bytes instead of %" PRIu32,
				     (intmax_t)st.st_size, chunk->stored_size);
	if (thump_pread_full(fd, stored, chunk->stored_size, 0) < 0)
		return thump_fail_errno(err, "read");
	return pack_check_hash(chunk, stored, err);
}

int pack_store_get(const struct pack_store *store, const struct pack_chunk *chunk,
		   unsigned char *stored, struct thump_err *err)
{
	char path[PATH_MAX]; /* no memory of its own: image/image.h, make */
	auto_close int fd = -1;

	if (chunk_path(store, chunk, path, err) < 0)
		return -1;
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return thump_damaged(err, "%s is missing", path);
	if (thump_open_regular(path, O_RDONLY | O_CLOEXEC, &fd, err) < 0 ||
	    read_chunk(fd, chunk, stored, err) < 0)
		return thump_add_context(err, "%s", path);
	return 0;
}

/* ---- images -------------------------------------------------------------------------------- */

int pack_store_enter(struct pack_store *store, const struct image_tempfile *file,
		     struct thump_err *err)
{
	auto_free char *path = NULL;
	uint64_t number[2];

	if (getrandom(number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return thump_fail_errno(err, "getrandom");
	if (asprintf(&path, "%s/" STORE_IMAGES "/%016" PRIx64 "%016" PRIx64, store->path, number[0],
		     number[1]) < 0)
		return thump_fail_errno(err, "memory for a path");
	if (image_tempfile_link(file, AT_FDCWD, path) < 0) {
		/* link(2): EPERM where a file system has no hard links. */
		if (errno == EXDEV || errno == EPERM)
			return thump_fail(err,
					  "image and chunk store must be on one file system, and "
					  "one with hard links: %s has one of the image to know "
					  "whether it is still there",
					  store->path);
		return thump_fail_errno(err, "link %s", path);
	}
	store->entered = path;
	path = NULL;
	return 0;
}

/* One call for all chunks, their names and the image's entry, those that somebody else has just
 * made among them: fsync(2) of hundreds of files would take seconds. */
int pack_store_commit(const struct pack_store *store, struct image_tempfile *file,
		      struct thump_err *err)
{
	if (syncfs(store->fd) < 0)
		return thump_fail_errno(err, "sync the chunk store %s", store->path);
	return image_tempfile_commit(file, true, err);
}

void pack_store_leave(const struct pack_store *store, const struct image_tempfile *file)
{
	struct stat st;

	/* It may have got its name, and then an error. */
	if (store->entered && fstat(file->fd, &st) == 0 && st.st_nlink == 1)
		(void)unlink(store->entered);
}

/* ---- where a store is ---------------------------------------------------------------------- */

/* The folder of `image`, with its slash; empty: this one. */
static int folder_length(const char *image)
{
	const char *slash = strrchr(image, '/');

	return slash ? (int)(slash + 1 - image) : 0;
}

/* From folder `from` to `to`, which are absolute and without links; -1: they share only /. */
static int relative_path(const char *from, const char *to, char **relative_ret)
{
	auto_buf struct thump_buf buf = THUMP_BUF_INIT;
	size_t common = 0, i;

	for (i = 0; from[i] == to[i] && from[i]; i++)
		if (from[i] == '/')
			common = i;
	if ((from[i] == '\0' || from[i] == '/') && (to[i] == '\0' || to[i] == '/'))
		common = i;
	if (common == 0)
		return -1;
	for (const char *at = from + common; *at; at++)
		if (*at == '/')
			thump_buf_put(&buf, "../", 3);
	to += common + (to[common] == '/');
	thump_buf_put(&buf, *to ? to : ".", strlen(*to ? to : ".") + 1);
	if (buf.failed)
		return -1;
	*relative_ret = (char *)buf.bytes;
	buf = THUMP_BUF_INIT;
	return 0;
}

int pack_store_note(const struct pack_store *store, const char *image, char **note_ret,
		    struct thump_err *err)
{
	auto_free char *from = NULL, *to = realpath(store->path, NULL), *folder = NULL;

	if (asprintf(&folder, "%.*s.", folder_length(image), image) < 0)
		folder = NULL;
	from = folder ? realpath(folder, NULL) : NULL;
	if (!from || !to)
		return thump_fail_errno(err, "find the way from %s to %s", image, store->path);
	if (strlen(from) > STORE_NOTE_MAX / 2 || strlen(to) > STORE_NOTE_MAX / 2)
		return thump_fail(err, "the path of %s or %s is too long", image, store->path);
	if (relative_path(from, to, note_ret) == 0)
		return 0;
	*note_ret = to;
	to = NULL;
	return 0;
}

int pack_store_find(const char *note, const char *image, char **path_ret, struct thump_err *err)
{
	int length = *note == '/' ? 0 : folder_length(image);

	if (asprintf(path_ret, "%.*s%s", length, image, note) < 0)
		return thump_fail_errno(err, "memory for a path");
	return 0;
}

void pack_store_note_encode(struct thump_buf *buf, const char *note)
{
	thump_buf_put_u32(buf, STORE_NOTE_TYPE);
	thump_buf_put_blob(buf, note, strlen(note));
}

int pack_store_note_decode(const unsigned char *bytes, size_t size, char **note_ret,
			   struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(bytes, size);
	uint32_t type = thump_get_u32(&r);
	size_t length = 0;
	const char *text = thump_get_blob(&r, STORE_NOTE_MAX, &length);

	if (thump_reader_done(&r, "the note of the chunk store", err) < 0)
		return -1;
	if (type != STORE_NOTE_TYPE || length == 0 || memchr(text, '\0', length))
		return thump_damaged(err, "the note of the chunk store breaks a rule");
	*note_ret = strndup(text, length);
	return *note_ret ? 0 : thump_fail_errno(err, "memory for a path");
}
