/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multicast memberships of a datagram socket, ip(7), ipv6(7). No call lists them, but one tells
 * whether a socket is a member of a given group on a given interface, and /proc/PID/net/igmp and
 * igmp6 list the groups that any socket is a member of.
 *
 * Record: u32 count, count times {u8 family (4 or 6), str interface, u8[16] group, u8 mode (0
 * include, 1 exclude), u32 count of sources, u8[16] each}. IPv4: the first four bytes.
 */
#ifndef THUMP_KINDS_MULTICAST_H
#define THUMP_KINDS_MULTICAST_H

#include <net/if.h>

#include "kinds/capture.h"

#define THUMP_MULTICAST_SOURCES 14U /* of one membership: what fits into a remote call */

struct thump_ip {
	unsigned char bytes[16];
};

struct thump_membership {
	bool v6, exclude;
	const char *interface;
	struct thump_ip group;
	uint32_t nr_sources;
	struct thump_ip sources[THUMP_MULTICAST_SOURCES];
};

struct thump_memberships {
	struct thump_membership *list;
	uint32_t count;
};

/* Refuses a membership with more sources than can be saved. */
THUMP_MUST_CHECK int thump_multicast_capture(struct thump_fd_capture *cap,
					     const struct thump_fd_facts *facts,
					     struct thump_access *access, struct thump_buf *record,
					     struct thump_err *err);
/* Fails the reader on anything out of range. */
void thump_multicast_decode(struct thump_reader *r, struct thump_arena *arena,
			    struct thump_memberships *memberships_ret);
/* -1 with errno, and the interface in *failed_ret. */
THUMP_MUST_CHECK int thump_multicast_join(int fd, const struct thump_memberships *memberships,
					  const char **failed_ret);

/* Pure: the next "INTERFACE GROUP" of /proc/net/igmp or igmp6; false at the end. `index` and `name`
 * keep the interface between the calls. */
struct thump_igmp {
	const char *at;
	bool v6;
	uint32_t index;
	char name[IF_NAMESIZE];
	struct thump_ip group;
};
bool thump_igmp_next(struct thump_igmp *igmp);

#endif
