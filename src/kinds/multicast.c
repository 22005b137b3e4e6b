/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/multicast.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/fd.h"
#include "proc/text.h"
#include "trace/target.h"

#define NR_MEMBERSHIPS_LIMIT 4096U

/* ---- the groups of the network namespace ------------------------------------------------ */

static size_t take_word(const char **at, const char **word_ret)
{
	size_t len;

	thump_text_blanks(at);
	len = strcspn(*at, " \t\n");
	*word_ret = *at;
	*at += len;
	return len;
}

static bool take_interface(const char **at, struct thump_igmp *igmp)
{
	const char *word;
	uint64_t index;
	size_t len;

	if (!thump_text_u64(at, 10, &index) || index > INT32_MAX)
		return false;
	len = take_word(at, &word);
	if (len == 0 || len >= sizeof(igmp->name))
		return false;
	igmp->index = (uint32_t)index;
	memcpy(igmp->name, word, len);
	igmp->name[len] = '\0';
	return true;
}

/* "%08X" of the address as the machine reads it, igmp_mc_seq_show(); or its 16 bytes in order. */
static bool take_group(const char **at, struct thump_igmp *igmp)
{
	const size_t digits = igmp->v6 ? 32 : 8;
	const char *word;

	memset(&igmp->group, 0, sizeof(igmp->group));
	if (take_word(at, &word) != digits)
		return false;
	for (size_t i = 0; i < digits; i += 8) {
		char eight[9] = "";
		const char *number = memcpy(eight, word + i, 8);
		uint64_t value;
		uint32_t part;

		if (!thump_text_u64(&number, 16, &value) || *number)
			return false;
		part = igmp->v6 ? htonl((uint32_t)value) : (uint32_t)value;
		memcpy(igmp->group.bytes + i / 2, &part, sizeof(part));
	}
	return true;
}

bool thump_igmp_next(struct thump_igmp *igmp)
{
	const char *line;
	size_t len;

	while (thump_text_line(&igmp->at, &line, &len)) {
		bool of_interface = line[0] != '\t' && line[0] != ' ';

		/* igmp: a line of the interface, then its groups; igmp6: both in each line. */
		if (of_interface && (!take_interface(&line, igmp) || !igmp->v6))
			continue;
		if (take_group(&line, igmp))
			return true;
	}
	return false;
}

/* ---- capture ---------------------------------------------------------------------------- */

/* What getsockopt(MCAST_MSFILTER) takes and yields, behind its length. */
struct question {
	_Alignas(16) socklen_t len;
	_Alignas(16) struct group_filter filter;
	struct sockaddr_storage more[THUMP_MULTICAST_SOURCES - 1];
};
_Static_assert(sizeof(struct question) <= THUMP_REMOTE_AREA_SIZE, "asked remotely, too");

static void put_address(bool v6, const struct thump_ip *ip, struct sockaddr_storage *address)
{
	memset(address, 0, sizeof(*address));
	address->ss_family = v6 ? AF_INET6 : AF_INET;
	if (v6)
		memcpy(&((struct sockaddr_in6 *)address)->sin6_addr, ip->bytes, 16);
	else
		memcpy(&((struct sockaddr_in *)address)->sin_addr, ip->bytes, 4);
}

static void get_address(const struct sockaddr_storage *address, struct thump_ip *ip)
{
	memset(ip, 0, sizeof(*ip));
	if (address->ss_family == AF_INET6)
		memcpy(ip->bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	else
		memcpy(ip->bytes, &((const struct sockaddr_in *)address)->sin_addr, 4);
}

/* The answer is in access->bytes. */
static int ask(struct thump_access *access, const struct thump_igmp *igmp, long *result_ret,
	       struct thump_err *err)
{
	struct question *question = (void *)access->bytes;
	uint64_t args[6] = {
		(uint64_t)access->fd,
		igmp->v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		MCAST_MSFILTER,
		access->addr + offsetof(struct question, filter),
		access->addr + offsetof(struct question, len),
	};

	memset(question, 0, sizeof(*question));
	question->len = GROUP_FILTER_SIZE(THUMP_MULTICAST_SOURCES);
	question->filter.gf_interface = igmp->index;
	put_address(igmp->v6, &igmp->group, &question->filter.gf_group);
	question->filter.gf_numsrc = THUMP_MULTICAST_SOURCES;
	return thump_access_call(access, SYS_getsockopt, args, sizeof(*question), result_ret, err);
}

static void put_membership(struct thump_buf *list, const struct thump_igmp *igmp,
			   const struct group_filter *filter)
{
	thump_buf_put_u8(list, igmp->v6 ? 6 : 4);
	thump_buf_put_str(list, igmp->name);
	thump_buf_put(list, igmp->group.bytes, sizeof(igmp->group.bytes));
	thump_buf_put_u8(list, filter->gf_fmode == MCAST_EXCLUDE);
	thump_buf_put_u32(list, filter->gf_numsrc);
	for (uint32_t i = 0; i < filter->gf_numsrc; i++) {
		struct thump_ip source;

		get_address(&filter->gf_slist[i], &source);
		thump_buf_put(list, source.bytes, sizeof(source.bytes));
	}
}

static int capture_family(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			  struct thump_access *access, bool v6, struct thump_buf *list,
			  uint32_t *count, struct thump_err *err)
{
	const struct group_filter *filter = &((struct question *)access->bytes)->filter;
	struct thump_igmp igmp = { .v6 = v6 };
	auto_free char *text = NULL;
	long result;

	/* Not there: no such family here. */
	if (thump_slurp(cap->target->proc_fd, v6 ? "net/igmp6" : "net/igmp", &text, NULL) < 0)
		return 0;
	igmp.at = text;
	while (thump_igmp_next(&igmp)) {
		if (ask(access, &igmp, &result, err) < 0)
			return -1;
		if (result < 0) /* EADDRNOTAVAIL: not a member */
			continue;
		if (filter->gf_numsrc > THUMP_MULTICAST_SOURCES) {
			thump_refuse_fd(
				cap, facts, "multicast",
				"UDP socket: its multicast membership on %s has %u sources, "
				"of which %u can be saved",
				igmp.name, filter->gf_numsrc, THUMP_MULTICAST_SOURCES);
			continue;
		}
		put_membership(list, &igmp, filter);
		(*count)++;
	}
	return 0;
}

int thump_multicast_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			    struct thump_access *access, struct thump_buf *record,
			    struct thump_err *err)
{
	auto_buf struct thump_buf list = THUMP_BUF_INIT;
	uint32_t count = 0;

