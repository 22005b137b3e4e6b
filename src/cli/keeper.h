/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper of a template: its parent, and that of its clones; see rebuild/template.h. */
#ifndef THUMP_CLI_KEEPER_H
#define THUMP_CLI_KEEPER_H

#include "cli/templates.h"

struct thump_spares;

/* Whoever has connected, and the clone that was made for it. */
struct thump_client {
	int fd;	       /* -1: it has gone */
	pid_t clone;   /* 0: none */
	bool is_spare; /* it makes one, which nobody has taken yet */
};

struct thump_keeper {
	const char *name;
	struct thump_template_hello hello; /* all but nr_clones is set by the caller */
	int listen_fd;			   /* from thump_keeper_listen() */
	int control_fd;			   /* of the template */
	int signal_fd, watch_fd;
	struct thump_spares *spares; /* NULL: none are wanted */
	struct thump_client *clients;
	size_t nr_clients;
	char *record; /* of what runs (cli/running.h), or NULL; owned */
	bool stopping;
};

void thump_keeper_init(struct thump_keeper *keeper, const char *name);
void thump_keeper_deinit(struct thump_keeper *keeper);

/* Takes the name; REFUSED when there is such a template already. */
THUMP_MUST_CHECK int thump_keeper_listen(struct thump_keeper *keeper, struct thump_err *err);

/*
 * Serves until it is told to stop (SIGTERM, SIGINT, SIGHUP, or THUMP_TEMPLATE_STOP), the image is
 * another one, or the template has ended; then for as long as clones run, whose parent it is.
 */
THUMP_MUST_CHECK int thump_keeper_serve(struct thump_keeper *keeper, struct thump_err *err);

/* A client like all that connect; takes fd. */
THUMP_MUST_CHECK int thump_keeper_add_client(struct thump_keeper *keeper, int *fd, bool is_spare);

#endif
