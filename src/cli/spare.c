/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/spare.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/send_fds.h"
#include "cli/parameters.h"
#include "rebuild/template.h"

/* execve(2) takes no more of both together: 3/4 of 8 MiB. */
#define WORDS_LIMIT ((size_t)8 << 20)

struct words_head {
	uint32_t argc, nr_environ;
};

/* ---- words -------------------------------------------------------------------------------------
 */

static int put_words(FILE *file, char *const *words)
{
	for (size_t i = 0; words && words[i]; i++)
		if (fwrite(words[i], 1, strlen(words[i]) + 1, file) != strlen(words[i]) + 1)
			return -1;
	return 0;
}

static int write_words(int argc, char **argv, int *fd_ret, struct thump_err *err)
{
	const struct words_head head = { (uint32_t)argc, (uint32_t)thump_count_words(environ) };
	auto_close int fd = memfd_create("thump-words", MFD_CLOEXEC);
	auto_fclose FILE *file = NULL;

	if (fd < 0)
		return thump_fail_errno(err, "memfd_create");
	file = fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 3), "w");
	if (!file || fwrite(&head, sizeof(head), 1, file) != 1 || put_words(file, argv) < 0 ||
	    put_words(file, environ) < 0 || fflush(file) != 0)
		return thump_fail_errno(err, "write arguments and environment");
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

/* NULL: there are fewer. */
static char *cut_words(char *at, const char *end, char **list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *zero = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;

		if (!zero)
			return NULL;
		list[i] = at;
		at = zero + 1;
	}
	return at;
}

static int read_text(int fd, struct thump_taker_words *words, size_t *size_ret,
		     struct thump_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(struct words_head) ||
	    st.st_size > (off_t)WORDS_LIMIT)
		return thump_fail(err, "whoever takes the spare sent no words");
	*size_ret = (size_t)st.st_size;
	words->text = malloc(*size_ret);
	if (!words->text || thump_pread_full(fd, words->text, *size_ret, 0) < 0)
		return thump_fail_errno(err, "read arguments and environment");
	return 0;
}

static int read_words(int fd, struct thump_taker_words *words, struct thump_err *err)
{
	struct words_head head;
	size_t size_bytes;
	char *at;

	if (read_text(fd, words, &size_bytes, err) < 0)
		return -1;
	memcpy(&head, words->text, sizeof(head));
	if (head.argc < 1 || head.argc > size_bytes || head.nr_environ > size_bytes)
		return thump_fail(err, "whoever takes the spare sent no arguments");
	words->argv = calloc((size_t)head.argc + 1, sizeof(*words->argv));
	words->environ = calloc((size_t)head.nr_environ + 1, sizeof(*words->environ));
	if (!words->argv || !words->environ)
		return thump_fail_errno(err, "memory for arguments and environment");
	at = cut_words(words->text + sizeof(head), words->text + size_bytes, words->argv,
		       head.argc);
	if (!at || !cut_words(at, words->text + size_bytes, words->environ, head.nr_environ))
		return thump_fail(err, "whoever takes the spare sent too few words");
	words->argc = (int)head.argc;
	return 0;
}

void thump_taker_words_free(struct thump_taker_words *words)
{
	thump_free_ptr(&words->argv);
	thump_free_ptr(&words->environ);
	thump_free_ptr(&words->text);
}

/* ---- the maker ---------------------------------------------------------------------------------
 */

void thump_spare_maker_init(struct thump_spare_maker *maker, int order_fd)
{
	*maker = (struct thump_spare_maker){ .order_fd = order_fd, .relay = { -1, -1 } };
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(maker->fds); i++)
		maker->fds[i] = -1;
}

void thump_spare_maker_deinit(struct thump_spare_maker *maker)
{
	thump_close_fd(&maker->order_fd);
	thump_close_fd(&maker->relay[0]);
	thump_close_fd(&maker->relay[1]);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(maker->fds); i++)
		thump_close_fd(&maker->fds[i]);
}

int thump_spare_maker_open(struct thump_spare_maker *maker, struct thump_err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, maker->relay) < 0)
		return thump_fail_errno(err, "make a socket");
	return 0;
}

int thump_spare_tell(const struct thump_spare_maker *maker, const struct thump_err *trouble,
		     struct thump_err *err)
{
	struct thump_spare_word word = { .ready = trouble == NULL };

	if (trouble)
		(void)snprintf(word.trouble, sizeof(word.trouble), "%.*s",
			       (int)sizeof(word.trouble) - 1, trouble->text);
	if (send(maker->order_fd, &word, sizeof(word), MSG_NOSIGNAL) < 0)
		return thump_fail_errno(err, "tell the template's keeper");
	return 0;
}

