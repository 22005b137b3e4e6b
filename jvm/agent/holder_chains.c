/* SPDX-License-Identifier: Apache-2.0 */
/* Chains through the graph of holders, and their names. */
#include "holders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the nearest chain ----------------------------------------------------------------- */

/* A breadth-first walk from an object towards the roots. */
struct walk {
	struct holder_graph *graph;
	uint32_t start;
	uint32_t *queue;
	uint32_t *via; /* [node] the edge that led there + 1; 0: not seen */
};

static bool walk_init(struct walk *walk, struct holder_graph *graph, uint32_t start)
{
	*walk = (struct walk){
		.graph = graph,
		.start = start,
		.queue = calloc(graph->nodes.count, sizeof(*walk->queue)),
		.via = calloc(graph->nodes.count, sizeof(*walk->via)),
	};
	return walk->queue && walk->via;
}

static void walk_deinit(struct walk *walk)
{
	free(walk->queue);
	free(walk->via);
}

static bool is_goal(struct holder_graph *graph, uint32_t node, bool want_root)
{
	const struct holder_node *at = &holder_nodes(graph)[node];

	return want_root ? at->root != 0 : holder_is_application(graph, at->class_index);
}

/* The nearest goal, or UINT32_MAX. */
static uint32_t walk_on(struct walk *walk, bool want_root)
{
	size_t head = 0, tail = 0;

	walk->queue[tail++] = walk->start;
	while (head < tail) {
		uint32_t node = walk->queue[head++];

		if (is_goal(walk->graph, node, want_root))
			return node;
		for (uint32_t i = holder_nodes(walk->graph)[node].first_edge; i != 0;) {
			const struct holder_edge *edge = &holder_edges(walk->graph)[i - 1];

			if (!walk->via[edge->from] && edge->from != walk->start) {
				walk->via[edge->from] = i;
				walk->queue[tail++] = edge->from;
			}
			i = edge->next;
		}
	}
	return UINT32_MAX;
}

static void append_path(const struct walk *walk, uint32_t goal, struct holder_chain *chain)
{
	size_t len = 0;

	for (uint32_t node = goal; node != walk->start; len++)
		node = holder_edges(walk->graph)[walk->via[node] - 1].to;
	if (chain->count + len > sizeof(chain->edges) / sizeof(chain->edges[0]))
		return;
	chain->count += len;
	chain->node = goal;
	for (size_t at = chain->count; goal != walk->start;) {
		chain->edges[--at] = walk->via[goal] - 1;
		goal = holder_edges(walk->graph)[walk->via[goal] - 1].to;
	}
}

/* Extends the chain from where it ends; false when there is no goal. */
static bool extend(struct holder_graph *graph, struct holder_chain *chain, bool want_root)
{
	uint32_t goal = UINT32_MAX;
	struct walk walk;

	if (walk_init(&walk, graph, chain->node))
		goal = walk_on(&walk, want_root);
	if (goal != UINT32_MAX)
		append_path(&walk, goal, chain);
	walk_deinit(&walk);
	return goal != UINT32_MAX;
}

bool holder_chain_find(struct holder_graph *graph, uint32_t node, struct holder_chain *chain_ret)
{
	struct holder_chain chain = { .node = node };
	bool rooted;

	chain.application = extend(graph, &chain, false);
	rooted = extend(graph, &chain, true);
	*chain_ret = chain;
	return chain.application && rooted;
}

/* ---- names ----------------------------------------------------------------------------- */

static void add_text(char *text, size_t size, const char *more)
{
	size_t used = strlen(text);

	(void)snprintf(text + used, size - used, "%s", more);
}

/* "Ljava/net/Socket;" -> "Socket", and all of it for an application's class: "com.acme.Pool". */
static void add_class_name(struct holder_graph *graph, jclass class, bool whole, char *text,
			   size_t size)
{
	char *signature = NULL, *name, *slash;

	if ((*graph->jvmti)->GetClassSignature(graph->jvmti, class, &signature, NULL) !=
	    JVMTI_ERROR_NONE)
		return;
	name = signature[0] == 'L' ? signature + 1 : signature;
	name[strcspn(name, ";")] = '\0';
	slash = strrchr(name, '/');
	if (!whole && slash)
		name = slash + 1;
	for (char *at = name; *at; at++)
		if (*at == '/')
			*at = '.';
	add_text(text, size, name);
	(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)signature);
}

