/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZGC and Shenandoah give free memory of the heap back to the kernel by themselves, a while after a
 * collection and beside the program. What they have given back is not in the image: so it is worth
 * waiting for. How much they have committed is Runtime.totalMemory().
 *
 * Shenandoah begins at once after a collection that was asked for. ZGC waits for ZUncommitDelay,
 * five minutes unless the user says else: only a short one is waited for.
 */
#include <time.h>

#include "vmstructs.h"

#define NS_PER_MS UINT64_C(1000000)

enum {
	PAUSE_MS = 10,
	/* Without any change for so long there is nothing more to come. */
	SHENANDOAH_QUIET_MS = 500,
	/* ZGC looks once in its delay for what was free for as long, so it takes up to two of them;
	 * and some time on a busy machine. */
	ZGC_DELAYS = 2,
	ZGC_MORE_QUIET_MS = 2000,
	ZGC_LONGEST_DELAY_S = 5,
	LIMIT_MS = 15000,
	/* Not worth any time. */
	SMALL_BYTES = 4 << 20,
};

/* Of one JVM. */
struct waiting {
	uint64_t quiet_ms; /* 0: nothing is given back that could be waited for */
	uint64_t least_bytes;
	jobject runtime;
	jmethodID total, free;
};

static void look_at_flags(const struct agent *agent, struct waiting *waiting)
{
	struct vm_structs vm;
	uint64_t delay_s;

	vm_open(&vm, agent);
	if (vm_flag(&vm, "UseShenandoahGC") && vm_flag(&vm, "ShenandoahUncommit"))
		waiting->quiet_ms = SHENANDOAH_QUIET_MS;
	delay_s = vm_flag_word(&vm, "ZUncommitDelay");
	if (vm_flag(&vm, "UseZGC") && vm_flag(&vm, "ZUncommit") && delay_s <= ZGC_LONGEST_DELAY_S)
		waiting->quiet_ms = ZGC_DELAYS * delay_s * 1000 + ZGC_MORE_QUIET_MS;
	waiting->least_bytes = vm_flag_word(&vm, "MinHeapSize");
	if (vm.missing)
		waiting->quiet_ms = 0;
}

static bool find_runtime(JNIEnv *jni, struct waiting *waiting)
{
	jclass class = (*jni)->FindClass(jni, "java/lang/Runtime");
	jmethodID get =
		class ? (*jni)->GetStaticMethodID(jni, class, "getRuntime", "()Ljava/lang/Runtime;")
		      : NULL;

	if (get)
		waiting->runtime = (*jni)->CallStaticObjectMethod(jni, class, get);
	if (!waiting->runtime)
		return false;
	waiting->total = (*jni)->GetMethodID(jni, class, "totalMemory", "()J");
	waiting->free = (*jni)->GetMethodID(jni, class, "freeMemory", "()J");
	return waiting->total && waiting->free;
}

static uint64_t now_ms(void)
{
	return agent_now_ns(CLOCK_MONOTONIC) / NS_PER_MS;
}

static void await(JNIEnv *jni, const struct waiting *waiting)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * (long)NS_PER_MS };
	uint64_t start = now_ms(), changed = start, now = start;
	uint64_t committed = UINT64_MAX;

	while (now - changed < waiting->quiet_ms && now - start < LIMIT_MS) {
		uint64_t total =
			(uint64_t)(*jni)->CallLongMethod(jni, waiting->runtime, waiting->total);
		jlong free = (*jni)->CallLongMethod(jni, waiting->runtime, waiting->free);

		if (free < SMALL_BYTES || total <= waiting->least_bytes)
			return;
		if (total < committed)
			changed = now;
		committed = total;
		(void)nanosleep(&pause, NULL);
		now = now_ms();
	}
}

void uncommit_await(const struct agent *agent, JNIEnv *jni)
{
	struct waiting waiting = { 0 };

	look_at_flags(agent, &waiting);
	if (waiting.quiet_ms && (*jni)->PushLocalFrame(jni, 8) == JNI_OK) {
		if (find_runtime(jni, &waiting))
			await(jni, &waiting);
		(void)(*jni)->PopLocalFrame(jni, NULL);
	}
}
