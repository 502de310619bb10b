/* SPDX-License-Identifier: Apache-2.0 */
/* service.h - what a client, a console mostly, does to services and clusters.
 *
 * The caller has the right NAMING_SERVICES. ERR_OWNER: an instance of the service belongs to
 * somebody else (guard.h). What the codes mean stands in registry.h and settings.h at the operation
 * of the same name. */
#ifndef NAMING_SERVICE_H
#define NAMING_SERVICE_H

#include "shared/naming/naming.h"

struct cluster_settings;
struct service_settings;

int naming_create_service(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service,
                          const struct service_settings *settings) MUST_CHECK;
int naming_update_service(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service,
                          const struct service_settings *settings) MUST_CHECK;
/* Removes a service with all its instances. ERR_NOT_FOUND; ERR_DEPARTURES: guard.h. */
int naming_remove_service(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service) MUST_CHECK;
int naming_update_cluster(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service, struct str cluster,
                          const struct cluster_settings *settings) MUST_CHECK;
/* Stores the checksum of this content for everybody. ERR_AGAIN, ERR_NOT_FOUND: it is not the
 * content any more. */
int naming_renew_checksum(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service, uint64_t id, uint64_t content,
                          const uint8_t checksum[16]) MUST_CHECK;
/* Keeps the checksum that the first reader of this content has made, so that the next one need not.
 * It follows from the content and no client has a say in it: whoever may read may do this, and no
 * origin is made. The codes are those of naming_renew_checksum(); all of them mean that the next
 * reader makes it again. */
int naming_keep_checksum(const struct naming *naming, const struct service_key *service,
                         uint64_t id, uint64_t content, const uint8_t checksum[16]) MUST_CHECK;

#endif
