/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which objects hold a descriptor that cannot be saved: only looked for when a checkpoint was
 * refused, as it takes as long as some passes over the heap.
 *
 * holders.c finds the graph of references that lead to java.io.FileDescriptor objects, against
 * their direction; holder_names.c gives the nearest chain its names.
 */
#ifndef THUMP_JVM_HOLDERS_H
#define THUMP_JVM_HOLDERS_H

#include "agent.h"

/* ---- the graph ------------------------------------------------------------------------- */

struct holder_node {
	uint32_t class_index;
	uint32_t level;	     /* references to a FileDescriptor */
	uint32_t first_edge; /* to it: number + 1; 0: none */
	uint32_t root;	     /* the one that says most: number + 1; 0: none */
};

/* `from` refers to `to`. */
struct holder_edge {
	uint32_t from, to;
	int32_t field_index; /* as JVMTI counts fields; -1: an array's element */
	uint32_t next;	     /* to the same node: number + 1; 0: the last */
};

/* A reference from outside the heap. */
struct holder_root {
	uint32_t node;
	jvmtiHeapReferenceKind kind;
	uint32_t class_index; /* of a static field */
	int32_t field_index;
	jlong thread_id; /* of a local variable */
	jmethodID method;
};

struct holder_list {
	void *items;
	size_t count, room;
};

struct holder_graph {
	jvmtiEnv *jvmti; /* an environment of its own: tags of others are not in the way */
	JNIEnv *jni;
	jclass *classes; /* local references */
	jint nr_classes;
	unsigned char *class_traits; /* [class] enum class_trait */
	struct holder_list nodes, edges, roots;
	uint32_t level;	    /* that this pass looks for referrers of */
	bool out_of_memory; /* the graph is not complete */
};

struct holder_node *holder_nodes(const struct holder_graph *graph);
struct holder_edge *holder_edges(const struct holder_graph *graph);
struct holder_root *holder_roots(const struct holder_graph *graph);
/* An application's class: not of the JDK's loaders. */
bool holder_is_application(struct holder_graph *graph, uint32_t class_index);

/* Tags of nodes; classes have others. */
jlong holder_tag_of(uint32_t node);

/* ---- chains ---------------------------------------------------------------------------- */

enum { HOLDER_MAX_LEVELS = 24 };

/* From a FileDescriptor to the nearest application object, and from there to the nearest root. */
struct holder_chain {
	uint32_t edges[2 * HOLDER_MAX_LEVELS];
	size_t count;
	uint32_t node; /* where it ends */
	bool application;
};

/* The nearest chain in what is known of the graph; true when it reaches a root. */
bool holder_chain_find(struct holder_graph *graph, uint32_t node, struct holder_chain *chain_ret);
/* "NioSocketImpl.fd <- Socket.impl <- com.acme.Pool.connection", malloc'ed, or NULL. */
char *holder_chain_text(struct holder_graph *graph, const struct holder_chain *chain);

/* ---- result ---------------------------------------------------------------------------- */

#define HOLDERS_UNKNOWN "native code, or an int field"

/*
 * For each of `fds` (negative: none) the chain from the nearest object to a root, malloc'ed;
 * HOLDERS_UNKNOWN where no FileDescriptor has this number, NULL where nothing could be found out.
 */
void holders_find(struct agent *agent, JNIEnv *jni, const int *fds, size_t count,
		  char **chains_ret);

#endif
