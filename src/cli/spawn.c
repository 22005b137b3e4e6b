/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/spawn.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static bool has_image(const struct thump_template_hello *hello, const struct stat *st)
{
	const struct thump_file_state state = thump_file_state_of(st);

	return memcmp(&state, &hello->image, sizeof(state)) == 0;
}

/* 0 when `name` is a template, and, where an image is asked for, one of this image. */
static int try_template(const char *name, const struct stat *image,
			struct thump_template_hello *hello, int *fd_ret, struct thump_err *err)
{
	auto_close int fd = -1;

	if (thump_template_connect(name, &fd, hello, err) < 0)
		return -1;
	if (image && !has_image(hello, image))
		return thump_fail(err, "template %s is of another image", name);
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

/* One of a group by chance, as nobody counts; that one has ended: the one that was found. */
static void spread(const struct stat *image, struct thump_template_hello *hello, int *fd)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	struct thump_template_hello other;
	char name[THUMP_TEMPLATE_NAME_MAX + 1];
	auto_close int other_fd = -1;
	uint32_t chance;

	if (hello->group_size <= 1 ||
	    getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != (ssize_t)sizeof(chance))
		return;
	thump_template_member(hello->group, chance % hello->group_size + 1, name);
	if (strcmp(name, hello->name) == 0 ||
	    try_template(name, image, &other, &other_fd, &ignored) < 0 ||
	    strcmp(other.group, hello->group) != 0)
		return;
	thump_close_fd(fd);
	*fd = thump_take_fd(&other_fd);
	*hello = other;
}

/* By its name; when the first of a group has ended, another one of it. */
static int find_by_name(const char *name, struct thump_template_hello *hello, int *fd_ret,
			struct thump_err *err)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	char member[THUMP_TEMPLATE_NAME_MAX + 1];

	if (try_template(name, NULL, hello, fd_ret, err) == 0)
		return 0;
	for (unsigned number = 2; number <= THUMP_TEMPLATE_COUNT_MAX; number++) {
		thump_template_member(name, number, member);
		if (try_template(member, NULL, hello, fd_ret, &ignored) < 0)
			continue;
		if (strcmp(hello->group, name) == 0)
			return 0;
		thump_close_fd(fd_ret);
	}
	return -1;
}

/* Whatever name the image's template has; the usual one first. */
static int find_by_image(const char *path, const struct stat *image,
			 struct thump_template_hello *hello, int *fd_ret, struct thump_err *err)
{
	const char *slash = strrchr(path, '/');
	const char *usual = slash ? slash + 1 : path;
	struct thump_err ignored = THUMP_ERR_INIT;
	char **names;
	int result = -1;

	if (thump_template_name_fits(usual) &&
	    try_template(usual, image, hello, fd_ret, &ignored) == 0)
		return 0;
	if (thump_template_names(&names, err) < 0)
		return -1;
	for (size_t i = 0; names[i] && result < 0; i++)
		result = try_template(names[i], image, hello, fd_ret, &ignored);
	thump_template_names_free(names);
	return result == 0 ? 0 : thump_fail(err, "there is no template of %s", path);
}

/* Our control groups: the template may have been moved since, but nobody moves one. */
static int find_groups(const struct thump_template_hello *hello, struct thump_cgroup_move *groups,
		       struct thump_err *err)
{
	if (thump_cgroup_move_open(getpid(), hello->template_pid, groups, err) < 0)
		return thump_add_context(err, "the control group is not the template's, and a "
					      "clone cannot be moved");
	return 0;
}

static int check_kin(const struct thump_template_hello *hello, struct thump_cgroup_move *groups,
		     struct thump_err *err)
{
	struct thump_kin own;
	const char *difference;

	if (thump_kin_of_us(&own, err) < 0)
		return -1;
	difference = thump_kin_difference(&own, &hello->kin);
	if (difference)
		return thump_refuse(err, "the template's is not ours: %s", difference);
	return own.cgroup == hello->kin.cgroup ? 0 : find_groups(hello, groups, err);
}

void thump_spawn_source_deinit(struct thump_spawn_source *source)
{
	thump_close_fd(&source->keeper_fd);
	thump_cgroup_move_close(&source->groups);
}

int thump_spawn_find(const char *operand, struct thump_spawn_source *source, struct thump_err *err)
{
	struct thump_template_hello hello;
	auto_close int fd = -1;
	struct stat st;
	const bool is_file = stat(operand, &st) == 0 && S_ISREG(st.st_mode);
	int found;

	*source = (struct thump_spawn_source){ .keeper_fd = -1 };
	if (is_file)
		found = find_by_image(operand, &st, &hello, &fd, &source->why);
	else if (thump_template_name_fits(operand))
		found = find_by_name(operand, &hello, &fd, &source->why);
	else
		found = thump_fail(&source->why, "there is no file %s", operand);
	if (found < 0 && !is_file) {
		*err = source->why;
		return -1;
	}
	(void)snprintf(source->path, sizeof(source->path), "%s", found < 0 ? operand : hello.path);
	/* Who names a member means it. */
	if (found == 0 && (is_file || strcmp(hello.group, operand) == 0))
		spread(is_file ? &st : NULL, &hello, &fd);
	if (found == 0)
		(void)snprintf(source->name, sizeof(source->name), "%s", hello.name);
	if (found == 0 && check_kin(&hello, &source->groups, &source->why) == 0)
		source->keeper_fd = thump_take_fd(&fd);
	source->nr_spares = found == 0 ? hello.nr_spares : 0;
	return 0;
}