static void add_class(struct holder_graph *graph, uint32_t class_index, char *text, size_t size)
{
	add_class_name(graph, graph->classes[class_index],
		       holder_is_application(graph, class_index), text, size);
}

static jint nr_fields(struct holder_graph *graph, jclass class)
{
	jfieldID *fields = NULL;
	jint count = 0;

	if ((*graph->jvmti)->GetClassFields(graph->jvmti, class, &count, &fields) !=
	    JVMTI_ERROR_NONE)
		return 0;
	(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)fields);
	return count;
}

/* Interfaces whose fields have been counted. */
struct interfaces {
	jclass list[256];
	size_t count;
	jint nr_fields;
};

static void count_interfaces(struct holder_graph *graph, jclass class, struct interfaces *seen)
{
	jclass *direct = NULL;
	jint count = 0;

	if ((*graph->jvmti)->GetImplementedInterfaces(graph->jvmti, class, &count, &direct) !=
	    JVMTI_ERROR_NONE)
		return;
	for (jint i = 0; i < count; i++) {
		bool known = seen->count == sizeof(seen->list) / sizeof(seen->list[0]);

		for (size_t k = 0; k < seen->count && !known; k++)
			known = (*graph->jni)->IsSameObject(graph->jni, seen->list[k], direct[i]);
		if (known) {
			(*graph->jni)->DeleteLocalRef(graph->jni, direct[i]);
			continue;
		}
		seen->list[seen->count++] = direct[i];
		seen->nr_fields += nr_fields(graph, direct[i]);
		count_interfaces(graph, direct[i], seen);
	}
	(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)direct);
}

/* The field, if it is one of the class's own, which come after those of its superclasses. */
static bool add_own_field(struct holder_graph *graph, jclass class, jint *index, char *text,
			  size_t size)
{
	jfieldID *fields = NULL;
	char *name = NULL;
	jint count = 0;
	bool found = false;

	if ((*graph->jvmti)->GetClassFields(graph->jvmti, class, &count, &fields) !=
	    JVMTI_ERROR_NONE)
		return false;
	if (*index >= 0 && *index < count &&
	    (*graph->jvmti)->GetFieldName(graph->jvmti, class, fields[*index], &name, NULL, NULL) ==
		    JVMTI_ERROR_NONE) {
		add_text(text, size, ".");
		add_text(text, size, name);
		(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)name);
		found = true;
	}
	*index -= count;
	(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)fields);
	return found;
}

/* Superclasses first, as JVMTI counts. */
static bool add_field_of(struct holder_graph *graph, jclass class, jint *index, char *text,
			 size_t size)
{
	jclass super = (*graph->jni)->GetSuperclass(graph->jni, class);
	bool found = super && add_field_of(graph, super, index, text, size);

	(*graph->jni)->DeleteLocalRef(graph->jni, super);
	return found || add_own_field(graph, class, index, text, size);
}

static void count_all_interfaces(struct holder_graph *graph, jclass class, struct interfaces *seen)
{
	jclass super = (*graph->jni)->GetSuperclass(graph->jni, class);

	count_interfaces(graph, class, seen);
	if (super)
		count_all_interfaces(graph, super, seen);
	(*graph->jni)->DeleteLocalRef(graph->jni, super);
}

/*
 * JVMTI numbers fields through all interfaces first, then from Object down to the class
 * (jvmtiHeapReferenceInfoField).
 */
static void add_field(struct holder_graph *graph, uint32_t class_index, jint field_index,
		      char *text, size_t size)
{
	jclass class = graph->classes[class_index];
	struct interfaces seen = { .count = 0 };

	add_class(graph, class_index, text, size);
	count_all_interfaces(graph, class, &seen);
	field_index -= seen.nr_fields;
	(void)add_field_of(graph, class, &field_index, text, size);
	for (size_t i = 0; i < seen.count; i++)
		(*graph->jni)->DeleteLocalRef(graph->jni, seen.list[i]);
}

