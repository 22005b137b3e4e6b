/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify: watches on files and folders that the program does not have open, with their numbers and
 * masks. Neither the checkpoint nor the restore causes an event.
 */
#include "workload.h"

#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static int fd;

static void make_folder(const char *name)
{
	if (mkdir(name, 0755) < 0)
		CHECK_EQ(errno, EEXIST);
}

static void expect_nothing(void)
{
	int waiting;

	MUST(ioctl(fd, FIONREAD, &waiting));
	CHECK_EQ(waiting, 0);
}

static void expect(int watch, uint32_t mask, const char *name)
{
	union {
		struct inotify_event event;
		char bytes[sizeof(struct inotify_event) + 256];
	} room;

	/* Room for one event only. */
	CHECK(read(fd, &room, sizeof(struct inotify_event) + 16) > 0);
	CHECK_EQ(room.event.wd, watch);
	CHECK_EQ(room.event.mask, mask);
	if (name)
		CHECK(room.event.len && strcmp(room.event.name, name) == 0);
}

static void touch(const char *path)
{
	int file = (int)MUST(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));

	MUST(close(file));
	MUST(unlink(path));
}

int main(void)
{
	int top, file, all, once, other;

	workload_init();
	make_folder("watched");
	make_folder("watched/a");
	make_folder("watched/a/deep");
	make_folder("watched/all");
	make_folder("watched/once");
	file = make_file("watched/a/deep/file", 10, 1, O_RDWR | O_CREAT);
	MUST(close(file));
	fd = (int)MUST(inotify_init1(IN_CLOEXEC));
	top = (int)MUST(inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE));
	for (int i = 0; i < 30; i++) {
		other = (int)MUST(inotify_add_watch(fd, "watched/a", IN_ATTRIB));
		MUST(inotify_rm_watch(fd, other));
		expect(other, IN_IGNORED, NULL);
	}
	file = (int)MUST(inotify_add_watch(fd, "watched/a/deep/file", IN_MODIFY | IN_ATTRIB));
	all = (int)MUST(inotify_add_watch(fd, "watched/all", IN_ALL_EVENTS));
	once = (int)MUST(inotify_add_watch(fd, "watched/once", IN_CREATE | IN_ONESHOT));
	CHECK_EQ(once, 34);

	workload_checkpoint();

	expect_nothing();
	touch("watched/new");
	expect(top, IN_CREATE, "new");
	expect(top, IN_DELETE, "new");
	MUST(truncate("watched/a/deep/file", 5));
	expect(file, IN_MODIFY, NULL);
	touch("watched/all/new");
	expect(all, IN_CREATE, "new");
	expect(all, IN_OPEN, "new");
	expect(all, IN_CLOSE_WRITE, "new");
	expect(all, IN_DELETE, "new");
	touch("watched/once/new");
	expect(once, IN_CREATE, "new");
	expect(once, IN_IGNORED, NULL);
	expect_nothing();
	CHECK_EQ(inotify_add_watch(fd, "watched/a", IN_ATTRIB), once + 1);
	MUST(close(fd));
	workload_pass();
}
