/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/rules.h"

#include <arpa/inet.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "kinds/flight.h"
#include "kinds/sock.h"

/* ---- globs ----------------------------------------------------------------------------- */

/* One of "a,b,c}rest", each followed by what comes after the brace. */
static bool matches_choice(const char *choices, const char *text)
{
	const char *end = strchr(choices, '}');
	char pattern[4096];

	if (!end)
		return false;
	for (const char *at = choices; at <= end;) {
		size_t len = strcspn(at, ",}");

		if (len + strlen(end + 1) < sizeof(pattern)) {
			(void)snprintf(pattern, sizeof(pattern), "%.*s%s", (int)len, at, end + 1);
			if (thump_glob_matches(pattern, text))
				return true;
		}
		at += len + 1;
	}
	return false;
}

static bool matches_star(const char *glob, const char *text)
{
	bool across = glob[1] == '*';
	const char *rest = glob + (across ? 2 : 1);

	for (;; text++) {
		if (thump_glob_matches(rest, text))
			return true;
		if (!*text || (*text == '/' && !across))
			return false;
	}
}

/* "[a-z]rest", "[!a]rest" */
static bool matches_set(const char *set, const char *text)
{
	bool negated = *set == '!', found = false;
	const char *at = set + negated, *end = *at ? strchr(at + 1, ']') : NULL;

	if (!end || !*text || *text == '/')
		return false;
	for (; at < end; at++) {
		if (at[1] == '-' && at + 2 < end) {
			found |= *text >= at[0] && *text <= at[2];
			at += 2;
		} else {
			found |= *text == *at;
		}
	}
	return found != negated && thump_glob_matches(end + 1, text + 1);
}

bool thump_glob_matches(const char *glob, const char *text)
{
	for (; *glob; glob++, text++) {
		switch (*glob) {
		case '*':
			return matches_star(glob, text);
		case '{':
			return matches_choice(glob + 1, text);
		case '[':
			return matches_set(glob + 1, text);
		case '?':
			if (!*text || *text == '/')
				return false;
			break;
		case '\\':
			glob += glob[1] != '\0';
			__attribute__((fallthrough));
		default:
			if (*glob != *text)
				return false;
			break;
		}
	}
	return !*text;
}

/* ---- what a descriptor is --------------------------------------------------------------- */

void thump_rule_take_name(struct thump_rule_names *names, int which,
			  const struct sockaddr_storage *name, uint32_t len)
{
	const struct sockaddr_in *v4 = (const void *)name;
	const struct sockaddr_in6 *v6 = (const void *)name;
	const struct sockaddr_un *local = (const void *)name;
	const size_t path_at = offsetof(struct sockaddr_un, sun_path);

	if (name->ss_family == AF_INET) {
		(void)inet_ntop(AF_INET, &v4->sin_addr, names->text[which],
				sizeof(names->text[which]));
		names->port[which] = ntohs(v4->sin_port);
	} else if (name->ss_family == AF_INET6) {
		/* JVMs use IPv6 sockets for IPv4: what is written is the address that is meant. */
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
			(void)inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], names->text[which],
					sizeof(names->text[which]));
		else
			(void)inet_ntop(AF_INET6, &v6->sin6_addr, names->text[which],
					sizeof(names->text[which]));
		names->port[which] = ntohs(v6->sin6_port);
	} else if (name->ss_family == AF_UNIX && len > path_at && local->sun_path[0]) {
		(void)snprintf(names->text[which], sizeof(names->text[which]), "%.*s",
			       (int)(len - path_at), local->sun_path);
	}
}

static int get_names(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		     struct thump_rule_names *names_ret, struct thump_err *err)
{
	static const int calls[] = { SYS_getsockname, SYS_getpeername };
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	struct thump_rule_names names = { .family = facts->sock_domain };
	long listens_result;
	int listens = 0;

	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		struct sockaddr_storage name = { 0 };
		uint32_t len;
		long result;

		if (thump_sock_name(&access, calls[i], &name, &len, &result, err) < 0)
			return -1;
		if (result == 0)
			thump_rule_take_name(&names, i, &name, len);
	}
	if (thump_sock_get_int(&access, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_result, err) <
	    0)
		return -1;
	names.listening = listens_result == 0 && listens;
	*names_ret = names;
	return 0;
}

