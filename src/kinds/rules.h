/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user wants to become of descriptors that the program has open: resource policies, and
 * --drain. The first rule that matches a descriptor counts; one that none matches is saved or
 * refused as usual.
 */
#ifndef THUMP_KINDS_RULES_H
#define THUMP_KINDS_RULES_H

#include "base/err.h"
#include "base/types.h"

struct thump_fd_capture;
struct thump_fd_facts;
struct thump_fd_rebuild;
struct thump_kind;
struct thump_model;
struct thump_problems;
struct sockaddr_storage;

enum thump_rule_type {
	THUMP_RULE_FILE = 1, /* or directory, or FIFO with a name */
	THUMP_RULE_PIPE,
	THUMP_RULE_SOCKET,
	THUMP_RULE_DESCRIPTOR, /* any other kind, or one chosen by its number */
};

enum thump_rule_action {
	THUMP_RULE_ERROR = 1, /* refuse, also what could be saved */
	THUMP_RULE_IGNORE,    /* as if there were no rule: what can be saved is */
	THUMP_RULE_CLOSE,     /* in the restored program it is at its end, and of no use */
	THUMP_RULE_REOPEN,    /* files: opened again by path, as always; connections: as CLOSE */
	THUMP_RULE_WARN,      /* saved where it can be, else as CLOSE; restored as with REOPEN */
};

/* Room for an address of any family, ended by a zero. */
#define THUMP_RULE_NAME_BYTES 112

/* Families of sockets: AF_INET, AF_INET6, AF_UNIX, or these. */
#define THUMP_RULE_ANY_FAMILY (-1)
#define THUMP_RULE_ANY_IP     (-2)

/* A NULL or -1 matches everything. */
struct thump_fd_rule {
	const char *source; /* for messages: "FILE:LINE" where the rule begins, or an option */
	enum thump_rule_type type;
	enum thump_rule_action action;
	bool quiet;	   /* no warning */
	bool single;	   /* of an option for one descriptor, which should be there */
	const char *path;  /* glob as of java.nio.file */
	int32_t fd;	   /* number of the descriptor */
	const char *regex; /* of its name in /proc/PID/fd */
	const char *kind;  /* name of a struct thump_kind */
	int family;
	int listening;		  /* 0, 1 */
	const char *address[2];	  /* "*": any that is there; [0] local, [1] remote */
	int32_t port[2];	  /* 0: any that is there */
	const char *unix_path[2]; /* globs */
};

struct thump_fd_rules {
	struct thump_fd_rule *list;
	size_t count;
	/* --drain: connections that a socket of the program has accepted, which goes on listening,
	 * are at their end in the restored program. */
	bool end_accepted;
};

/* "*" crosses no '/', "**" does; ?, [abc] and {one,two}. */
bool thump_glob_matches(const char *glob, const char *text);

/* ---- matching ---------------------------------------------------------------------------- */

/* The names of a socket: [0] its own, [1] of the other end. */
struct thump_rule_names {
	int family;			     /* AF_UNSPEC: not known */
	char text[2][THUMP_RULE_NAME_BYTES]; /* address or path; "" when there is none */
	uint16_t port[2];
	bool listening;
};

/* Without the names of a socket, which cost calls. `kind`: its name, or NULL; `name`: as in
 * /proc/PID/fd. */
bool thump_rule_fits(const struct thump_fd_rule *rule, enum thump_rule_type type, int fd,
		     const char *kind, const char *name);
bool thump_rule_fits_names(const struct thump_fd_rule *rule, const struct thump_rule_names *names);
void thump_rule_take_name(struct thump_rule_names *names, int which,
			  const struct sockaddr_storage *address, uint32_t len);

/* "fd 7: NAME: ACTION by the policy of SOURCE", for who wants to know what a policy did. */
void thump_rule_note(const struct thump_fd_rule *rule, int fd, const char *name,
		     struct thump_problems *problems);

/* Warns of options for descriptors that are not there: the number may be another one's. */
void thump_rules_warn_of_missing(const struct thump_fd_rules *rules,
				 const struct thump_model *model, struct thump_problems *problems);

/* ---- for capture_fds.c and kinds -------------------------------------------------------- */

/* The rule for this descriptor, or NULL. `kind`: NULL when it is of none. */
THUMP_MUST_CHECK int thump_rule_find(struct thump_fd_capture *cap,
				     const struct thump_fd_facts *facts,
				     const struct thump_kind *kind,
				     const struct thump_fd_rule **rule_ret, struct thump_err *err);

/* Whether the program has a TCP socket that listens on this port. */
THUMP_MUST_CHECK int thump_listens_on(struct thump_fd_capture *cap, uint16_t port, bool *answer_ret,
				      struct thump_err *err);

#endif
