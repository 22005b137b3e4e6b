/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph is found against the direction of references, one level in each pass over the heap:
 * only objects that lead to a descriptor get a tag. Going forwards from the roots would tag all of
 * the heap, which costs more memory than a container may have left.
 *
 * What java.lang.ref.Reference objects refer to is not followed: a Cleaner's entry does not keep a
 * connection open.
 */
#include "holders.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	MAX_NODES = 100000,
	MAX_OBJECTS_PER_FD = 64, /* with one number: all but one are garbage */
	BUDGET_MS = 8000,	 /* no further pass begins after this */
};

enum class_trait {
	TRAIT_REFERENCE = 1, /* java.lang.ref.Reference and its subclasses */
	TRAIT_APPLICATION = 2,
	TRAIT_LOADER_KNOWN = 4,
};

/* Tags: a class has its index above this bit, a node its number + 1; no object is both. */
#define CLASS_TAG ((jlong)1 << 40)

jlong holder_tag_of(uint32_t node)
{
	return (jlong)node + 1;
}

static bool is_node(jlong tag)
{
	return tag > 0 && tag < CLASS_TAG;
}

struct holder_node *holder_nodes(const struct holder_graph *graph)
{
	return graph->nodes.items;
}

struct holder_edge *holder_edges(const struct holder_graph *graph)
{
	return graph->edges.items;
}

struct holder_root *holder_roots(const struct holder_graph *graph)
{
	return graph->roots.items;
}

static bool append(struct holder_graph *graph, struct holder_list *list, const void *item,
		   size_t size)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 256;
		void *bigger = realloc(list->items, room * size);

		if (!bigger) {
			graph->out_of_memory = true;
			return false;
		}
		list->items = bigger;
		list->room = room;
	}
	memcpy((char *)list->items + list->count++ * size, item, size);
	return true;
}

/* The tag for a new node, 0 without memory. */
static jlong add_node(struct holder_graph *graph, jlong class_tag, uint32_t level)
{
	const struct holder_node node = {
		.class_index = (uint32_t)(class_tag & ~CLASS_TAG),
		.level = level,
	};

	if (!append(graph, &graph->nodes, &node, sizeof(node)))
		return 0;
	return holder_tag_of((uint32_t)graph->nodes.count - 1);
}

static bool is_reference(const struct holder_graph *graph, jlong class_tag)
{
	return (class_tag & CLASS_TAG) && (class_tag & ~CLASS_TAG) < graph->nr_classes &&
	       (graph->class_traits[class_tag & ~CLASS_TAG] & TRAIT_REFERENCE);
}

/* ---- passes: callbacks on the VM thread, at a safepoint; no JNI ------------------------- */

struct descriptor_search {
	struct holder_graph *graph;
	const int *fds;
	size_t count;
	uint32_t *fd_of_node; /* [node] index into fds */
	size_t room;
	uint32_t nr_descriptors; /* so many nodes are FileDescriptors */
};

static bool has_descriptor(const struct descriptor_search *search, size_t index)
{
	for (uint32_t node = 0; node < search->nr_descriptors; node++)
		if (search->fd_of_node[node] == index)
			return true;
	return false;
}

/* FileDescriptor has one int field: the number. */
static jint JNICALL on_descriptor(jvmtiHeapReferenceKind kind, const jvmtiHeapReferenceInfo *info,
				  jlong class_tag, jlong *tag, jvalue value,
				  jvmtiPrimitiveType type, void *user_data)
{
	struct descriptor_search *search = user_data;

	(void)info;
	if (kind != JVMTI_HEAP_REFERENCE_FIELD || type != JVMTI_PRIMITIVE_TYPE_INT || *tag != 0 ||
	    value.i < 0)
		return 0;
	for (size_t i = 0; i < search->count; i++) {
		if (search->fds[i] != value.i || search->graph->nodes.count == search->room)
			continue;
		*tag = add_node(search->graph, class_tag, 0);
		if (*tag)
			search->fd_of_node[search->graph->nodes.count - 1] = (uint32_t)i;
		break;
	}
	return 0;
}

static void add_root(struct holder_graph *graph, jvmtiHeapReferenceKind kind,
		     const jvmtiHeapReferenceInfo *info, jlong tag, jlong referrer_tag)
{
	struct holder_node *node = &holder_nodes(graph)[tag - 1];
	struct holder_root root = { .node = (uint32_t)(tag - 1), .kind = kind };

	if (kind == JVMTI_HEAP_REFERENCE_STATIC_FIELD) {
		if (!(referrer_tag & CLASS_TAG))
			return;
		root.class_index = (uint32_t)(referrer_tag & ~CLASS_TAG);
		root.field_index = info->field.index;
	} else if (kind == JVMTI_HEAP_REFERENCE_STACK_LOCAL) {
		root.thread_id = info->stack_local.thread_id;
		root.method = info->stack_local.method;
	}
	if (append(graph, &graph->roots, &root, sizeof(root)) &&
	    (node->root == 0 || kind == JVMTI_HEAP_REFERENCE_STATIC_FIELD))
		node->root = (uint32_t)graph->roots.count;
}

