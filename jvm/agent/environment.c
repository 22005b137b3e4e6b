/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment of a restored process, for C and for Java: java.lang.ProcessEnvironment reads it
 * once, into a HashMap. That is changed by its fields, without any code of Java: the first such
 * code of a restored process costs a hundred page faults. What is not that simple HashMap does
 * itself: texts that are not ASCII, buckets that are trees, a map without a node.
 *
 * Application threads are suspended, perhaps in the middle of reading this map. A node is complete
 * before it is put in, and modCount stays as it is, so that nobody who goes through the map fails.
 */
#include <stdlib.h>
#include <string.h>

#include "lookup.h"

extern char **environ;

#define DATA	 "java/lang/ProcessEnvironment$ExternalData"
#define VARIABLE "java/lang/ProcessEnvironment$Variable"
#define VALUE	 "java/lang/ProcessEnvironment$Value"
#define NODE	 "java/util/HashMap$Node"

/* A longer name HashMap looks for itself. */
enum { NAME_MOST = 256 };

struct environment {
	jobject map; /* NULL: not initialised, or not as we know it; all of these are global */
	jclass variable, value, node;
	jmethodID variable_of, value_of, put, remove;
	jfieldID table, size;		  /* of the map */
	jfieldID hash, key, mapped, next; /* of its nodes */
	jfieldID text, bytes;		  /* of variables and values */
	bool knows_hash;
	uint32_t empty_hash; /* of no bytes */
};

/* ---- hashes -------------------------------------------------------------------------------- */

/* Of a variable, and what HashMap makes of it. */
static jint hash_of(const jbyte *name, size_t len, uint32_t empty_hash)
{
	uint32_t hash = empty_hash;

	for (size_t i = 0; i < len; i++)
		hash = 31 * hash + (uint32_t)(int32_t)name[i];
	return (jint)(hash ^ hash >> 16);
}

/* Some node of the map, or NULL. */
static jobject any_node(const struct environment *found, JNIEnv *jni)
{
	jobjectArray table = (*jni)->GetObjectField(jni, found->map, found->table);
	jsize length = table ? (*jni)->GetArrayLength(jni, table) : 0;
	jobject node = NULL;

	for (jsize i = 0; i < length && !node; i++)
		node = (*jni)->GetObjectArrayElement(jni, table, i);
	return node;
}

/* The name of a node, unless it is longer than that; -1. */
static jsize name_of(const struct environment *known, JNIEnv *jni, jobject node,
		     jbyte name_ret[NAME_MOST])
{
	jobject key = (*jni)->GetObjectField(jni, node, known->key);
	jbyteArray array = key ? (*jni)->GetObjectField(jni, key, known->bytes) : NULL;
	jsize len = array ? (*jni)->GetArrayLength(jni, array) : -1;

	if (len < 0 || len > NAME_MOST)
		return -1;
	(*jni)->GetByteArrayRegion(jni, array, 0, len, name_ret);
	return len;
}

/* JDKs differ in where they begin: some with 0, others with 1 (Arrays.hashCode()). */
static void learn_hash(struct environment *found, JNIEnv *jni)
{
	jbyte name[NAME_MOST];
	jobject node = any_node(found, jni);
	jsize len = node ? name_of(found, jni, node, name) : -1;

	for (uint32_t empty = 0; empty <= 1 && len >= 0 && !found->knows_hash; empty++) {
		found->empty_hash = empty;
		found->knows_hash = hash_of(name, (size_t)len, empty) ==
				    (*jni)->GetIntField(jni, node, found->hash);
	}
}

/* ---- finding ------------------------------------------------------------------------------- */

static bool find_methods(struct environment *found, JNIEnv *jni, jclass hash_map)
{
	found->variable_of =
		(*jni)->GetStaticMethodID(jni, found->variable, "valueOf", "([B)L" VARIABLE ";");
	if (!lookup_failed(jni))
		found->value_of =
			(*jni)->GetStaticMethodID(jni, found->value, "valueOf", "([B)L" VALUE ";");
	if (lookup_failed(jni) || !found->value_of)
		return false;
	found->put = (*jni)->GetMethodID(
		jni, hash_map, "put", "(Ljava/lang/Object;Ljava/lang/Object;)Ljava/lang/Object;");
	found->remove = (*jni)->GetMethodID(jni, hash_map, "remove",
					    "(Ljava/lang/Object;)Ljava/lang/Object;");
	return !lookup_failed(jni);
}

static bool find_all_fields(struct environment *found, JNIEnv *jni, jclass hash_map, jclass data)
{
	const struct lookup_field of_map[] = { { &found->table, "table", "[L" NODE ";" },
					       { &found->size, "size", "I" } };
	const struct lookup_field of_node[] = { { &found->hash, "hash", "I" },
						{ &found->key, "key", "Ljava/lang/Object;" },
						{ &found->mapped, "value", "Ljava/lang/Object;" },
						{ &found->next, "next", "L" NODE ";" } };
	const struct lookup_field of_data[] = { { &found->text, "str", "Ljava/lang/String;" },
						{ &found->bytes, "bytes", "[B" } };

	return lookup_fields(jni, hash_map, of_map, sizeof(of_map) / sizeof(of_map[0])) &&
	       lookup_fields(jni, found->node, of_node, sizeof(of_node) / sizeof(of_node[0])) &&
	       lookup_fields(jni, data, of_data, sizeof(of_data) / sizeof(of_data[0]));
}

