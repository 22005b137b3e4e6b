/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that a restore makes: carried temporary files and their folders, logs that were gone, paths
 * of sockets. The child makes them long before it is known whether all goes well, so it notes them
 * in memory that it shares with thump, which removes them again after a failure. What is another
 * file by then is left alone. Only a kill -9 of thump itself leaves them behind.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kinds/registry.h"
#include "kinds/restore.h"

struct thump_made_file {
	uint64_t dev, ino; /* 0 while it is being made: the child may be ended at any moment */
	bool is_folder;
	char path[PATH_MAX];
};

struct thump_made {
	size_t count, room; /* count is written by the child, after the entry */
	struct thump_made_file files[];
};

static size_t size_of(size_t room)
{
	return sizeof(struct thump_made) + room * sizeof(struct thump_made_file);
}

/* At most so many; a folder may have to be made for each carried file. */
static size_t count_possible(const struct thump_fd_rebuild *rb)
{
	size_t count = 0;

	for (uint32_t i = 0; i < rb->model->nr_backings; i++)
		if (rb->plans[i].how == THUMP_BACKING_MAKE_LOG ||
		    rb->plans[i].how == THUMP_BACKING_MAKE_NAMED ||
		    rb->plans[i].how == THUMP_BACKING_REPLACE)
			count += 2;
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++)
		count += rb->model->ofds[i].kind_id == thump_kind_unix_socket.kind_id;
	return count;
}

int thump_made_create(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	size_t room = count_possible(rb);
	struct thump_made *made;

	rb->made = NULL;
	if (room == 0)
		return 0;
	made = mmap(NULL, size_of(room), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (made == MAP_FAILED)
		return thump_fail_errno(err, "memory for the names of %zu files", room);
	made->room = room;
	rb->made = made;
	return 0;
}

void thump_made_destroy(struct thump_fd_rebuild *rb)
{
	if (rb->made)
		(void)munmap(rb->made, size_of(rb->made->room));
	rb->made = NULL;
}

struct thump_made_file *thump_made_begin(struct thump_fd_rebuild *rb, const char *path,
					 bool is_folder)
{
	struct thump_made *made = rb->made;
	struct thump_made_file *file;
	struct stat st;

	/* What is there already will not be made. */
	if (!made || made->count == made->room || strlen(path) >= sizeof(file->path) ||
	    lstat(path, &st) == 0)
		return NULL;
	file = &made->files[made->count];
	*file = (struct thump_made_file){ .is_folder = is_folder };
	memcpy(file->path, path, strlen(path) + 1);
	__atomic_store_n(&made->count, made->count + 1, __ATOMIC_RELEASE);
	return file;
}

void thump_made_end(struct thump_fd_rebuild *rb, struct thump_made_file *file, bool success)
{
	struct stat st;

	if (!file)
		return;
	if (!success || lstat(file->path, &st) < 0) {
		__atomic_store_n(&rb->made->count, rb->made->count - 1, __ATOMIC_RELEASE);
		return;
	}
	file->dev = st.st_dev;
	__atomic_store_n(&file->ino, st.st_ino, __ATOMIC_RELEASE);
}

void thump_made_undo(struct thump_fd_rebuild *rb)
{
	size_t count = rb->made ? __atomic_load_n(&rb->made->count, __ATOMIC_ACQUIRE) : 0;

	/* Backwards: files before their folders. */
	while (count-- > 0) {
		const struct thump_made_file *file = &rb->made->files[count];
		struct stat st;

		if (lstat(file->path, &st) < 0 ||
		    (file->ino && (st.st_dev != file->dev || st.st_ino != file->ino)))
			continue;
		/* A folder in which somebody has put something meanwhile stays. */
		(void)unlinkat(AT_FDCWD, file->path, file->is_folder ? AT_REMOVEDIR : 0);
	}
}