static void add_edge(struct holder_graph *graph, jvmtiHeapReferenceKind kind,
		     const jvmtiHeapReferenceInfo *info, jlong tag, jlong referrer_class_tag,
		     jlong *referrer_tag)
{
	struct holder_edge edge = {
		.to = (uint32_t)(tag - 1),
		.field_index = kind == JVMTI_HEAP_REFERENCE_FIELD ? info->field.index : -1,
	};

	if (is_reference(graph, referrer_class_tag))
		return;
	if (*referrer_tag == 0)
		*referrer_tag = add_node(graph, referrer_class_tag, graph->level + 1);
	if (!is_node(*referrer_tag))
		return;
	edge.from = (uint32_t)(*referrer_tag - 1);
	edge.next = holder_nodes(graph)[edge.to].first_edge;
	if (append(graph, &graph->edges, &edge, sizeof(edge)))
		holder_nodes(graph)[edge.to].first_edge = (uint32_t)graph->edges.count;
}

static jint JNICALL on_reference(jvmtiHeapReferenceKind kind, const jvmtiHeapReferenceInfo *info,
				 jlong class_tag, jlong referrer_class_tag, jlong size, jlong *tag,
				 jlong *referrer_tag, jint length, void *user_data)
{
	struct holder_graph *graph = user_data;
	jlong this_tag = *tag;

	(void)class_tag;
	(void)size;
	(void)length;
	if (!is_node(this_tag) || holder_nodes(graph)[this_tag - 1].level != graph->level)
		return JVMTI_VISIT_OBJECTS;
	if (graph->out_of_memory || graph->nodes.count >= MAX_NODES)
		return JVMTI_VISIT_ABORT;
	/* An if-chain: the heap knows more kinds of references than can hold such an object. */
	if (kind == JVMTI_HEAP_REFERENCE_FIELD || kind == JVMTI_HEAP_REFERENCE_ARRAY_ELEMENT)
		add_edge(graph, kind, info, this_tag, referrer_class_tag, referrer_tag);
	else if (kind == JVMTI_HEAP_REFERENCE_STATIC_FIELD)
		add_root(graph, kind, info, this_tag, *referrer_tag);
	else if (kind == JVMTI_HEAP_REFERENCE_STACK_LOCAL || kind == JVMTI_HEAP_REFERENCE_THREAD ||
		 kind == JVMTI_HEAP_REFERENCE_JNI_GLOBAL)
		add_root(graph, kind, info, this_tag, 0);
	return JVMTI_VISIT_OBJECTS;
}

static bool pass(struct holder_graph *graph)
{
	const jvmtiHeapCallbacks callbacks = { .heap_reference_callback = on_reference };

	return (*graph->jvmti)->FollowReferences(graph->jvmti, 0, NULL, NULL, &callbacks, graph) ==
	       JVMTI_ERROR_NONE;
}

/* ---- classes --------------------------------------------------------------------------- */

static bool tag_classes(struct holder_graph *graph)
{
	JNIEnv *jni = graph->jni;
	jclass reference = (*jni)->FindClass(jni, "java/lang/ref/Reference");

	if (!reference ||
	    (*graph->jvmti)->GetLoadedClasses(graph->jvmti, &graph->nr_classes, &graph->classes) !=
		    JVMTI_ERROR_NONE)
		return false;
	graph->class_traits = calloc((size_t)graph->nr_classes + 1, 1);
	if (!graph->class_traits)
		return false;
	for (jint i = 0; i < graph->nr_classes; i++) {
		if ((*graph->jvmti)->SetTag(graph->jvmti, graph->classes[i], CLASS_TAG | i) !=
		    JVMTI_ERROR_NONE)
			return false;
		if ((*jni)->IsAssignableFrom(jni, graph->classes[i], reference))
			graph->class_traits[i] |= TRAIT_REFERENCE;
	}
	(*jni)->DeleteLocalRef(jni, reference);
	return true;
}

static bool is_platform_loader(JNIEnv *jni, jobject loader)
{
	jclass class = (*jni)->FindClass(jni, "java/lang/ClassLoader");
	jmethodID method = class ? (*jni)->GetStaticMethodID(jni, class, "getPlatformClassLoader",
							     "()Ljava/lang/ClassLoader;")
				 : NULL;
	jobject platform = method ? (*jni)->CallStaticObjectMethod(jni, class, method) : NULL;
	bool is_it = platform && (*jni)->IsSameObject(jni, platform, loader);

	if ((*jni)->ExceptionCheck(jni))
		(*jni)->ExceptionClear(jni);
	(*jni)->DeleteLocalRef(jni, platform);
	(*jni)->DeleteLocalRef(jni, class);
	return is_it;
}