/* What it finds are local references. */
static bool find_all(struct environment *found, struct agent *agent, JNIEnv *jni)
{
	jclass class = lookup_initialised(agent, jni, "java/lang/ProcessEnvironment");
	jclass hash_map = lookup_initialised(agent, jni, "java/util/HashMap");
	jclass data;

	found->map = class && hash_map
			     ? lookup_static(jni, class, "theEnvironment", "Ljava/util/HashMap;")
			     : NULL;
	if (!found->map)
		return false;
	found->node = (*jni)->FindClass(jni, NODE);
	found->variable = found->node ? (*jni)->FindClass(jni, VARIABLE) : NULL;
	found->value = found->variable ? (*jni)->FindClass(jni, VALUE) : NULL;
	data = found->value ? (*jni)->FindClass(jni, DATA) : NULL;
	return !lookup_failed(jni) && find_methods(found, jni, hash_map) &&
	       find_all_fields(found, jni, hash_map, data);
}

static void forget(struct environment *known, JNIEnv *jni)
{
	jobject const all[] = { known->map, known->variable, known->value, known->node };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		(*jni)->DeleteGlobalRef(jni, all[i]);
	*known = (struct environment){ 0 };
}

void environment_find(struct agent *agent, JNIEnv *jni)
{
	struct environment found = { 0 };

	if (!agent->environment)
		agent->environment = calloc(1, sizeof(*agent->environment));
	if (!agent->environment || (*jni)->PushLocalFrame(jni, 16) != JNI_OK)
		return;
	forget(agent->environment, jni);
	if (find_all(&found, agent, jni)) {
		learn_hash(&found, jni);
		found.map = lookup_keep(jni, found.map);
		found.variable = lookup_keep(jni, found.variable);
		found.value = lookup_keep(jni, found.value);
		found.node = lookup_keep(jni, found.node);
		*agent->environment = found;
	}
	(void)(*jni)->PopLocalFrame(jni, NULL);
}

/* ---- by fields ----------------------------------------------------------------------------- */

/* Where a name is in the map, or would be: `node` NULL. */
struct place {
	jobjectArray table;
	jsize index;
	jint hash;
	jobject first, before, node; /* of the bucket; before `node` */
};

static bool is_ascii(const char *text)
{
	while ((signed char)*text > 0)
		text++;
	return *text == '\0';
}

static bool has_name(const struct environment *known, JNIEnv *jni, jobject node, const char *name)
{
	jbyte bytes[NAME_MOST];
	jsize len = name_of(known, jni, node, bytes);

	return len >= 0 && (size_t)len == strlen(name) && memcmp(bytes, name, (size_t)len) == 0;
}

static bool find_place(const struct environment *known, JNIEnv *jni, const char *name,
		       struct place *place_ret)
{
	struct place place = {
		.table = (*jni)->GetObjectField(jni, known->map, known->table),
		.hash = hash_of((const jbyte *)name, strlen(name), known->empty_hash),
	};

	if (!place.table)
		return false;
	place.index = place.hash & ((*jni)->GetArrayLength(jni, place.table) - 1);
	place.first = (*jni)->GetObjectArrayElement(jni, place.table, place.index);
	for (place.node = place.first; place.node && !has_name(known, jni, place.node, name);
	     place.node = (*jni)->GetObjectField(jni, place.node, known->next))
		place.before = place.node;
	*place_ret = place;
	return true;
}

static bool is_tree(const struct environment *known, JNIEnv *jni, const struct place *place)
{
	return place->first &&
	       !(*jni)->IsSameObject(jni, (*jni)->GetObjectClass(jni, place->first), known->node);
}

static void add_to_size(const struct environment *known, JNIEnv *jni, jint more)
{
	(*jni)->SetIntField(jni, known->map, known->size,
			    (*jni)->GetIntField(jni, known->map, known->size) + more);
}

static jbyteArray bytes_of(JNIEnv *jni, const char *text)
{
	const jsize len = (jsize)strlen(text);
	jbyteArray array = (*jni)->NewByteArray(jni, len);

	if (array)
		(*jni)->SetByteArrayRegion(jni, array, 0, len, (const jbyte *)text);
	return array;
}

/* A variable or a value; every charset of a locale has ASCII in it. */
static jobject make_data(const struct environment *known, JNIEnv *jni, jclass class,
			 const char *text)
{
	jbyteArray bytes = bytes_of(jni, text);
	jstring string = bytes ? (*jni)->NewStringUTF(jni, text) : NULL;
	jobject data = string ? (*jni)->AllocObject(jni, class) : NULL;

	if (!data)
		return NULL;
	(*jni)->SetObjectField(jni, data, known->text, string);
	(*jni)->SetObjectField(jni, data, known->bytes, bytes);
	return data;
}

