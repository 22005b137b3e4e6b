/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libthump-jvm.so: a JVMTI agent that gives a stock HotSpot JVM the jdk.crac API. Mechanism is
 * here, policy is in jvm/java. All state hangs off struct agent, which lives in the JVMTI
 * environment's local storage and, for JNI callbacks, behind agent_get().
 */
#ifndef THUMP_JVM_AGENT_H
#define THUMP_JVM_AGENT_H

#include <jni.h>
#include <jvmti.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "coord/abi.h"
#include "coord/wait.h"

/* For a thousand connections and more; untouched, it takes no memory. */
#define AGENT_LONG_TEXT_SIZE ((uint32_t)1 << 20)

struct agent_options {
	char *image; /* where checkpoints are written; NULL: the API is not supported */
	char *thump; /* path of the thump executable; NULL: it was not found */
	char *trigger_class, *trigger_method, *trigger_signature; /* NULL: none */
	uint32_t trigger_hit;			      /* which entry of it counts, from 1 */
	const char *words[THUMP_COORD_WORDS_MAX + 1]; /* options for thump checkpoint, and a NULL */
	unsigned nr_words;
	int cpu_level;	    /* cpu=1 to 4: keep within x86-64-v1 to v4; 0: no need */
	bool hooks_first;   /* look=no: hooks end what stands in the way */
	bool leave_running; /* then=continue: the original goes on after a checkpoint */
};

/* Of a restore, in the restored process, in this order; see times.c. */
enum moment {
	MOMENT_RESTORED = 0, /* the wait for the engine is over, at the safepoint */
	MOMENT_OUTSIDE,	     /* the safepoint is left, on the requesting thread */
	MOMENT_RANDOM,	     /* no generator is as it was */
	MOMENT_CHANGES,	     /* environment, time zone, process, names */
	MOMENT_PORTS,
	MOMENT_PROPERTIES, /* system properties: the last before any hook */
	MOMENT_SINGLE,	   /* single-threaded hooks have run */
	MOMENT_RESUMED,	   /* all threads go on */
	MOMENT_HOOKS,	   /* all other hooks have run */
	NR_MOMENTS,
};

/* More than an environment usually has; untouched pages cost nothing. */
#define AGENT_PARAMETERS_SIZE ((size_t)1 << 20)

struct agent {
	JavaVM *vm;
	jvmtiEnv *jvmti;
	struct agent_options options;
	char *long_text;	       /* what does not fit into the page; see engine_text() */
	struct thump_coord_page *page; /* page aligned, shared with the engine during a capture */
	int64_t clock_ahead_ns; /* the machine's monotonic clock, of the program's; see clock.c */
	bool has_clock;
	bool restored;		/* this process was made from an image */
	bool traceable;		/* thump, our parent, lets any process of our user trace us */
	char *parameters;	/* what the engine says in a restore (coord/abi.h), or NULL */
	bool time_zone_changed; /* TZ, by the last restore */
	bool ends_on_failure;	/* who restored wants it to end when hooks fail */
	bool says_times;	/* who restored wants to know how long it took */
	uint64_t moments_ns[NR_MOMENTS];
	struct changes *changes; /* what a restore changes, found before the capture */
	struct environment *environment; /* the same, of the environment */
	struct port_move *ports; /* where sockets are bound instead; see ports.c */
	size_t nr_ports;
	struct image_parts *image_parts; /* of malloc's memory; see given_back.c; atomic */
	bool looks_for_parts;		 /* when a library is loaded; atomic */
	uint64_t trigger_entries;	 /* of the trigger method so far, by any thread; atomic */
	jclass coordinator;		 /* global reference */
	jmethodID request;		 /* static String request(boolean dryRun) */
	jmethodID look;			 /* static String look() */
	struct server *server;		 /* NULL when there is none */
	int cpu_level;			 /* that is kept; 0: none is */
	uint64_t stand_limit_ns;	 /* another engine saves us: stand so long; 0: thump does */
	struct refusals *refusals;	 /* of the last checkpoint that failed, or NULL */
	struct suspended_threads *suspended; /* NULL: nobody is */
	struct watchdog *watchdog;	     /* during a checkpoint */
	struct critical *critical;	     /* see critical.c; NULL: no memory */
	struct drawing *drawing;	     /* see drawing.c; NULL: not learnt yet */
	struct random_targets *random; /* found before the capture, renewed after the restore */
};

