/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HotSpot remembers the tid of a thread in one place, its OSThread, which also holds the pthread_t;
 * signals, priorities and CPU times go through one of the two. Every thread of the JVM's has an
 * OSThread, also those that no list leads to: the VM thread, workers of collectors. The pid it asks
 * for each time (os::current_process_id()), but in Java: see changes.c.
 */
#include "agent.h"
#include "vmstructs.h"

int32_t tids_from_self(const struct agent *agent)
{
	struct vm_structs vm;
	size_t tid, self;

	vm_open(&vm, agent);
	tid = vm_offset(&vm, "OSThread", "_thread_id");
	self = vm_offset(&vm, "OSThread", "_pthread_id");
	return vm.missing ? 0 : (int32_t)tid - (int32_t)self;
}
