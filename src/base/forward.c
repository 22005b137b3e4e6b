/* SPDX-License-Identifier: Apache-2.0 */
#include "base/forward.h"

#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static void send_signal(pid_t pid, int pidfd, int signo, siginfo_t *info)
{
	if (pidfd >= 0)
		(void)pidfd_send_signal(pidfd, signo, info, 0);
	else if (info)
		(void)syscall(SYS_rt_sigqueueinfo, pid, signo, info);
	else
		(void)kill(pid, signo);
}

void thump_forward_signal(const struct signalfd_siginfo *from, pid_t pid, int pidfd)
{
	siginfo_t info;

	/* rt_sigqueueinfo(2): of all that can come from a process, only SI_QUEUE may be passed on
	 * with another's pid and uid in it. */
	if (from->ssi_code != SI_QUEUE) {
		send_signal(pid, pidfd, (int)from->ssi_signo, NULL);
		return;
	}
	memset(&info, 0, sizeof(info));
	info.si_signo = (int)from->ssi_signo;
	info.si_code = SI_QUEUE;
	info.si_pid = (pid_t)from->ssi_pid;
	info.si_uid = from->ssi_uid;
	info.si_value.sival_ptr = (void *)(uintptr_t)from->ssi_ptr;
	send_signal(pid, pidfd, (int)from->ssi_signo, &info);
}
