/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"

bool lookup_failed(JNIEnv *jni)
{
	if (!(*jni)->ExceptionCheck(jni))
		return false;
	(*jni)->ExceptionClear(jni);
	return true;
}

jclass lookup_initialised(struct agent *agent, JNIEnv *jni, const char *name)
{
	jclass class = (*jni)->FindClass(jni, name);
	jint status = 0;

	if (lookup_failed(jni) ||
	    (*agent->jvmti)->GetClassStatus(agent->jvmti, class, &status) != JVMTI_ERROR_NONE ||
	    !(status & JVMTI_CLASS_STATUS_INITIALIZED))
		return NULL;
	return class;
}

jobject lookup_static(JNIEnv *jni, jclass class, const char *name, const char *type)
{
	jfieldID field = (*jni)->GetStaticFieldID(jni, class, name, type);

	if (lookup_failed(jni))
		return NULL;
	return (*jni)->GetStaticObjectField(jni, class, field);
}

bool lookup_fields(JNIEnv *jni, jclass class, const struct lookup_field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		*fields[i].id_ret = (*jni)->GetFieldID(jni, class, fields[i].name, fields[i].type);
		if (lookup_failed(jni))
			return false;
	}
	return true;
}

jobject lookup_keep(JNIEnv *jni, jobject object)
{
	return object ? (*jni)->NewGlobalRef(jni, object) : NULL;
}