/* Parses "key=value,key=value"; unknown keys and missing values are errors, said in `problem`. */
bool options_parse(const char *text, struct agent_options *options, char *problem,
		   size_t problem_size);

/* Defines the embedded classes with the null loader and registers the native methods. */
bool classes_define(struct agent *agent, JNIEnv *jni);
jclass classes_define_named(JNIEnv *jni, const char *name);

typedef void (*class_visitor)(struct agent *agent, JNIEnv *jni, jclass class,
			      const char *signature);
/* Each class that is loaded. */
void classes_visit(struct agent *agent, JNIEnv *jni, class_visitor visit);

/*
 * Asks the engine for a checkpoint of this process and waits. `refused`: what hooks threw, or NULL
 * (then the engine is only asked what it would refuse, too). Returns an enum thump_coord_state.
 */
uint32_t engine_capture(struct agent *agent, JNIEnv *jni, bool dry_run, const char *refused);

/*
 * Before any hook: has the engine look for what no hook can cure. A thump that asked for it through
 * the socket does it itself, else one is started. Others run meanwhile. The same states.
 */
uint32_t engine_look(struct agent *agent);

/* What the engine refused: one problem a line. */
const char *engine_text(const struct agent *agent);

/* The one agent of this process; JNI natives have no other way to find it. */
struct agent *agent_get(void);

/* Prints "thump: ..." on stderr, with the name of a JVMTI error when there is one. */
void agent_complain(struct agent *agent, const char *what, jvmtiError error);

/* With all signals blocked: those of the process are for the JVM's and the program's threads.
 * Returns 0 or an errno. */
int agent_create_thread(pthread_t *thread_ret, void *(*main)(void *), void *arg);

uint64_t agent_now_ns(clockid_t clock);
/* Runs a checkpoint on this thread; what is in the way is said on stderr. */
void agent_request_checkpoint(struct agent *agent, JNIEnv *jni);

/* The socket for requests from outside; see server.c. */
bool server_start(struct agent *agent);
/* Before Java threads are suspended: from here to server_let_go() the socket's own
 * thread is none, and requests wait. */
void server_hold(struct agent *agent);
void server_let_go(struct agent *agent);
/* Closes the socket, and any connection, and waits until they are closed. */
void server_suspend(struct agent *agent);
void server_resume(struct agent *agent);
/* True on the server thread while it serves a request. */
bool server_is_serving(const struct agent *agent);
/* Tells the thump that asked through the socket that the page is ready, and closes the connection.
 * *asker_ret is thump's pid, 0 when that is in a pid namespace above ours. False: it is gone. On
 * any thread, while the server's own one serves the request. */
bool server_hand_over(struct agent *agent, pid_t *asker_ret);

/* Ends HotSpot's attach listener, if there is one: an image that held its socket could be restored
 * once at a time, and HotSpot makes another when jcmd or jstack wants it. Waits 2 s at most. */
void attach_close(void);

/* For who stands (stand.c): tells who asked that the program does, and closes the connection.
 * False: that one is gone. */
bool server_say_standing(struct agent *agent);
/* Tells who asked, if the thread serves a request, that nothing will come of it, hangs up, and has
 * another thread serve from then on. The one given must be kept from going on meanwhile. */
void server_give_up(struct agent *agent, pthread_t thread, const char *why);
/* The outcome goes to this connection. */
void server_take_client(struct agent *agent, int fd);

/* Stands still for agent->stand_limit_ns, or until it is told to go on; see stand.c. On the VM
 * thread, at a safepoint. Returns how: THUMP_COORD_RESTORED or SAVED; FAILED with *why_ret. */
uint32_t stand(struct agent *agent, const char **why_ret);

/* Lets HotSpot forget features of the CPU that options.cpu_level has not; see level.c. False, said
 * on stderr: it may use some. */
bool level_keep(struct agent *agent);

/* Runs `run` inside a VM operation, on the VM thread: no thread of the JVM moves an object or runs
 * Java code meanwhile, and `run` must use neither JNI nor JVMTI. False: it did not run. */
bool safepoint_run(struct agent *agent, void (*run)(void *arg), void *arg);

/* Makes less to be saved: collects garbage, gives free memory of malloc(3) back. Not while threads
 * are suspended: one of them may be in a JNI critical region, which a collection waits for. */
