// A connection under TLS.
#pragma once

#include <openssl/ssl.h>

#include "common/http_server/link.hpp"

namespace edgefleet::http_server {

// Holds the context; nullptr: out of memory.
std::unique_ptr<Link> tls_link(SSL_CTX* context, int socket);

}  // namespace edgefleet::http_server
