/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_JVM_WORDS_H
#define THUMP_JVM_WORDS_H

#include <stdio.h>

#include "agent.h"

/* Memory of JVMTI's, or NULL. */
void words_release(jvmtiEnv *jvmti, void *memory);

/* java.lang.Object */
void words_class(jvmtiEnv *jvmti, FILE *out, jclass class);
/* java.lang.Object@1234 */
void words_object(struct agent *agent, JNIEnv *jni, FILE *out, jobject object);
/* "name" */
void words_thread(struct agent *agent, JNIEnv *jni, FILE *out, jthread thread);
/* On lines of its own: the thread, and one for each frame. */
void words_stack(struct agent *agent, JNIEnv *jni, FILE *out, jthread thread);

/* Each line end, and the spaces after it, becomes one space: one problem is one line. */
void words_fold(char *text);

#endif
