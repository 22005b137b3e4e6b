/* SPDX-License-Identifier: Apache-2.0 */
/* Native methods of tests/jvm/java/Newcomer.java, in a library that is there before the checkpoint:
 * it has memory of malloc(3), and could not give it back. */
#include <jni.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

JNIEXPORT jlong JNICALL Java_Newcomer_keep(JNIEnv *jni, jclass self, jint size, jbyte content);

JNIEXPORT jlong JNICALL Java_Newcomer_keep(JNIEnv *jni, jclass self, jint size, jbyte content)
{
	void *block = malloc((size_t)size);

	(void)jni;
	(void)self;
	if (block)
		memset(block, content, (size_t)size);
	return (jlong)(intptr_t)block;
}
