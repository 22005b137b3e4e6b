/* SPDX-License-Identifier: Apache-2.0 */
/* Native methods of tests/jvm/java/Newcomer.java, in a library that is loaded after the restore: it
 * gives memory back to the kernel, in the one of two ways or the other. */
#include <jni.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE ((uintptr_t)4096)

JNIEXPORT jboolean JNICALL Java_Newcomer_giveBack(JNIEnv *jni, jclass self, jlong block, jint size,
						  jbyte content, jboolean lazily);

static bool has_only(uintptr_t start, uintptr_t end, char content)
{
	for (uintptr_t at = start; at < end; at++)
		if (*(const char *)at != content)
			return false;
	return true;
}

/* All whole pages of the block but the first and the last read as zeros then, the rest is kept. */
JNIEXPORT jboolean JNICALL Java_Newcomer_giveBack(JNIEnv *jni, jclass self, jlong block, jint size,
						  jbyte content, jboolean lazily)
{
	uintptr_t start = (uintptr_t)block, end = start + (uintptr_t)size;
	uintptr_t first = (start / PAGE + 2) * PAGE, last = (end / PAGE - 1) * PAGE;

	(void)jni;
	(void)self;
	if (!has_only(start, end, (char)content) ||
	    madvise((void *)first, last - first, lazily ? MADV_FREE : MADV_DONTNEED) != 0)
		return false;
	return has_only(start, first, (char)content) && has_only(last, end, (char)content) &&
	       (lazily || has_only(first, last, 0));
}