void heap_shrink(struct agent *agent);
/* Then waits for what ZGC and Shenandoah give back in their own time; see uncommit.c. */
void uncommit_await(const struct agent *agent, JNIEnv *jni);
/* What the engine may leave out, and what may be mapped from the image (coord/abi.h); only right at
 * a safepoint, for as long as it lasts. Nothing where this JVM is not known well enough. The caller
 * frees the table. */
struct thump_coord_range *heap_ranges(const struct agent *agent, uint32_t *count_ret);
/* Whether no code of the process gives memory of malloc(3) back to the kernel but malloc. */
bool code_keeps_malloc(const struct agent *agent);
/* Gives back to the kernel what the engine could have left out. */
void heap_drop(const struct thump_coord_range *ranges, uint32_t count);

/*
 * Suspends all application threads but the caller, none of them inside a JNI critical region or in
 * the middle of a random draw; see threads.c. Returns NULL, or what was in the way (heap): then
 * nobody is suspended. threads_resume() may be called from any thread, and again.
 */
char *threads_suspend(struct agent *agent, JNIEnv *jni);
void threads_resume(struct agent *agent, JNIEnv *jni);
/* Whether virtual threads are suspended, too, and there may be any. */
bool threads_virtual_too(const struct agent *agent);
/* Whoever is suspended now, but for virtual threads. */
const jthread *threads_suspended(struct agent *agent, jint *count_ret);

/*
 * Looks after hooks that do not end; see watchdog.c. begin and end once in a checkpoint, on the
 * requesting thread; begin while nobody is suspended.
 */
void watchdog_begin(struct agent *agent, JNIEnv *jni);
void watchdog_end(struct agent *agent, JNIEnv *jni);
/* The calling thread runs a hook from here to unwatch. limit_ms 0: for ever. */
void watchdog_watch(struct agent *agent, JNIEnv *jni, const char *hook, jlong limit_ms,
		    bool single_threaded);
/* What kept the hook, when it had to be freed; heap. Else NULL. */
char *watchdog_unwatch(struct agent *agent, JNIEnv *jni);
/*
 * The calling thread should soon reach the capture, and nobody else can help it there: from here
 * to watchdog_reach() it must get on (hooks have limits of their own), else the watchdog lets
 * everybody go on. In any case watchdog_release() on the same thread.
 */
void watchdog_hurry(struct agent *agent, JNIEnv *jni);
/* On any thread. False: too late, the others run; watchdog_late() says what was waited for. */
bool watchdog_reach(struct agent *agent);
const char *watchdog_late(const struct agent *agent);
void watchdog_release(struct agent *agent, JNIEnv *jni);
/* Whether this is the watchdog's own thread. */
bool watchdog_is(const struct agent *agent, JNIEnv *jni, jthread thread);

/* Finds out how to see whether a thread is inside a JNI critical region, and puts the gate there;
 * see critical.c. In VMInit: self is the thread that starts the JVM. Once. */
void critical_learn(struct agent *agent, JNIEnv *jni, jthread self);
/* From here to critical_open() nobody enters such a region. False: somebody was inside all the time
 * until the deadline; critical_who() is who, a local reference, or NULL when it has left or is not
 * known. */
bool critical_shut(struct agent *agent, uint64_t deadline_ns);
jthread critical_who(struct agent *agent, JNIEnv *jni);
void critical_open(struct agent *agent);

/* Finds out how to see who is in the middle of a draw from a random generator; see drawing.c. While
 * nobody is suspended. */
void drawing_learn(struct agent *agent, JNIEnv *jni);
/* Lets those of these suspended threads who are go on until they are not. Returns whether anybody
 * has gone on; *stuck_ret is one who was so all the time. */
bool drawing_lead_out(const struct agent *agent, const jthread *threads, jint count,
		      uint64_t deadline_ns, jthread *stuck_ret);

/* All virtual threads, or those that have a carrier now: local references, for
 * virtual_threads_free(). NULL: there are none. While they are suspended. */
jthread *virtual_threads(struct agent *agent, JNIEnv *jni, bool only_mounted, jint *count_ret);
void virtual_threads_free(const struct agent *agent, JNIEnv *jni, jthread *threads, jint count);

