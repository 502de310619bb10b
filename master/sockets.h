/* SPDX-License-Identifier: Apache-2.0 */
/* sockets.h - every socket the server listens on, opened once, before the first fork.
 *
 * One SO_REUSEPORT socket for each worker there may ever be is bound at the start; it listens
 * from its worker's first start until the server stops. So every child holds all of them: siblings
 * can accept for a dead worker, also for one that was added later, and shutdown() in the master
 * ends the listening of a socket in every process at once, without closing it.
 *
 * A worker that is taken away leaves its socket to its siblings (orphans.h): a socket that ends
 * takes with it every connection that waits in its queue, and those whose handshake is under way,
 * which no process can see.
 *
 * A service manager's single socket that nobody may bind beside (no ReusePort=, or owned by another
 * user) is shared: all workers accept from it. */
#ifndef MASTER_SOCKETS_H
#define MASTER_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "master/activation.h"
#include "shared/base/err.h"
#include "shared/config/config.h"
#include "shared/process/process.h"

struct sockets {
	struct listen_set listen;
	uint64_t listening; /* bit n: connections arrive at worker n's socket */
	uint64_t activated; /* bit n: the service manager's, never shut down */
	uint64_t shared;    /* bit n: a duplicate of the first activated one */
	int backlog;
	int udp_fd;
	uint16_t udp_port;
	struct sockaddr_storage address; /* of the first */
	socklen_t address_len;
};

void sockets_init(struct sockets *s);
/* Returns ERR_BUSY when somebody else has the port. why says what failed. */
int sockets_open(struct sockets *s, const struct config *config,
                 const struct activation *activation, char *why, size_t why_size) MUST_CHECK;
/* After an exec in place the descriptors and masks are set already; this finds out what they are
 * bound to. */
int sockets_adopted(struct sockets *s) MUST_CHECK;
/* Worker n's socket begins to listen. Nothing happens if it does already. */
int sockets_listen(struct sockets *s, unsigned worker) MUST_CHECK;
/* The server stops: the socket listens no longer, whoever holds it, and connections that nobody
 * accepted are reset. */
void sockets_silence(struct sockets *s, unsigned worker);
void sockets_close_listening(struct sockets *s);
void sockets_close_udp(struct sockets *s);

#endif
