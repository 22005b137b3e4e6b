/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A safepoint for as long as we like, on any HotSpot JVM: FollowReferences walks the heap in a VM
 * operation, and its callback runs on the VM thread in the middle of it. The callback does its work
 * at the first reference and ends the walk.
 *
 * The walk begins at the roots. Were it to begin at an object of ours, JDK 17 would look at every
 * object of the heap at its end, to undo marks that it had not made (ObjectMarker::done), and a
 * restored process would have to read all of its heap.
 */
#include "agent.h"

struct safepoint_call {
	void (*run)(void *arg);
	void *arg;
	bool done;
};

static jint JNICALL on_reference(jvmtiHeapReferenceKind kind, const jvmtiHeapReferenceInfo *info,
				 jlong class_tag, jlong referrer_class_tag, jlong size,
				 jlong *tag_ptr, jlong *referrer_tag_ptr, jint length,
				 void *user_data)
{
	struct safepoint_call *call = user_data;

	(void)kind;
	(void)info;
	(void)class_tag;
	(void)referrer_class_tag;
	(void)size;
	(void)tag_ptr;
	(void)referrer_tag_ptr;
	(void)length;
	if (!call->done) {
		call->done = true;
		call->run(call->arg);
	}
	return JVMTI_VISIT_ABORT;
}

bool safepoint_run(struct agent *agent, void (*run)(void *arg), void *arg)
{
	const jvmtiHeapCallbacks callbacks = { .heap_reference_callback = on_reference };
	struct safepoint_call call = { .run = run, .arg = arg };

	(void)(*agent->jvmti)->FollowReferences(agent->jvmti, 0, NULL, NULL, &callbacks, &call);
	return call.done;
}