bool holder_is_application(struct holder_graph *graph, uint32_t class_index)
{
	unsigned char *traits = &graph->class_traits[class_index];
	jobject loader = NULL;

	if (*traits & TRAIT_LOADER_KNOWN)
		return (*traits & TRAIT_APPLICATION) != 0;
	*traits |= TRAIT_LOADER_KNOWN;
	if ((*graph->jvmti)->GetClassLoader(graph->jvmti, graph->classes[class_index], &loader) ==
		    JVMTI_ERROR_NONE &&
	    loader && !is_platform_loader(graph->jni, loader))
		*traits |= TRAIT_APPLICATION;
	(*graph->jni)->DeleteLocalRef(graph->jni, loader);
	return (*traits & TRAIT_APPLICATION) != 0;
}

/* ---- all of it ------------------------------------------------------------------------- */

static bool find_descriptors(struct descriptor_search *search)
{
	const jvmtiHeapCallbacks callbacks = { .primitive_field_callback = on_descriptor };
	struct holder_graph *graph = search->graph;
	jclass class = (*graph->jni)->FindClass(graph->jni, "java/io/FileDescriptor");
	jvmtiError error;

	if (!class)
		return false;
	error = (*graph->jvmti)->IterateThroughHeap(graph->jvmti, 0, class, &callbacks, search);
	(*graph->jni)->DeleteLocalRef(graph->jni, class);
	return error == JVMTI_ERROR_NONE;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The best chain that can be told so far; true when it has all that is wanted. */
static bool find_chain(struct descriptor_search *search, size_t index, struct holder_chain *chain)
{
	struct holder_graph *graph = search->graph;
	bool found = false;

	for (uint32_t node = 0; node < search->nr_descriptors && !found; node++)
		if (search->fd_of_node[node] == index)
			found = holder_chain_find(graph, node, chain);
	return found;
}

static bool all_found(struct descriptor_search *search)
{
	for (size_t i = 0; i < search->count; i++) {
		struct holder_chain chain;

		if (has_descriptor(search, i) && !find_chain(search, i, &chain))
			return false;
	}
	return true;
}

static void explore(struct descriptor_search *search)
{
	struct holder_graph *graph = search->graph;
	uint64_t end_ms = now_ms() + BUDGET_MS;
	size_t nodes_before;

	do {
		nodes_before = graph->nodes.count;
		if (!pass(graph))
			return;
		graph->level++;
	} while (!graph->out_of_memory && graph->nodes.count > nodes_before &&
		 graph->nodes.count < MAX_NODES && graph->level < HOLDER_MAX_LEVELS &&
		 now_ms() < end_ms && !all_found(search));
}

static void tell(struct descriptor_search *search, char **chains_ret)
{
	for (size_t i = 0; i < search->count; i++) {
		struct holder_chain chain = { 0 };

		if (search->fds[i] < 0)
			continue;
		if (!has_descriptor(search, i)) {
			chains_ret[i] = strdup(HOLDERS_UNKNOWN);
			continue;
		}
		(void)find_chain(search, i, &chain);
		chains_ret[i] = holder_chain_text(search->graph, &chain);
	}
}

/* An environment of its own, which takes all its tags with it in the end. */
static jvmtiEnv *open_environment(struct agent *agent)
{
	const jvmtiCapabilities capabilities = { .can_tag_objects = 1 };
	jvmtiEnv *jvmti = NULL;

	if ((*agent->vm)->GetEnv(agent->vm, (void **)&jvmti, JVMTI_VERSION_9) != JNI_OK)
		return NULL;
	if ((*jvmti)->AddCapabilities(jvmti, &capabilities) == JVMTI_ERROR_NONE)
		return jvmti;
	(void)(*jvmti)->DisposeEnvironment(jvmti);
	return NULL;
}

static void close_graph(struct holder_graph *graph)
{
	for (jint i = 0; graph->classes && i < graph->nr_classes; i++)
		(*graph->jni)->DeleteLocalRef(graph->jni, graph->classes[i]);
	if (graph->classes)
		(void)(*graph->jvmti)->Deallocate(graph->jvmti, (unsigned char *)graph->classes);
	(void)(*graph->jvmti)->DisposeEnvironment(graph->jvmti);
	free(graph->class_traits);
	free(graph->nodes.items);
	free(graph->edges.items);
	free(graph->roots.items);
}

void holders_find(struct agent *agent, JNIEnv *jni, const int *fds, size_t count, char **chains_ret)
{
	struct holder_graph graph = { .jvmti = open_environment(agent), .jni = jni };
	struct descriptor_search search = { .graph = &graph, .fds = fds, .count = count };

	memset(chains_ret, 0, count * sizeof(*chains_ret));
	if (!graph.jvmti)
		return;
	search.room = count * MAX_OBJECTS_PER_FD;
	search.fd_of_node = calloc(search.room + 1, sizeof(*search.fd_of_node));
	if (search.fd_of_node && tag_classes(&graph) && find_descriptors(&search)) {
		search.nr_descriptors = (uint32_t)graph.nodes.count;
		explore(&search);
		tell(&search, chains_ret);
	}
	free(search.fd_of_node);
	close_graph(&graph);
}
