/* SPDX-License-Identifier: Apache-2.0 */
#include "base/note.h"

#include <fcntl.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/fd.h"

/* The value of a line "Name:\tvalue" of /proc/PID/status, or NULL. */
static const char *status_value(const char *status, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = status; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1;
	}
	return NULL;
}

static bool mask_has(const char *status, const char *name, int signo)
{
	const char *value = status_value(status, name);

	return value && (strtoull(value, NULL, 16) >> (signo - 1) & 1);
}

static int slurp_status(pid_t pid, char **status_ret)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return thump_slurp(AT_FDCWD, path, status_ret, NULL);
}

/* Its executable is called thump, also after an update replaced the file ("thump (deleted)"). */
static bool is_thump(pid_t pid)
{
	char path[64], exe[4096];
	const char *base;
	ssize_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	len = readlink(path, exe, sizeof(exe) - 1);
	if (len < 0)
		return false;
	exe[len] = '\0';
	base = strrchr(exe, '/');
	base = base ? base + 1 : exe;
	return strcmp(base, "thump") == 0 || strcmp(base, "thump (deleted)") == 0;
}

int thump_note_find(pid_t pid, struct thump_supervisor *supervisor_ret, struct thump_err *err)
{
	auto_free char *status = NULL, *parent_status = NULL;
	const char *ppid_text;
	pid_t ppid;

	if (slurp_status(pid, &status) < 0)
		return thump_fail_errno(err, "read /proc/%d/status", (int)pid);
	*supervisor_ret = (struct thump_supervisor){ 0 };
	ppid_text = status_value(status, "PPid");
	ppid = ppid_text ? (pid_t)strtol(ppid_text, NULL, 10) : 0;
	/* A parent that is gone, hidden or somebody else's is simply no supervisor. */
	if (ppid <= 0 || !is_thump(ppid) || slurp_status(ppid, &parent_status) < 0)
		return 0;
	if (!mask_has(parent_status, "SigBlk", THUMP_NOTE_SIGNAL))
		return 0;
	supervisor_ret->pid = ppid;
	supervisor_ret->wants_continue = mask_has(parent_status, "SigIgn", THUMP_NOTE_SIGNAL);
	return 0;
}

bool thump_is_note(const struct signalfd_siginfo *info, int value)
{
	return (int)info->ssi_signo == THUMP_NOTE_SIGNAL && info->ssi_code == SI_QUEUE &&
	       info->ssi_int == value;
}

int thump_note_send(const struct thump_supervisor *supervisor, struct thump_err *err)
{
	const union sigval value = { .sival_int = THUMP_NOTE_CHECKPOINTED };

	if (supervisor->pid <= 0)
		return 0;
	if (sigqueue(supervisor->pid, THUMP_NOTE_SIGNAL, value) < 0 && errno != ESRCH)
		return thump_fail_errno(err, "tell thump, process %d", (int)supervisor->pid);
	return 0;
}