struct slot {
	const char *name; /* of a function that the library imports */
	uintptr_t function;
};
/* Lets libjvm call our functions in place of others. Returns how many slots there are. */
size_t slots_point(const struct agent *agent, const struct slot *slots, size_t count);
/* The same in all libraries that are loaded now, but this one. */
void slots_point_everywhere(const struct slot *slots, size_t count);
/* Whether a library (dl_iterate_phdr(3)) may call a function of one of these names. */
struct dl_phdr_info;
bool slots_lead_to(const struct dl_phdr_info *info, const char *const *names, size_t count);

/* Has libraries that the JVM loads from now on come to the functions with _loaded; see newcomers.c.
 * False: it is not to be known when it loads one. */
bool newcomers_watch(const struct agent *agent);

/* In the restored process: what malloc(3) has may be mapped from the image, if it was promised that
 * nobody else gives it back; see given_back.c. */
void given_back_restored(struct agent *agent, bool promised);
/* A library was loaded: if it gives such memory back, it finds zeros there. */
void given_back_loaded(struct agent *agent);

/* Lets the JVM remove no file of another clone when it ends; see leftovers.c. */
void leftovers_take_over(const struct agent *agent);

/* For coord/abi.h; 0 when this JVM is not known well enough to vouch that it stands other tids. */
int32_t tids_from_self(const struct agent *agent);

/* Lets the JVM's monotonic time be ours from now on; false: it cannot be. */
bool clock_take_over(struct agent *agent);
/* The program's time has stood still since then: a reading of CLOCK_MONOTONIC, maybe of another
 * machine. Only while nobody else can ask for the time. */
void clock_stood_since(struct agent *agent, uint64_t since_ns);

/* The text behind the next parameter with this prefix, after the one given (NULL: from the start).
 */
char *parameters_next(const struct agent *agent, const char *prefix, const char *after);
void parameters_forget(struct agent *agent);
/* Lets sockets that are opened from now on have the ports that the restore says; see ports.c. */
void ports_apply(struct agent *agent);
/* The same for libraries that have been loaded since. */
void ports_loaded(const struct agent *agent);

/* What a restore takes in the program; on the requesting thread or, at the safepoint, the VM's. */
void times_note(struct agent *agent, enum moment moment);
/* Remembers whether the restore asks for them, before the parameters are forgotten. */
void times_asked(struct agent *agent);
/* Says them on stderr, if so. */
void times_say(const struct agent *agent);

/* String[] of the arguments. */
jobjectArray parameters_arguments(const struct agent *agent, JNIEnv *jni);

/* Finds what a restore changes (in the original process, others suspended), and changes it (in the
 * restored one); see changes.c. */
void changes_find(struct agent *agent, JNIEnv *jni);
void changes_apply(struct agent *agent, JNIEnv *jni);
/* Its part that is the environment; see environment.c. */
void environment_find(struct agent *agent, JNIEnv *jni);
void environment_apply(struct agent *agent, JNIEnv *jni);

/* Natives: the map inside System.getProperties(), and whether the command line of the original had
 * -Duser.timezone; see properties.c. */
jobject properties_get(JNIEnv *jni, jclass self);
void properties_set(JNIEnv *jni, jclass self, jobject map);
jboolean properties_time_zone_given(JNIEnv *jni, jclass self);

/* Finds the generators that must not repeat (in the original process, others suspended), and gives
 * them fresh state (in the restored one); see random.c. */
void random_find(struct agent *agent, JNIEnv *jni);
void random_renew(struct agent *agent, JNIEnv *jni);

/* Finds out what holds each descriptor named in `text`; see refusals.c. */
void refusals_explain(struct agent *agent, JNIEnv *jni, const char *text);
void refusals_forget(struct agent *agent);
/* One problem a line, with what holds it; NULL when nothing was explained. */
const char *refusals_text(const struct agent *agent);
/* The answer to THUMP_COORD_ASK_HOLDERS. */
const char *refusals_chains(const struct agent *agent);

/* Lets our classes use the package of a class of the JDK. */
void management_export(struct agent *agent, JNIEnv *jni, jclass class);
jclass management_define(struct agent *agent, JNIEnv *jni);
void management_add(JNIEnv *jni, jstring object_name, jobject component);
/* The platform's MBean server, or NULL when the program has not made it. */
jobject management_server(const struct agent *agent, JNIEnv *jni);

#endif