static enum thump_rule_type type_of(const struct thump_fd_facts *facts)
{
	if (S_ISSOCK(facts->st.st_mode))
		return THUMP_RULE_SOCKET;
	if (S_ISFIFO(facts->st.st_mode) && facts->link[0] != '/')
		return THUMP_RULE_PIPE;
	return facts->link[0] == '/' ? THUMP_RULE_FILE : THUMP_RULE_DESCRIPTOR;
}

/* ---- rules ----------------------------------------------------------------------------- */

static bool family_matches(int wanted, int family)
{
	if (wanted == THUMP_RULE_ANY_FAMILY)
		return true;
	if (wanted == THUMP_RULE_ANY_IP)
		return family == AF_INET || family == AF_INET6;
	return wanted == family;
}

bool thump_rule_fits_names(const struct thump_fd_rule *rule, const struct thump_rule_names *names)
{
	if (!family_matches(rule->family, names->family) ||
	    (rule->listening >= 0 && rule->listening != names->listening))
		return false;
	for (int i = 0; i < 2; i++) {
		const char *text = names->text[i];

		if (rule->address[i] && (!*text || (strcmp(rule->address[i], "*") != 0 &&
						    strcmp(rule->address[i], text) != 0)))
			return false;
		if (rule->port[i] >= 0 &&
		    (rule->port[i] ? rule->port[i] != names->port[i] : !names->port[i]))
			return false;
		if (rule->unix_path[i] &&
		    (names->family != AF_UNIX || !thump_glob_matches(rule->unix_path[i], text)))
			return false;
	}
	return true;
}

static bool regex_matches(const char *pattern, const char *text)
{
	regex_t regex;
	regmatch_t all;
	bool matches;

	if (regcomp(&regex, pattern, REG_EXTENDED) != 0)
		return false;
	/* All of it, as java.util.regex.Matcher.matches(). */
	matches =
		regexec(&regex, text, 1, &all, 0) == 0 && all.rm_so == 0 && text[all.rm_eo] == '\0';
	regfree(&regex);
	return matches;
}

bool thump_rule_fits(const struct thump_fd_rule *rule, enum thump_rule_type type, int fd,
		     const char *kind, const char *name)
{
	if (rule->kind && (!kind || strcmp(rule->kind, kind) != 0))
		return false;
	if (rule->fd >= 0 && rule->fd != fd)
		return false;
	/* The launcher's are meant only where they are named. */
	if (rule->fd < 0 && fd <= STDERR_FILENO)
		return false;
	if (rule->type != type &&
	    !(rule->type == THUMP_RULE_DESCRIPTOR && (rule->fd >= 0 || rule->regex || rule->kind)))
		return false;
	if (rule->path && !thump_glob_matches(rule->path, name))
		return false;
	return !rule->regex || regex_matches(rule->regex, name);
}

static const char *action_name(enum thump_rule_action action)
{
	switch (action) {
	case THUMP_RULE_ERROR:
		return "error";
	case THUMP_RULE_IGNORE:
		return "ignore";
	case THUMP_RULE_CLOSE:
		return "close";
	case THUMP_RULE_REOPEN:
		return "reopen";
	case THUMP_RULE_WARN:
		return "warn";
	}
	return "?";
}

void thump_rule_note(const struct thump_fd_rule *rule, int fd, const char *name,
		     struct thump_problems *problems)
{
	const char *action = action_name(rule->action);

	if (thump_is_in_flight(fd))
		thump_problem_note(problems, -1, "policy",
				   "descriptor in flight through a unix socket: %s: %s by the "
				   "policy of %s",
				   name, action, rule->source);
	else
		thump_problem_note(problems, fd, "policy", "fd %d: %s: %s by the policy of %s", fd,
				   name, action, rule->source);
}

/* By its first number, or, where a rule names a number, by any of those that it has: it is one
 * thing, and what the launcher gave must not be touched through a duplicate. */