/* One byte, and all descriptors. */
static bool receive_all(int fd, int fds[THUMP_NR_TAKING_FDS])
{
	size_t nr_fds = 0;
	char byte;

	if (thump_receive_fds(fd, &byte, sizeof(byte), fds, THUMP_NR_TAKING_FDS, &nr_fds) == 1 &&
	    nr_fds == THUMP_NR_TAKING_FDS)
		return true;
	for (size_t i = 0; i < THUMP_NR_TAKING_FDS; i++) {
		if (i >= nr_fds)
			fds[i] = -1;
		thump_close_fd(&fds[i]);
	}
	return false;
}

int thump_spare_receive(struct thump_spare_maker *maker, struct thump_taker_words *words_ret,
			struct thump_err *err)
{
	struct thump_taker_words words = { 0 };

	if (!receive_all(maker->order_fd, maker->fds))
		return thump_fail(err, "the template's keeper wants no spare any more");
	if (thump_send_fds(maker->relay[1], "t", 1, maker->fds, THUMP_NR_TAKING_FDS) < 0)
		return thump_fail_errno(err, "pass descriptors on");
	if (read_words(maker->fds[THUMP_TAKING_WORDS], &words, err) < 0) {
		thump_taker_words_free(&words);
		return -1;
	}
	*words_ret = words;
	return 0;
}

bool thump_spare_receive_relayed(struct thump_spare_maker *maker)
{
	/* Its other end is also in the init: nothing is waited for. */
	if (fcntl(maker->relay[0], F_SETFL, O_NONBLOCK) < 0)
		return false;
	return receive_all(maker->relay[0], maker->fds);
}

/* ---- the taker ---------------------------------------------------------------------------------
 */

static int open_stdio(int number, struct thump_err *err)
{
	int fd = fcntl(number, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd < 0 ? thump_fail_errno(err, "open /dev/null") : fd;
}

static int ask(int keeper_fd, const int fds[THUMP_NR_TAKING_FDS], pid_t *maker_ret,
	       struct thump_err *err)
{
	const struct thump_template_ask what = { .what = THUMP_TEMPLATE_SPARE };
	struct thump_clone_reply reply;
	ssize_t got;

	if (thump_send_fds(keeper_fd, &what, sizeof(what), fds, THUMP_NR_TAKING_FDS) < 0)
		return thump_fail_errno(err, "ask the template's keeper for a spare");
	do
		got = recv(keeper_fd, &reply, sizeof(reply), 0);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(reply))
		return thump_fail(err, "the template's keeper has ended");
	*maker_ret = reply.pid;
	return reply.error ? 0 : 1;
}

static int hear(int line_fd, struct thump_spare_said *said, struct thump_err *err)
{
	ssize_t got;

	do
		got = recv(line_fd, said, sizeof(*said), 0);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(*said))
		return thump_fail(err, "the maker of a spare has ended without a word: whether "
				       "the program runs is not known");
	return said->failed ? 0 : 1;
}

static int take(int keeper_fd, int fds[THUMP_NR_TAKING_FDS], int line_fd, pid_t *maker_ret,
		struct thump_spare_said *said_ret, struct thump_err *err)
{
	int status = ask(keeper_fd, fds, maker_ret, err);

	/* From now on its end is the end of file. */
	thump_close_fd(&fds[THUMP_TAKING_LINE]);
	return status == 1 ? hear(line_fd, said_ret, err) : status;
}

int thump_spare_take(int keeper_fd, int argc, char **argv, int *line_fd_ret, pid_t *maker_ret,
		     struct thump_spare_said *said_ret, struct thump_err *err)
{
	int fds[THUMP_NR_TAKING_FDS] = { -1, -1, -1, -1, -1 };
	auto_close int line_fd = -1;
	int ends[2], status = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return thump_fail_errno(err, "make a socket");
	line_fd = ends[0];
	fds[THUMP_TAKING_LINE] = ends[1];
	for (int i = 0; i < 3; i++)
		fds[THUMP_TAKING_STDIO + i] = open_stdio(i, err);
	if (fds[THUMP_NR_TAKING_FDS - 1] >= 0 &&
	    write_words(argc, argv, &fds[THUMP_TAKING_WORDS], err) == 0)
		status = take(keeper_fd, fds, line_fd, maker_ret, said_ret, err);
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(fds); i++)
		thump_close_fd(&fds[i]);
	if (status == 1)
		*line_fd_ret = thump_take_fd(&line_fd);
	return status;
}
