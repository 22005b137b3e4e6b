/* SPDX-License-Identifier: Apache-2.0 */
/* Core notes whose layout is that of x86-64: struct elf_prstatus and elf_prpsinfo of
 * <sys/procfs.h>. */
#include <endian.h>
#include <string.h>
#include <sys/procfs.h>

#include "image/arch/core.h"
#include "image/encode.h"
#include "image/format.h"
#include "image/note.h"

_Static_assert(sizeof(struct elf_prstatus) == 336, "docs/FORMAT.md: NT_PRSTATUS");
_Static_assert(offsetof(struct elf_prstatus, pr_pid) == 32, "docs/FORMAT.md: NT_PRSTATUS");
_Static_assert(offsetof(struct elf_prstatus, pr_reg) == 112, "docs/FORMAT.md: NT_PRSTATUS");
_Static_assert(sizeof(struct elf_prpsinfo) == 136, "docs/FORMAT.md: NT_PRPSINFO");
_Static_assert(sizeof(struct user_regs_struct) == 27 * sizeof(uint64_t), "docs/FORMAT.md: pr_reg");

#define FPREGSET_SIZE 512u
/* Software-reserved bytes of the FXSAVE area: not registers; zero in NT_FPREGSET. */
#define FPREGSET_REGISTERS 464u

static uint64_t pending_set(const struct thump_siginfo *infos, uint32_t count)
{
	uint64_t set = 0;

	for (uint32_t i = 0; i < count; i++) {
		int32_t signo;

		memcpy(&signo, infos[i].bytes, sizeof(signo)); /* si_signo is first */
		if (signo >= 1 && signo <= THUMP_NR_SIGNALS)
			set |= (uint64_t)1 << (signo - 1);
	}
	return set;
}

static void put_ids(struct thump_buf *buf, const struct thump_process *process, int32_t tid)
{
	thump_buf_put_u32(buf, (uint32_t)tid);
	thump_buf_put_u32(buf, (uint32_t)process->ppid);
	thump_buf_put_u32(buf, (uint32_t)process->pgid);
	thump_buf_put_u32(buf, (uint32_t)process->sid);
}

void image_encode_prstatus(struct thump_buf *buf, const struct thump_process *process,
			   const struct thump_task *task)
{
	static const unsigned char no_times[4 * 16]; /* user, system, and those of children */
	struct image_note_mark mark = image_note_begin(buf, "CORE", NT_PRSTATUS);
	uint64_t regs[sizeof(task->regs) / sizeof(uint64_t)];

	thump_buf_put_u64(buf, 0); /* si_signo, si_code */
	thump_buf_put_u64(buf, 0); /* si_errno, pr_cursig, padding */
	thump_buf_put_u64(buf, pending_set(task->pending, task->nr_pending));
	thump_buf_put_u64(buf, task->sigmask);
	put_ids(buf, process, task->tid);
	thump_buf_put(buf, no_times, sizeof(no_times));
	memcpy(regs, &task->regs, sizeof(regs));
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(regs); i++)
		thump_buf_put_u64(buf, regs[i]);
	thump_buf_put_u64(buf, 1); /* pr_fpvalid, padding */
	image_note_end(buf, mark);
}

void image_encode_prpsinfo(struct thump_buf *buf, const struct thump_process *process,
			   const struct thump_task *leader)
{
	struct image_note_mark mark = image_note_begin(buf, "CORE", NT_PRPSINFO);
	char arguments[80] = "";

	if (process->cmdline)
		strncpy(arguments, process->cmdline, sizeof(arguments) - 1);
	thump_buf_put_u8(buf, leader->state == THUMP_TASK_STOPPED ? 4 : 1);
	thump_buf_put_u8(buf, leader->state == THUMP_TASK_STOPPED ? 'T' : 'S');
	thump_buf_put_u8(buf, 0); /* no zombie */
	thump_buf_put_u8(buf, (uint8_t)leader->nice);
	thump_buf_put_u32(buf, 0); /* padding */
	thump_buf_put_u64(buf, 0); /* pr_flag */
	thump_buf_put_u32(buf, process->creds.uid);
	thump_buf_put_u32(buf, process->creds.gid);
	put_ids(buf, process, process->pid);
	thump_buf_put(buf, leader->comm, sizeof(leader->comm));
	thump_buf_put(buf, arguments, sizeof(arguments));
	image_note_end(buf, mark);
}

void image_encode_fpregset(struct thump_buf *buf, const struct thump_task *task)
{
	struct image_note_mark mark = image_note_begin(buf, "CORE", NT_FPREGSET);
	unsigned char area[FPREGSET_SIZE] = { 0 };

	memcpy(area, task->xstate, FPREGSET_REGISTERS);
	thump_buf_put(buf, area, sizeof(area));
	image_note_end(buf, mark);
}

int image_decode_prstatus(struct thump_reader *r, struct thump_task *task)
{
	const unsigned char *note = thump_get_bytes(r, sizeof(struct elf_prstatus));
	uint64_t regs[sizeof(task->regs) / sizeof(uint64_t)];
	uint32_t tid;

	if (!note)
		return -1;
	memcpy(&tid, note + offsetof(struct elf_prstatus, pr_pid), sizeof(tid));
	memcpy(regs, note + offsetof(struct elf_prstatus, pr_reg), sizeof(regs));
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(regs); i++)
		regs[i] = le64toh(regs[i]);
	task->tid = (int32_t)le32toh(tid);
	memcpy(&task->regs, regs, sizeof(regs));
	return 0;
}