	/* An IPv6 socket can be a member of IPv4 groups, too. */
	if (capture_family(cap, facts, access, false, &list, &count, err) < 0 ||
	    (facts->sock_domain == AF_INET6 &&
	     capture_family(cap, facts, access, true, &list, &count, err) < 0))
		return -1;
	thump_buf_put_u32(record, count);
	thump_buf_put(record, list.bytes, list.size_bytes);
	record->failed |= list.failed;
	return 0;
}

/* ---- restore ---------------------------------------------------------------------------- */

static void decode_ip(struct thump_reader *r, struct thump_ip *ip)
{
	const void *bytes = thump_get_bytes(r, sizeof(ip->bytes));

	if (bytes)
		memcpy(ip->bytes, bytes, sizeof(ip->bytes));
}

static void decode_one(struct thump_reader *r, struct thump_arena *arena,
		       struct thump_membership *membership)
{
	uint8_t family = thump_get_u8(r), mode;

	membership->v6 = family == 6;
	membership->interface = thump_get_str(r, arena, IF_NAMESIZE - 1);
	decode_ip(r, &membership->group);
	mode = thump_get_u8(r);
	membership->exclude = mode == 1;
	membership->nr_sources = thump_get_u32(r);
	if ((family != 4 && family != 6) || mode > 1 ||
	    membership->nr_sources > THUMP_MULTICAST_SOURCES)
		r->failed = true;
	for (uint32_t i = 0; i < membership->nr_sources && !r->failed; i++)
		decode_ip(r, &membership->sources[i]);
}

void thump_multicast_decode(struct thump_reader *r, struct thump_arena *arena,
			    struct thump_memberships *memberships_ret)
{
	uint32_t count = thump_get_u32(r);
	struct thump_memberships all = { 0 };

	if (count > NR_MEMBERSHIPS_LIMIT)
		r->failed = true;
	for (uint32_t i = 0; i < count && !r->failed; i++) {
		struct thump_membership membership = { 0 };

		decode_one(r, arena, &membership);
		all.list = thump_arena_grow(arena, all.list, i, sizeof(membership));
		if (!all.list) {
			r->failed = true;
			return;
		}
		all.list[i] = membership;
		all.count = i + 1;
	}
	*memberships_ret = all;
}

static int for_source(int fd, const struct thump_membership *membership, uint32_t index, int name,
		      const struct thump_ip *source)
{
	struct group_source_req request = { .gsr_interface = index };

	put_address(membership->v6, &membership->group, &request.gsr_group);
	put_address(membership->v6, source, &request.gsr_source);
	return setsockopt(fd, membership->v6 ? IPPROTO_IPV6 : IPPROTO_IP, name, &request,
			  sizeof(request));
}

static int join(int fd, const struct thump_membership *membership)
{
	struct group_req request = { .gr_interface = if_nametoindex(membership->interface) };
	int of_source = membership->exclude ? MCAST_BLOCK_SOURCE : MCAST_JOIN_SOURCE_GROUP;

	if (request.gr_interface == 0)
		return -1;
	put_address(membership->v6, &membership->group, &request.gr_group);
	if (membership->exclude && setsockopt(fd, membership->v6 ? IPPROTO_IPV6 : IPPROTO_IP,
					      MCAST_JOIN_GROUP, &request, sizeof(request)) < 0)
		return -1;
	for (uint32_t i = 0; i < membership->nr_sources; i++)
		if (for_source(fd, membership, request.gr_interface, of_source,
			       &membership->sources[i]) < 0)
			return -1;
	return 0;
}

int thump_multicast_join(int fd, const struct thump_memberships *memberships,
			 const char **failed_ret)
{
	for (uint32_t i = 0; i < memberships->count; i++) {
		if (join(fd, &memberships->list[i]) < 0) {
			*failed_ret = memberships->list[i].interface;
			return -1;
		}
	}
	return 0;
}