static bool fits(const struct thump_fd_capture *cap, const struct thump_fd_rule *rule,
		 const struct thump_fd_facts *facts, const struct thump_kind *kind)
{
	const uint32_t ofd_id = cap->ofd_ids[facts - cap->all];
	const char *name = kind ? kind->name : NULL;

	if (rule->fd < 0)
		return thump_rule_fits(rule, type_of(facts), facts->fd, name, facts->link);
	for (size_t i = 0; i < cap->nr_all; i++)
		if (cap->ofd_ids[i] == ofd_id &&
		    thump_rule_fits(rule, type_of(facts), cap->all[i].fd, name, facts->link))
			return true;
	return false;
}

int thump_rule_find(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		    const struct thump_kind *kind, const struct thump_fd_rule **rule_ret,
		    struct thump_err *err)
{
	struct thump_rule_names names = { .family = AF_UNSPEC };
	size_t count = cap->rules ? cap->rules->count : 0;

	*rule_ret = NULL;
	for (size_t i = 0; i < count; i++) {
		const struct thump_fd_rule *rule = &cap->rules->list[i];

		if (!fits(cap, rule, facts, kind))
			continue;
		if (rule->type == THUMP_RULE_SOCKET) {
			if (names.family == AF_UNSPEC && get_names(cap, facts, &names, err) < 0)
				return -1;
			if (!thump_rule_fits_names(rule, &names))
				continue;
		}
		*rule_ret = rule;
		return 0;
	}
	return 0;
}

/* ---- accepted connections --------------------------------------------------------------- */

/* The port that a socket listens on, 0: none. */
static int listening_port(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			  uint16_t *port_ret, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	struct thump_rule_names names = { .family = AF_UNSPEC };
	struct sockaddr_storage name = { 0 };
	uint32_t len = sizeof(int);
	int listens = 0;
	long result;

	*port_ret = 0;
	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0 ||
	    thump_access_getsockopt(&access, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len, &result,
				    err) < 0)
		return -1;
	if (result < 0 || !listens)
		return 0;
	if (thump_sock_name(&access, SYS_getsockname, &name, &len, &result, err) < 0)
		return -1;
	if (result == 0)
		thump_rule_take_name(&names, 0, &name, len);
	*port_ret = names.port[0];
	return 0;
}

static int find_listening(struct thump_fd_capture *cap, struct thump_err *err)
{
	uint16_t *ports = thump_arena_alloc(&cap->model->arena, cap->nr_all + 1, sizeof(*ports));

	if (!ports)
		return thump_fail(err, "out of memory");
	for (size_t i = 0; i < cap->nr_all; i++) {
		const struct thump_fd_facts *facts = &cap->all[i];

		if (!S_ISSOCK(facts->st.st_mode) || facts->sock_type != SOCK_STREAM ||
		    (facts->sock_domain != AF_INET && facts->sock_domain != AF_INET6))
			continue;
		if (listening_port(cap, facts, &ports[cap->nr_listening], err) < 0)
			return -1;
		cap->nr_listening += ports[cap->nr_listening] != 0;
	}
	cap->listening = ports;
	return 0;
}

int thump_listens_on(struct thump_fd_capture *cap, uint16_t port, bool *answer_ret,
		     struct thump_err *err)
{
	if (!cap->listening && find_listening(cap, err) < 0)
		return -1;
	*answer_ret = false;
	for (size_t i = 0; i < cap->nr_listening; i++)
		*answer_ret |= cap->listening[i] == port;
	return 0;
}

/* ---- descriptors that are not there -------------------------------------------------------- */

static bool has_fd(const struct thump_model *model, int32_t fd)
{
	for (uint32_t i = 0; i < model->nr_fds; i++)
		if (model->fds[i].fd == fd)
			return true;
	return false;
}

void thump_rules_warn_of_missing(const struct thump_fd_rules *rules,
				 const struct thump_model *model, struct thump_problems *problems)
{
	for (size_t i = 0; rules && i < rules->count; i++) {
		const struct thump_fd_rule *rule = &rules->list[i];

		if (rule->single && !has_fd(model, rule->fd))
			thump_problem_add(problems, true, rule->fd, "no-descriptor",
					  "%s: the program has no descriptor %d", rule->source,
					  (int)rule->fd);
	}
}
