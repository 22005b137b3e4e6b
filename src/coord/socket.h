/* SPDX-License-Identifier: Apache-2.0 */
/* The program's end of the socket of coord/abi.h. */
#ifndef THUMP_COORD_SOCKET_H
#define THUMP_COORD_SOCKET_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct thump_coord_name {
	struct sockaddr_un address;
	socklen_t size;
};

/* The name under which this process is looked for: it has its pid and pid namespace in it. */
bool thump_coord_name_now(struct thump_coord_name *name_ret);

/* A descriptor, or -1. */
int thump_coord_listen(const struct thump_coord_name *name);

/* The first line, of somebody who may ask and does so within seconds. *pid_ret is 0 when that one
 * is in a pid namespace above ours. From then on thump_coord_send() waits for seconds at most, too.
 */
bool thump_coord_read_request(int fd, pid_t *pid_ret, char *line, size_t size);

/* False: nobody hears it any more, or wants to. */
bool thump_coord_send(int fd, const char *text);

#endif
