/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A platform MXBean on a stock JDK: the list behind ManagementFactory.getPlatformMXBean is a map in
 * ManagementFactory.PlatformMBeanFinder; JNI may put a component into it (same names on 17 to 25).
 */
#include "agent.h"

#define FINDER "java/lang/management/ManagementFactory$PlatformMBeanFinder"

/* The module object of a class, through Class.getModule(). */
static jobject module_of(JNIEnv *jni, jclass class)
{
	jclass class_class = (*jni)->GetObjectClass(jni, class);
	jmethodID get_module =
		(*jni)->GetMethodID(jni, class_class, "getModule", "()Ljava/lang/Module;");

	return get_module ? (*jni)->CallObjectMethod(jni, class, get_module) : NULL;
}

jclass management_define(struct agent *agent, JNIEnv *jni)
{
	jclass factory = (*jni)->FindClass(jni, "java/lang/management/ManagementFactory");
	jobject management = factory ? module_of(jni, factory) : NULL;
	jobject ours = module_of(jni, agent->coordinator);
	jvmtiError error;
	jclass bean;

	if (!management || !ours)
		return NULL;
	error = (*agent->jvmti)
			->AddModuleExports(agent->jvmti, management, "sun.management.spi", ours);
	if (error != JVMTI_ERROR_NONE) {
		agent_complain(agent, "AddModuleExports", error);
		return NULL;
	}
	bean = classes_define_named(jni, "thump/jvm/ManagementComponent$Bean");
	if (!bean)
		return NULL;
	return classes_define_named(jni, "thump/jvm/ManagementComponent");
}

void management_add(JNIEnv *jni, jstring object_name, jobject component)
{
	jclass finder = (*jni)->FindClass(jni, FINDER);
	jclass map_class = finder ? (*jni)->FindClass(jni, "java/util/Map") : NULL;
	jfieldID field;
	jmethodID put;
	jobject map;

	if (!map_class)
		return;
	field = (*jni)->GetStaticFieldID(jni, finder, "componentMap", "Ljava/util/Map;");
	if (!field)
		return;
	map = (*jni)->GetStaticObjectField(jni, finder, field);
	put = (*jni)->GetMethodID(jni, map_class, "put",
				  "(Ljava/lang/Object;Ljava/lang/Object;)Ljava/lang/Object;");
	if (map && put)
		(void)(*jni)->CallObjectMethod(jni, map, put, object_name, component);
}
