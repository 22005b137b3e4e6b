/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keeper.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/send_fds.h"
#include "cli/running.h"
#include "cli/spare.h"
#include "cli/spares.h"

#define BACKLOG 128

void thump_keeper_init(struct thump_keeper *keeper, const char *name)
{
	*keeper = (struct thump_keeper){
		.name = name,
		.hello.size_bytes = sizeof(keeper->hello),
		.listen_fd = -1,
		.control_fd = -1,
		.signal_fd = -1,
		.watch_fd = -1,
	};
	(void)snprintf(keeper->hello.name, sizeof(keeper->hello.name), "%s", name);
}

/* From now on nobody finds the template, and there is none: it ends with the end of file. */
static void stop(struct thump_keeper *keeper)
{
	struct sockaddr_un address;
	struct thump_err ignored = THUMP_ERR_INIT;

	if (keeper->listen_fd >= 0 &&
	    thump_template_address(keeper->name, false, &address, &ignored) == 0)
		(void)unlink(address.sun_path);
	thump_close_fd(&keeper->listen_fd);
	thump_close_fd(&keeper->control_fd);
	thump_close_fd(&keeper->watch_fd);
	keeper->stopping = true;
	thump_spares_end(keeper->spares);
	if (keeper->hello.template_pid > 0)
		while (waitpid(keeper->hello.template_pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	thump_running_forget(&keeper->record, keeper->hello.template_pid);
	keeper->hello.template_pid = 0;
}

void thump_keeper_deinit(struct thump_keeper *keeper)
{
	stop(keeper);
	for (size_t i = 0; i < keeper->nr_clients; i++)
		thump_close_fd(&keeper->clients[i].fd);
	thump_close_fd(&keeper->signal_fd);
	thump_free_ptr(&keeper->clients);
	thump_spares_destroy(keeper->spares);
	keeper->spares = NULL;
}

/* ---- the name -------------------------------------------------------------------------------- */

static int listen_at(const struct sockaddr_un *address, int *fd_ret, struct thump_err *err)
{
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int bound;

	if (fd < 0)
		return thump_fail_errno(err, "make a socket");
	mask = umask(0177);
	bound = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	(void)umask(mask);
	if (bound < 0 || listen(fd, BACKLOG) < 0)
		return thump_fail_errno(err, "listen at %s", address->sun_path);
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

int thump_keeper_listen(struct thump_keeper *keeper, struct thump_err *err)
{
	struct thump_template_hello hello;
	struct thump_err absent = THUMP_ERR_INIT;
	struct sockaddr_un address;
	auto_close int other = -1;

	if (thump_template_address(keeper->name, true, &address, err) < 0)
		return -1;
	if (listen_at(&address, &keeper->listen_fd, err) == 0)
		return 0;
	if (err->sys_errno != EADDRINUSE)
		return -1;
	*err = THUMP_ERR_INIT;
	if (thump_template_connect(keeper->name, &other, &hello, &absent) == 0 ||
	    absent.sys_errno != ECONNREFUSED)
		return thump_refuse(err,
				    "there is a template %s already: stop it, or give another "
				    "name with --name",
				    keeper->name);
	/* Its keeper was killed. */
	(void)unlink(address.sun_path);
	return listen_at(&address, &keeper->listen_fd, err);
}

/* ---- the image ------------------------------------------------------------------------------- */

static bool image_is_there(const struct thump_keeper *keeper)
{
	struct thump_file_state state;
	struct stat st;

	if (stat(keeper->hello.path, &st) < 0)
		return false;
	state = thump_file_state_of(&st);
	return memcmp(&state, &keeper->hello.image, sizeof(state)) == 0;
}

static int watch_image(struct thump_keeper *keeper, struct thump_err *err)
{
	keeper->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	/* IN_ATTRIB: also when it gets another number of names. */
	if (keeper->watch_fd < 0 ||
	    inotify_add_watch(keeper->watch_fd, keeper->hello.path,
			      IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF) < 0)
		return thump_fail_errno(err, "watch %s", keeper->hello.path);
	return 0;
}

static void look_at_image(struct thump_keeper *keeper)
{
	char events[4096];

	while (read(keeper->watch_fd, events, sizeof(events)) > 0)
		continue;
	if (!image_is_there(keeper))
		stop(keeper);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void forget(struct thump_keeper *keeper, size_t index)
{
	thump_close_fd(&keeper->clients[index].fd);
	keeper->clients[index] = keeper->clients[--keeper->nr_clients];
}

/* With nobody to tell, the client stays on the list until its clone ends. */
static void leave(struct thump_keeper *keeper, size_t index)
{
	thump_close_fd(&keeper->clients[index].fd);
	if (!keeper->clients[index].clone)
		forget(keeper, index);
}

int thump_keeper_add_client(struct thump_keeper *keeper, int *fd, bool is_spare)
{
	struct thump_client *grown =
		reallocarray(keeper->clients, keeper->nr_clients + 1, sizeof(*keeper->clients));

	if (!grown)
		return -1;
	keeper->clients = grown;
	keeper->clients[keeper->nr_clients++] = (struct thump_client){
		.fd = thump_take_fd(fd),
		.is_spare = is_spare,
	};
	return 0;
}

static void accept_client(struct thump_keeper *keeper)
{
	auto_close int fd = accept4(keeper->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || !thump_peer_is_us(fd))
		return;
	/* What was not seen yet is seen now: nobody gets a clone of what is gone. */
	if (!image_is_there(keeper)) {
		stop(keeper);
		return;
	}
	thump_spares_describe(keeper->spares, keeper, &keeper->hello);
	if (send(fd, &keeper->hello, sizeof(keeper->hello), MSG_NOSIGNAL | MSG_DONTWAIT) ==
	    (ssize_t)sizeof(keeper->hello))
		(void)!thump_keeper_add_client(keeper, &fd, false);
}

static bool reply(int fd, const struct thump_clone_reply *answer)
{
	return send(fd, answer, sizeof(*answer), MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       (ssize_t)sizeof(*answer);
}

static void make_clone(struct thump_keeper *keeper, size_t index,
		       const struct thump_template_ask *ask, const int *fds, size_t nr_fds)
{
	struct thump_client *client = &keeper->clients[index];
	struct thump_clone_reply answer = { .error = ESHUTDOWN };
	struct thump_err ignored = THUMP_ERR_INIT;

	if (!keeper->stopping && thump_template_clone(keeper->control_fd, &ask->request, fds,
						      nr_fds, &answer, &ignored) < 0)
		stop(keeper);
	if (!answer.error) {
		client->clone = answer.pid;
		keeper->hello.nr_clones += !client->is_spare;
	}
	if (!reply(client->fd, &answer))
		leave(keeper, index);
}

/* Of none the client may still become that of a clone. */
static void give_spare(struct thump_keeper *keeper, size_t index, const int *fds, size_t nr_fds)
{
	struct thump_clone_reply answer = { .error = ENOENT };

	answer.pid = nr_fds == THUMP_NR_TAKING_FDS && !keeper->stopping
			     ? thump_spares_take(keeper->spares, keeper, fds)
			     : 0;
	if (answer.pid > 0) {
		answer.error = 0;
		keeper->hello.nr_clones++;
	}
	if (!reply(keeper->clients[index].fd, &answer))
		leave(keeper, index);
}

/* One clone for each client: what is told of its end must be clear. */
static void serve_client(struct thump_keeper *keeper, size_t index)
{
	const int fd = keeper->clients[index].fd;
	const struct thump_clone_reply stopped = { .error = 0 };
	struct thump_template_ask ask = { 0 };
	int fds[THUMP_NR_TAKING_FDS];
	size_t nr_fds = 0;
	const ssize_t got =
		thump_receive_fds(fd, &ask, sizeof(ask), fds, THUMP_ARRAY_SIZE(fds), &nr_fds);

	if (got == (ssize_t)sizeof(ask) && ask.what == THUMP_TEMPLATE_CLONE &&
	    !keeper->clients[index].clone) {
		make_clone(keeper, index, &ask, fds, nr_fds);
	} else if (got == (ssize_t)sizeof(ask) && ask.what == THUMP_TEMPLATE_SPARE) {
		give_spare(keeper, index, fds, nr_fds);
	} else if (got == (ssize_t)sizeof(ask) && ask.what == THUMP_TEMPLATE_STOP) {
		stop(keeper);
		(void)reply(fd, &stopped);
		leave(keeper, index);
	} else {
		leave(keeper, index);
	}
	for (size_t i = 0; i < nr_fds; i++)
		thump_close_fd(&fds[i]);
}

/* ---- children -------------------------------------------------------------------------------- */

static void clone_ended(struct thump_keeper *keeper, pid_t pid, int status)
{
	const struct thump_clone_end end = {
		.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
	};

	for (size_t i = 0; i < keeper->nr_clients; i++) {
		if (keeper->clients[i].clone != pid)
			continue;
		if (keeper->clients[i].fd >= 0)
			(void)send(keeper->clients[i].fd, &end, sizeof(end),
				   MSG_NOSIGNAL | MSG_DONTWAIT);
		forget(keeper, i);
		return;
	}
}

/* Bearers are among them. */
static void reap(struct thump_keeper *keeper)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == keeper->hello.template_pid) {
			thump_running_forget(&keeper->record, pid);
			keeper->hello.template_pid = 0;
			stop(keeper);
		} else if (!thump_spares_reap(keeper->spares, pid)) {
			clone_ended(keeper, pid, status);
		}
	}
}

static void drain_signals(struct thump_keeper *keeper)
{
	struct signalfd_siginfo info;

	while (read(keeper->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(keeper);
		else
			stop(keeper);
	}
}

static int open_signals(struct thump_keeper *keeper, struct thump_err *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return thump_fail_errno(err, "block signals");
	keeper->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return keeper->signal_fd < 0 ? thump_fail_errno(err, "signalfd") : 0;
}

/* ---- serving --------------------------------------------------------------------------------- */

enum { POLL_SIGNALS, POLL_LISTEN, POLL_WATCH, NR_OWN_POLLS };

static bool has_clones(const struct thump_keeper *keeper)
{
	for (size_t i = 0; i < keeper->nr_clients; i++)
		if (keeper->clients[i].clone)
			return true;
	return false;
}

/* Clients from the last on: whoever is forgotten leaves the place to one that was looked at. */
static void serve_all(struct thump_keeper *keeper, const struct pollfd *fds, size_t nr_clients)
{
	if (fds[POLL_SIGNALS].revents)
		drain_signals(keeper);
	/* Ends change the list: what has come is still there the next time. */
	if (fds[POLL_SIGNALS].revents)
		return;
	for (size_t i = nr_clients; i-- > 0;)
		if (fds[NR_OWN_POLLS + i].revents)
			serve_client(keeper, i);
	if (keeper->watch_fd >= 0 && fds[POLL_WATCH].revents)
		look_at_image(keeper);
	if (keeper->listen_fd >= 0 && fds[POLL_LISTEN].revents)
		accept_client(keeper);
}

static int serve_once(struct thump_keeper *keeper, struct thump_err *err)
{
	const size_t nr_clients = keeper->nr_clients,
		     nr_spares = thump_spares_count(keeper->spares);
	auto_free struct pollfd *fds = calloc(NR_OWN_POLLS + nr_clients + nr_spares, sizeof(*fds));

	if (!fds)
		return thump_fail_errno(err, "memory for %zu clients", nr_clients);
	thump_spares_poll(keeper->spares, fds + NR_OWN_POLLS + nr_clients);
	fds[POLL_SIGNALS] = (struct pollfd){ keeper->signal_fd, POLLIN, 0 };
	fds[POLL_LISTEN] = (struct pollfd){ keeper->listen_fd, POLLIN, 0 };
	fds[POLL_WATCH] = (struct pollfd){ keeper->watch_fd, POLLIN, 0 };
	for (size_t i = 0; i < nr_clients; i++)
		fds[NR_OWN_POLLS + i] = (struct pollfd){ keeper->clients[i].fd, POLLIN, 0 };
	/* EINTR and ENOMEM pass. */
	if (poll(fds, NR_OWN_POLLS + nr_clients + nr_spares,
		 thump_spares_timeout_ms(keeper->spares)) > 0) {
		thump_spares_hear(keeper->spares, keeper, fds + NR_OWN_POLLS + nr_clients,
				  nr_spares);
		serve_all(keeper, fds, nr_clients);
	}
	thump_spares_tend(keeper->spares, keeper);
	return 0;
}

int thump_keeper_serve(struct thump_keeper *keeper, struct thump_err *err)
{
	if (open_signals(keeper, err) < 0 || watch_image(keeper, err) < 0)
		return -1;
	/* It may have changed, or ended, before we looked. */
	if (!image_is_there(keeper))
		stop(keeper);
	reap(keeper);
	while (!keeper->stopping || has_clones(keeper))
		if (serve_once(keeper, err) < 0)
			return -1;
	return 0;
}
