/* SPDX-License-Identifier: Apache-2.0 */
#include "drive.h"

#include "../lib/tied_fork.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void die(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

struct victim start_victim(const char *path, bool savable)
{
	struct victim victim = { 0 };
	int in[2], out[2];
	char line[64];

	if (pipe(in) != 0 || pipe(out) != 0)
		die("pipe");
	victim.pid = tied_fork();
	if (victim.pid == 0) {
		(void)dup2(in[0], STDIN_FILENO);
		(void)dup2(out[1], STDOUT_FILENO);
		(void)close(in[1]);
		(void)close(out[0]);
		(void)execl(path, path, savable ? "savable" : NULL, (char *)NULL);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	victim.orders = fdopen(in[1], "w");
	victim.answers = fdopen(out[0], "r");
	if (!victim.orders || !victim.answers || !fgets(line, sizeof(line), victim.answers))
		die("start the victim");
	return victim;
}

int ask(struct victim *victim, char order)
{
	char line[64];
	int errors, eintrs, fresh;

	(void)fputc(order, victim->orders);
	(void)fflush(victim->orders);
	if (!fgets(line, sizeof(line), victim->answers) ||
	    sscanf(line, "%d errors %d eintrs %d late", &errors, &eintrs, &victim->late) != 3 ||
	    errors != 0)
		return -1;
	fresh = eintrs - victim->eintrs;
	victim->eintrs = eintrs;
	return fresh;
}