/* First in its bucket. A table that is fuller than HashMap would have it is made bigger by HashMap
 * when it puts in the next one. */
static bool insert(const struct environment *known, JNIEnv *jni, const struct place *place,
		   const char *name, jobject value)
{
	jobject key = make_data(known, jni, known->variable, name);
	jobject node = key ? (*jni)->AllocObject(jni, known->node) : NULL;

	if (!node)
		return false;
	(*jni)->SetIntField(jni, node, known->hash, place->hash);
	(*jni)->SetObjectField(jni, node, known->key, key);
	(*jni)->SetObjectField(jni, node, known->mapped, value);
	(*jni)->SetObjectField(jni, node, known->next, place->first);
	(*jni)->SetObjectArrayElement(jni, place->table, place->index, node);
	add_to_size(known, jni, 1);
	return true;
}

static void take_out(const struct environment *known, JNIEnv *jni, const struct place *place)
{
	jobject next = (*jni)->GetObjectField(jni, place->node, known->next);

	if (place->before)
		(*jni)->SetObjectField(jni, place->before, known->next, next);
	else
		(*jni)->SetObjectArrayElement(jni, place->table, place->index, next);
	add_to_size(known, jni, -1);
}

/* False: nothing was done. */
static bool set_by_fields(const struct environment *known, JNIEnv *jni, const char *name,
			  const char *text)
{
	struct place place;
	jobject value;

	if (!known->knows_hash || strlen(name) > NAME_MOST || !is_ascii(name) ||
	    (text && !is_ascii(text)) || !find_place(known, jni, name, &place))
		return false;
	if (!place.node && !text)
		return true;
	/* Of a tree only values can be changed. */
	if ((!place.node || !text) && is_tree(known, jni, &place))
		return false;
	if (!text) {
		take_out(known, jni, &place);
		return true;
	}
	value = make_data(known, jni, known->value, text);
	if (value && place.node)
		(*jni)->SetObjectField(jni, place.node, known->mapped, value);
	return value && (place.node || insert(known, jni, &place, name, value));
}

/* ---- by methods ---------------------------------------------------------------------------- */

static jobject call_value_of(JNIEnv *jni, jclass class, jmethodID method, const char *text)
{
	jbyteArray bytes = bytes_of(jni, text);

	return bytes ? (*jni)->CallStaticObjectMethod(jni, class, method, bytes) : NULL;
}

static void set_by_methods(const struct environment *known, JNIEnv *jni, const char *name,
			   const char *text)
{
	jobject key = call_value_of(jni, known->variable, known->variable_of, name);
	jobject value =
		key && text ? call_value_of(jni, known->value, known->value_of, text) : NULL;

	if (value)
		(void)(*jni)->CallObjectMethod(jni, known->map, known->put, key, value);
	else if (key && !text)
		(void)(*jni)->CallObjectMethod(jni, known->map, known->remove, key);
}

/* ---- changing ------------------------------------------------------------------------------ */

/* text NULL: the variable goes. */
static void set_variable(const struct agent *agent, JNIEnv *jni, const char *name, const char *text)
{
	const struct environment *known = agent->environment;

	(void)(text ? setenv(name, text, 1) : unsetenv(name));
	if (!known || !known->map || (*jni)->PushLocalFrame(jni, 32) != JNI_OK)
		return;
	if (!set_by_fields(known, jni, name, text) && !lookup_failed(jni))
		set_by_methods(known, jni, name, text);
	(void)lookup_failed(jni);
	(void)(*jni)->PopLocalFrame(jni, NULL);
}

/* "NAME=VALUE", when that is not what it is already. */
static void apply_variable(const struct agent *agent, JNIEnv *jni, char *text)
{
	char *equals = strchr(text, '=');
	const char *now;

	if (!equals || equals == text)
		return;
	*equals = '\0';
	now = getenv(text);
	if (!now || strcmp(now, equals + 1) != 0)
		set_variable(agent, jni, text, equals + 1);
	*equals = '=';
}

static bool is_given(const struct agent *agent, const char *name, size_t len)
{
	const char *at = NULL;

	while ((at = parameters_next(agent, THUMP_COORD_SAY_ENVIRONMENT, at)))
		if (strncmp(at, name, len) == 0 && at[len] == '=')
			return true;
	return false;
}

static void drop_others(const struct agent *agent, JNIEnv *jni)
{
	for (size_t i = 0; environ && environ[i];) {
		size_t len = strcspn(environ[i], "=");
		char *name;

		if (is_given(agent, environ[i], len) || !(name = strndup(environ[i], len))) {
			i++;
			continue;
		}
		set_variable(agent, jni, name, NULL);
		free(name);
	}
}

void environment_apply(struct agent *agent, JNIEnv *jni)
{
	const char *mode = parameters_next(agent, THUMP_COORD_SAY_OPTION "environment=", NULL);
	char *at = NULL;

	if (mode && strcmp(mode, "replace") == 0)
		drop_others(agent, jni);
	while ((at = parameters_next(agent, THUMP_COORD_SAY_ENVIRONMENT, at)))
		apply_variable(agent, jni, at);
}