static void add_method(struct holder_graph *graph, jmethodID method, char *text, size_t size)
{
	jclass class = NULL;
	char *name = NULL;

	if ((*graph->jvmti)->GetMethodDeclaringClass(graph->jvmti, method, &class) !=
	    JVMTI_ERROR_NONE)
		return;
	add_class_name(graph, class, true, text, size);
	(*graph->jni)->DeleteLocalRef(graph->jni, class);
	if ((*graph->jvmti)->GetMethodName(graph->jvmti, method, &name, NULL, NULL) !=
	    JVMTI_ERROR_NONE)
		return;
	add_text(text, size, ".");
	add_text(text, size, name);
	(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)name);
}

static void add_thread_name(struct holder_graph *graph, jthread thread, char *text, size_t size)
{
	jvmtiThreadInfo info;

	if ((*graph->jvmti)->GetThreadInfo(graph->jvmti, thread, &info) != JVMTI_ERROR_NONE)
		return;
	add_text(text, size, " of thread \"");
	add_text(text, size, info.name);
	add_text(text, size, "\"");
	(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)info.name);
	(*graph->jni)->DeleteLocalRef(graph->jni, info.thread_group);
	(*graph->jni)->DeleteLocalRef(graph->jni, info.context_class_loader);
}

/* The thread with this Thread.getId(); virtual threads are not found. */
static void add_thread(struct holder_graph *graph, jlong id, char *text, size_t size)
{
	JNIEnv *jni = graph->jni;
	jclass class = (*jni)->FindClass(jni, "java/lang/Thread");
	jmethodID get_id = class ? (*jni)->GetMethodID(jni, class, "getId", "()J") : NULL;
	jthread *threads = NULL;
	jint count = 0;

	if (get_id)
		(void)(*graph->jvmti)->GetAllThreads(graph->jvmti, &count, &threads);
	for (jint i = 0; i < count; i++) {
		if ((*jni)->CallLongMethod(jni, threads[i], get_id) == id)
			add_thread_name(graph, threads[i], text, size);
		(*jni)->DeleteLocalRef(jni, threads[i]);
	}
	if (threads)
		(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)threads);
	(*jni)->DeleteLocalRef(jni, class);
}

/* The node is a thread: its object is had by its tag. */
static void add_thread_node(struct holder_graph *graph, uint32_t node, char *text, size_t size)
{
	jlong tag = holder_tag_of(node);
	jobject *objects = NULL;
	jint count = 0;

	if ((*graph->jvmti)->GetObjectsWithTags(graph->jvmti, 1, &tag, &count, &objects, NULL) !=
	    JVMTI_ERROR_NONE)
		return;
	for (jint i = 0; i < count; i++) {
		add_thread_name(graph, objects[i], text, size);
		(*graph->jni)->DeleteLocalRef(graph->jni, objects[i]);
	}
	(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)objects);
}

static void add_root(struct holder_graph *graph, const struct holder_root *root, char *text,
		     size_t size)
{
	if (root->kind == JVMTI_HEAP_REFERENCE_THREAD) {
		add_thread_node(graph, root->node, text, size);
		return;
	}
	add_text(text, size, *text ? " <- " : "");
	if (root->kind == JVMTI_HEAP_REFERENCE_STATIC_FIELD) {
		add_text(text, size, "static ");
		add_field(graph, root->class_index, root->field_index, text, size);
	} else if (root->kind == JVMTI_HEAP_REFERENCE_STACK_LOCAL) {
		add_text(text, size, "local variable in ");
		add_method(graph, root->method, text, size);
		add_thread(graph, root->thread_id, text, size);
	} else {
		add_text(text, size, "native code (a JNI global reference)");
	}
}

/* Elements of arrays are left out: what has the array says it all. */
char *holder_chain_text(struct holder_graph *graph, const struct holder_chain *chain)
{
	uint32_t root = holder_nodes(graph)[chain->node].root;
	char text[2048] = "";

	for (size_t i = 0; i < chain->count; i++) {
		const struct holder_edge *edge = &holder_edges(graph)[chain->edges[i]];

		if (edge->field_index < 0)
			continue;
		add_text(text, sizeof(text), *text ? " <- " : "");
		add_field(graph, holder_nodes(graph)[edge->from].class_index, edge->field_index,
			  text, sizeof(text));
	}
	if (root)
		add_root(graph, &holder_roots(graph)[root - 1], text, sizeof(text));
	return *text ? strdup(text) : NULL;
}
