/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/arch/syscalls.h"

#include <stddef.h>
#include <sys/syscall.h>

#include "base/types.h"

/* signal(7) has most of them: calls that a stop can interrupt. */
static const struct {
	uint32_t nr;
	const char *name;
} waiting[] = {
#define CALL(name)                                                                                 \
	{                                                                                          \
		SYS_##name, #name                                                                  \
	}
	CALL(accept),	     CALL(accept4),	    CALL(clock_nanosleep),
	CALL(connect),	     CALL(epoll_pwait),	    CALL(epoll_pwait2),
	CALL(epoll_wait),    CALL(fcntl),	    CALL(flock),
	CALL(futex),	     CALL(futex_waitv),	    CALL(io_getevents),
	CALL(io_pgetevents), CALL(io_uring_enter),  CALL(ioctl),
	CALL(mq_timedsend),  CALL(mq_timedreceive), CALL(msgrcv),
	CALL(msgsnd),	     CALL(nanosleep),	    CALL(open),
	CALL(openat),	     CALL(pause),	    CALL(poll),
	CALL(ppoll),	     CALL(pread64),	    CALL(preadv),
	CALL(preadv2),	     CALL(pselect6),	    CALL(pwrite64),
	CALL(pwritev),	     CALL(pwritev2),	    CALL(read),
	CALL(readv),	     CALL(recvfrom),	    CALL(recvmmsg),
	CALL(recvmsg),	     CALL(restart_syscall), CALL(rt_sigsuspend),
	CALL(select),	     CALL(semop),	    CALL(semtimedop),
	CALL(sendfile),	     CALL(sendmmsg),	    CALL(sendmsg),
	CALL(sendto),	     CALL(splice),	    CALL(rt_sigtimedwait),
	CALL(wait4),	     CALL(waitid),	    CALL(write),
	CALL(writev),
#undef CALL
};

const char *thump_syscall_name(uint32_t nr)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(waiting); i++)
		if (waiting[i].nr == nr)
			return waiting[i].name;
	return NULL;
}
