/* SPDX-License-Identifier: Apache-2.0 */
/* What a JNI critical region costs, for Critical.java. */
#include <jni.h>

#include <stdint.h>
#include <time.h>

/* As javac -h declares it. */
JNIEXPORT jlong JNICALL Java_Critical_enter(JNIEnv *jni, jclass self, jbyteArray array, jint pairs);

static jlong now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (jlong)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

JNIEXPORT jlong JNICALL Java_Critical_enter(JNIEnv *jni, jclass self, jbyteArray array, jint pairs)
{
	jlong start_ns = now_ns();

	(void)self;
	for (jint i = 0; i < pairs; i++) {
		void *elements = (*jni)->GetPrimitiveArrayCritical(jni, array, NULL);

		(*jni)->ReleasePrimitiveArrayCritical(jni, array, elements, JNI_ABORT);
	}
	return now_ns() - start_ns;
}
