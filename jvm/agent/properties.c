/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map inside the system properties. A suspended thread may be in a lock of it, or of the
 * Properties object: it is read without locks, and replaced as a whole.
 */
#include "agent.h"

/* The Properties object, with *field_ret its field `map`; NULL with an exception pending. */
static jobject find_properties(JNIEnv *jni, jfieldID *field_ret)
{
	jclass system = (*jni)->FindClass(jni, "java/lang/System");
	jfieldID props =
		system ? (*jni)->GetStaticFieldID(jni, system, "props", "Ljava/util/Properties;")
		       : NULL;
	jclass properties = props ? (*jni)->FindClass(jni, "java/util/Properties") : NULL;

	*field_ret = properties ? (*jni)->GetFieldID(jni, properties, "map",
						     "Ljava/util/concurrent/ConcurrentHashMap;")
				: NULL;
	return *field_ret ? (*jni)->GetStaticObjectField(jni, system, props) : NULL;
}

jobject properties_get(JNIEnv *jni, jclass self)
{
	jfieldID map;
	jobject properties = find_properties(jni, &map);

	(void)self;
	return properties ? (*jni)->GetObjectField(jni, properties, map) : NULL;
}

void properties_set(JNIEnv *jni, jclass self, jobject map)
{
	jfieldID field;
	jobject properties = find_properties(jni, &field);

	(void)self;
	if (properties)
		(*jni)->SetObjectField(jni, properties, field, map);
}

/* The JDK writes the zone that it has found into the property; what was there at the start is kept
 * in jdk.internal.misc.VM. */
jboolean properties_time_zone_given(JNIEnv *jni, jclass self)
{
	jclass vm = (*jni)->FindClass(jni, "jdk/internal/misc/VM");
	jmethodID get = vm ? (*jni)->GetStaticMethodID(jni, vm, "getSavedProperty",
						       "(Ljava/lang/String;)Ljava/lang/String;")
			   : NULL;
	jstring key = get ? (*jni)->NewStringUTF(jni, "user.timezone") : NULL;
	jstring value = key ? (*jni)->CallStaticObjectMethod(jni, vm, get, key) : NULL;

	(void)self;
	if ((*jni)->ExceptionCheck(jni)) {
		(*jni)->ExceptionClear(jni);
		return JNI_TRUE;
	}
	return value && (*jni)->GetStringLength(jni, value) > 0 ? JNI_TRUE : JNI_FALSE;
}
