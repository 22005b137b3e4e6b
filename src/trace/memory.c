/* SPDX-License-Identifier: Apache-2.0 */
/* No ptrace(2) in here: these functions may be called from any thread. */
#include "trace/target.h"

#include <sys/uio.h>

#include "base/fd.h"

int thump_target_read(const struct thump_target *target, struct remote_addr addr, void *buf,
		      size_t size_bytes, struct thump_err *err)
{
	const struct iovec local = { .iov_base = buf, .iov_len = size_bytes };
	const struct iovec remote = { .iov_base = (void *)addr.addr, .iov_len = size_bytes };
	ssize_t got = process_vm_readv(target->pid, &local, 1, &remote, 1, 0);
	size_t done = got > 0 ? (size_t)got : 0;

	if (done == size_bytes)
		return 0;
	/* FOLL_FORCE: reads PROT_NONE pages, too. */
	if (thump_pread_full(target->mem_fd, (char *)buf + done, size_bytes - done,
			     addr.addr + done) != 0)
		return thump_fail_errno(err, "read %zu bytes at 0x%lx of process %d", size_bytes,
					addr.addr, target->pid);
	return 0;
}

int thump_target_write(const struct thump_target *target, struct remote_addr addr, const void *buf,
		       size_t size_bytes, struct thump_err *err)
{
	if (thump_pwrite_full(target->mem_fd, buf, size_bytes, addr.addr) != 0)
		return thump_fail_errno(err, "write %zu bytes at 0x%lx of process %d", size_bytes,
					addr.addr, target->pid);
	return 0;
}
