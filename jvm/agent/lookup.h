/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for what another JDK may not have: what is missing is NULL, or false, and no exception is
 * pending.
 */
#ifndef THUMP_JVM_LOOKUP_H
#define THUMP_JVM_LOOKUP_H

#include "agent.h"

/* Whether an exception was pending. */
bool lookup_failed(JNIEnv *jni);
/* Only a class that is initialised: FindClass does not do that. */
jclass lookup_initialised(struct agent *agent, JNIEnv *jni, const char *name);
/* The object in a static field. */
jobject lookup_static(JNIEnv *jni, jclass class, const char *name, const char *type);

struct lookup_field {
	jfieldID *id_ret;
	const char *name, *type;
};

/* Whether the class has all of them. */
bool lookup_fields(JNIEnv *jni, jclass class, const struct lookup_field *fields, size_t count);

/* A global reference; of NULL it is NULL. */
jobject lookup_keep(JNIEnv *jni, jobject object);

#endif
