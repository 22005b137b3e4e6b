/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/templates.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define ANSWER_TIMEOUT_S 10

void thump_template_member(const char *group, unsigned number,
			   char name[THUMP_TEMPLATE_NAME_MAX + 1])
{
	const int size = THUMP_TEMPLATE_NAME_MAX + 1;

	if (number == 1)
		(void)snprintf(name, (size_t)size, "%s", group);
	else
		(void)snprintf(name, (size_t)size, "%.*s.%u", size - 4, group, number);
}

bool thump_template_name_fits(const char *name)
{
	if (!isalnum((unsigned char)name[0]) || strlen(name) > THUMP_TEMPLATE_NAME_MAX)
		return false;
	for (const char *at = name; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("._-+", *at))
			return false;
	return true;
}

int thump_template_folder(char *path, size_t size_bytes, bool make, struct thump_err *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	int found;

	if (runtime && runtime[0] == '/')
		(void)snprintf(path, size_bytes, "%s/thump", runtime);
	else
		(void)snprintf(path, size_bytes, "/tmp/thump-%u", (unsigned)geteuid());
	found = lstat(path, &st);
	if (found < 0 && errno == ENOENT && make) {
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return thump_fail_errno(err, "make the directory of templates %s", path);
		found = lstat(path, &st);
	}
	if (found < 0)
		return thump_fail_errno(err, "look at the directory of templates %s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return thump_refuse(err,
				    "the directory of templates %s is not this user's alone: it "
				    "must belong to uid %u and have mode 0700",
				    path, (unsigned)geteuid());
	return 0;
}

int thump_template_address(const char *name, bool make, struct sockaddr_un *address_ret,
			   struct thump_err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[PATH_MAX];
	int len;

	if (thump_template_folder(path, sizeof(path), make, err) < 0)
		return -1;
	len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", path, name);
	if (len < 0 || (size_t)len >= sizeof(address.sun_path))
		return thump_refuse(err, "the path of template %s in %s is too long for a socket",
				    name, path);
	*address_ret = address;
	return 0;
}

bool thump_peer_is_us(int socket_fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == geteuid();
}

static int hear_hello(int fd, const char *name, struct thump_template_hello *hello,
		      struct thump_err *err)
{
	ssize_t got;

	do
		got = recv(fd, hello, sizeof(*hello), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return thump_fail_errno(err, "hear from template %s", name);
	if (got == 0)
		return thump_fail(err, "template %s is ending", name);
	if (got != (ssize_t)sizeof(*hello) || hello->size_bytes != sizeof(*hello) ||
	    !memchr(hello->name, '\0', sizeof(hello->name)) ||
	    !memchr(hello->group, '\0', sizeof(hello->group)) ||
	    !memchr(hello->path, '\0', sizeof(hello->path)) ||
	    !memchr(hello->spare_trouble, '\0', sizeof(hello->spare_trouble)))
		return thump_refuse(err, "template %s is of another version of thump", name);
	return 0;
}

int thump_template_connect(const char *name, int *fd_ret, struct thump_template_hello *hello_ret,
			   struct thump_err *err)
{
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
	struct sockaddr_un address;
	auto_close int fd = -1;

	if (thump_template_address(name, false, &address, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return thump_fail_errno(err, "make a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return thump_fail_errno(err, "connect to template %s", name);
	if (!thump_peer_is_us(fd))
		return thump_refuse(err, "template %s is another user's", name);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return thump_fail_errno(err, "SO_RCVTIMEO");
	if (hear_hello(fd, name, hello_ret, err) < 0)
		return -1;
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(DIR *dir, char ***names_ret, struct thump_err *err)
{
	char **names = calloc(1, sizeof(*names));
	const struct dirent *entry;
	size_t count = 0;

	while (names && (entry = readdir(dir))) {
		char **grown;

		if (!thump_template_name_fits(entry->d_name))
			continue;
		grown = reallocarray(names, count + 2, sizeof(*names));
		if (!grown)
			break;
		names = grown;
		names[count] = strdup(entry->d_name);
		names[count + 1] = NULL;
		count += names[count] != NULL;
	}
	if (!names)
		return thump_fail_errno(err, "memory for names of templates");
	qsort(names, count, sizeof(*names), compare_names);
	*names_ret = names;
	return 0;
}

int thump_template_names(char ***names_ret, struct thump_err *err)
{
	auto_closedir DIR *dir = NULL;
	char path[PATH_MAX];

	if (thump_template_folder(path, sizeof(path), false, err) < 0) {
		if (err->sys_errno != ENOENT)
			return -1;
		*err = THUMP_ERR_INIT;
		*names_ret = calloc(1, sizeof(**names_ret));
		return *names_ret ? 0 : thump_fail_errno(err, "memory for names of templates");
	}
	dir = opendir(path);
	if (!dir)
		return thump_fail_errno(err, "open the directory of templates %s", path);
	return list(dir, names_ret, err);
}

void thump_template_names_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}
