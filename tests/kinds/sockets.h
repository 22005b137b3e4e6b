/* SPDX-License-Identifier: Apache-2.0 */
/* For workloads with listening sockets, of whatever family. */
#ifndef THUMP_TESTS_SOCKETS_H
#define THUMP_TESTS_SOCKETS_H

#include "workload.h"

#include <sys/socket.h>

/* Its address as getsockname(2) gives it. */
socklen_t address_of(int fd, struct sockaddr_storage *address_ret);

/* A bound and listening socket on a free port of 127.0.0.1. */
int listen_on_loopback(int backlog);

/* A new connection to the listener: its client's end, and the accepted one. */
void connect_to(int listener, int *client_ret, int *accepted_ret);

/* Makes a connection, sends a byte through it, and closes it. */
void talk_to(int listener);

/* Waits until poll(2) reports `event`. */
void wait_for_event(int fd, short event);

#endif
