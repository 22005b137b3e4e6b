/* SPDX-License-Identifier: Apache-2.0 */
/* Names for what cannot be saved, so that a refusal says more than a number. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "kinds/flight.h"

static void THUMP_PRINTF(5, 0)
	list(struct thump_fd_capture *cap, const struct thump_fd_facts *facts, bool warning,
	     const char *word, const char *fmt, va_list args)
{
	auto_free char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	if (thump_is_in_flight(facts->fd))
		thump_problem_add(cap->problems, warning, -1, word,
				  "descriptor in flight through a unix socket: %s",
				  text ? text : "(out of memory)");
	else
		thump_problem_add(cap->problems, warning, facts->fd, word, "fd %d: %s", facts->fd,
				  text ? text : "(out of memory)");
}

void thump_refuse_fd(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		     const char *word, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	list(cap, facts, false, word, fmt, args);
	va_end(args);
}

void thump_warn_fd(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		   const char *word, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	list(cap, facts, true, word, fmt, args);
	va_end(args);
}

static const char *file_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFBLK:
		return "block device";
	case S_IFCHR:
		return "character device";
	case S_IFLNK:
		return "symbolic link";
	case S_IFSOCK:
		return "socket";
	case S_IFIFO:
		return "FIFO";
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	default:
		return "descriptor";
	}
}

static const char *family_name(int family)
{
	switch (family) {
	case AF_NETLINK:
		return "netlink";
	case AF_PACKET:
		return "packet";
	case AF_VSOCK:
		return "vsock";
	case AF_ALG:
		return "alg";
	case AF_BLUETOOTH:
		return "bluetooth";
	case AF_CAN:
		return "can";
	case AF_XDP:
		return "xdp";
	default:
		return NULL;
	}
}

static void refuse_socket(struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	const char *family = family_name(facts->sock_domain);

	if (family)
		thump_refuse_fd(cap, facts, family, "%s socket (protocol %d): cannot be saved",
				family, facts->sock_protocol);
	else
		thump_refuse_fd(cap, facts, "socket",
				"socket of family %d, type %d, protocol %d: cannot be saved",
				facts->sock_domain, facts->sock_type, facts->sock_protocol);
}

/* "anon_inode:[io_uring]" and "anon_inode:bpf-map" -> the word in it, in the arena of the list. */
static const char *anon_word(struct thump_fd_capture *cap, const char *link)
{
	const char *word = strchr(link, ':') + 1;
	size_t len;
	char *copy;

	if (*word == '[')
		word++;
	len = strcspn(word, "]");
	copy = thump_arena_strndup(&cap->problems->arena, word, len);
	return copy && *copy ? copy : "anonymous inode";
}

void thump_refuse_unknown(struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	if (strncmp(facts->link, "anon_inode:", strlen("anon_inode:")) == 0) {
		const char *word = anon_word(cap, facts->link);

		thump_refuse_fd(cap, facts, word, "%s: cannot be saved", word);
	} else if (facts->fs_type == THUMP_FS_SECRETMEM) {
		thump_refuse_fd(cap, facts, "memfd_secret",
				"memfd_secret %s: nobody but the process may read it: cannot be "
				"saved",
				facts->link);
	} else if (facts->fs_type == THUMP_FS_MQUEUE) {
		thump_refuse_fd(cap, facts, "mqueue", "POSIX message queue %s%s: cannot be saved",
				facts->link, facts->deleted ? " (deleted)" : "");
	} else if (S_ISSOCK(facts->st.st_mode) && facts->sock_domain >= 0) {
		refuse_socket(cap, facts);
	} else if (S_ISCHR(facts->st.st_mode) || S_ISBLK(facts->st.st_mode)) {
		thump_refuse_fd(cap, facts, "device", "%s %s (%u:%u): cannot be saved",
				file_type(facts->st.st_mode), facts->link, major(facts->st.st_rdev),
				minor(facts->st.st_rdev));
	} else {
		thump_refuse_fd(cap, facts, "unknown", "%s %s%s: cannot be saved",
				file_type(facts->st.st_mode), facts->link,
				facts->deleted ? " (deleted)" : "");
	}
}
