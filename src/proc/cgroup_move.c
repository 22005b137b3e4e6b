/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/cgroup_move.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "proc/text.h"

#define PROCS "cgroup.procs"

/* A piece of a line. */
struct piece {
	const char *at;
	size_t len;
};

/* Up to the next `end`, which is skipped; all the rest where there is none. */
static struct piece cut(struct piece *rest, char end)
{
	const char *stop = memchr(rest->at, end, rest->len);
	struct piece piece = { rest->at, stop ? (size_t)(stop - rest->at) : rest->len };
	const size_t skipped = piece.len + (stop != NULL);

	rest->at += skipped;
	rest->len -= skipped;
	return piece;
}

static bool is_word(struct piece piece, const char *word)
{
	return piece.len == strlen(word) && memcmp(piece.at, word, piece.len) == 0;
}

/* ID:CONTROLLERS:PATH of /proc/PID/cgroup. */
struct group {
	struct piece id, controllers, path;
};

static struct group group_of(const char *line, size_t len)
{
	struct piece rest = { line, len };
	struct group group = { .id = cut(&rest, ':') };

	group.controllers = cut(&rest, ':');
	group.path = rest;
	return group;
}

/* ---- where it is mounted ------------------------------------------------------------------------
 */

/* "ID PARENT DEVICE ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPER", proc_pid_mountinfo(5). */
struct mount {
	struct piece root, point, type, super;
};

static struct mount mount_of(const char *line, size_t len)
{
	struct piece rest = { line, len };
	struct mount mount;

	for (int skipped = 0; skipped < 3; skipped++)
		(void)cut(&rest, ' ');
	mount.root = cut(&rest, ' ');
	mount.point = cut(&rest, ' ');
	while (rest.len > 0 && !is_word(cut(&rest, ' '), "-"))
		continue;
	mount.type = cut(&rest, ' ');
	(void)cut(&rest, ' ');
	mount.super = rest;
	return mount;
}

/* One controller is enough: none is in two hierarchies. */
static bool has_hierarchy(const struct mount *mount, const struct group *group)
{
	struct piece list = group->controllers;
	const struct piece controller = cut(&list, ',');

	if (controller.len == 0)
		return is_word(mount->type, "cgroup2");
	return is_word(mount->type, "cgroup") &&
	       thump_text_lists(mount->super.at, mount->super.len, controller.at, controller.len);
}

/* The part of the group's path below the mount's root; false when it is not below. */
static bool is_below(const struct mount *mount, struct piece *path)
{
	const size_t len = is_word(mount->root, "/") ? 0 : mount->root.len;

	if (path->len == 0 || path->len < len || memcmp(path->at, mount->root.at, len) != 0 ||
	    (path->len > len && path->at[len] != '/'))
		return false;
	path->at += len;
	path->len = path->len - len == 1 ? 0 : path->len - len; /* "/" */
	return true;
}

bool thump_cgroup_procs_path(const char *line, size_t len, const char *mounts, char *path_ret,
			     size_t size)
{
	const struct group group = group_of(line, len);
	const char *at = mounts, *text;
	size_t text_len;

	while (thump_text_line(&at, &text, &text_len)) {
		const struct mount mount = mount_of(text, text_len);
		struct piece path = group.path;
		int written;

		if (!has_hierarchy(&mount, &group) || !is_below(&mount, &path))
			continue;
		written = snprintf(path_ret, size, "%.*s%.*s/" PROCS, (int)mount.point.len,
				   mount.point.at, (int)path.len, path.at);
		return written > 0 && (size_t)written < size;
	}
	return false;
}

/* ---- moving -------------------------------------------------------------------------------------
 */

static bool has_line(const char *text, const char *line, size_t len)
{
	const char *other;
	size_t other_len;

	while (thump_text_line(&text, &other, &other_len))
		if (other_len == len && memcmp(other, line, len) == 0)
			return true;
	return false;
}

static int open_group(const char *line, size_t len, const char *mounts,
		      struct thump_cgroup_move *move, struct thump_err *err)
{
	char path[PATH_MAX];

	if (move->count == THUMP_MAX_HIERARCHIES)
		return thump_fail(err, "there are more than %d hierarchies of control groups",
				  THUMP_MAX_HIERARCHIES);
	if (!thump_cgroup_procs_path(line, len, mounts, path, sizeof(path)))
		return thump_fail(err, "the control group %.*s is mounted nowhere", (int)len, line);
	move->fds[move->count] = open(path, O_WRONLY | O_CLOEXEC);
	if (move->fds[move->count] < 0)
		return thump_fail_errno(err, "open %s", path);
	move->count++;
	return 0;
}

static int open_groups(const char *groups, const char *others, struct thump_cgroup_move *move,
		       struct thump_err *err)
{
	auto_free char *mounts = NULL;
	const char *line;
	size_t len;

	if (thump_slurp(AT_FDCWD, "/proc/self/mountinfo", &mounts, NULL) < 0)
		return thump_fail_errno(err, "read /proc/self/mountinfo");
	while (thump_text_line(&groups, &line, &len))
		if (!has_line(others, line, len) && open_group(line, len, mounts, move, err) < 0)
			return -1;
	return 0;
}

static int read_groups(pid_t pid, char **text_ret, struct thump_err *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	return thump_slurp(AT_FDCWD, path, text_ret, NULL) < 0
		       ? thump_fail_errno(err, "read %s", path)
		       : 0;
}

int thump_cgroup_move_open(pid_t pid, pid_t other, struct thump_cgroup_move *move_ret,
			   struct thump_err *err)
{
	auto_free char *groups = NULL, *others = NULL;
	struct thump_cgroup_move move = { 0 };

	if (read_groups(pid, &groups, err) < 0 || read_groups(other, &others, err) < 0)
		return -1;
	if (open_groups(groups, others, &move, err) < 0) {
		thump_cgroup_move_close(&move);
		return -1;
	}
	*move_ret = move;
	return 0;
}

void thump_cgroup_move_close(struct thump_cgroup_move *move)
{
	while (move->count > 0)
		thump_close_fd(&move->fds[--move->count]);
}

int thump_cgroup_move(const struct thump_cgroup_move *move, pid_t pid, struct thump_err *err)
{
	for (size_t i = 0; i < move->count; i++)
		if (dprintf(move->fds[i], "%d", (int)pid) < 0)
			return thump_fail_errno(err,
						"move a process into a control group (of version 2 "
						"it takes the right to write to cgroup.procs "
						"of the group that both are in, too)");
	return 0;
}

int thump_cgroup_enter(const char *directory, struct thump_err *err)
{
	struct thump_cgroup_move move = { .count = 1 };
	char path[PATH_MAX];
	int result;

	if (snprintf(path, sizeof(path), "%s/" PROCS, directory) >= (int)sizeof(path))
		return thump_fail(err, "the path of the control group is too long");
	move.fds[0] = open(path, O_WRONLY | O_CLOEXEC);
	if (move.fds[0] < 0)
		return thump_fail_errno(err, "open %s", path);
	result = thump_cgroup_move(&move, 0, err);
	thump_cgroup_move_close(&move);
	return result < 0 ? thump_add_context(err, "%s", directory) : 0;
}
