// Encodes our request in a provider's wire format, and decodes its answers. Pure: the caller does the HTTP.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/http/client.hpp"
#include "edge-agent/executors/llm/answer.hpp"
#include "edge-agent/executors/llm/config.hpp"
#include "edge-agent/executors/llm/json_value.hpp"
#include "edge-agent/executors/llm/pieces.hpp"

namespace edgefleet::agent::llm {

struct BackendRequest {
  std::string path;
  std::string body;
  Framing framing = Framing::events;
  std::set<std::string> forced_call = {};  // the text of the answer is a call of one of these (forced_call.hpp)
};

// The sources of the list of models, in order.
struct Listing {
  std::vector<std::string> models;
  std::vector<std::string> loaded;
};

class Provider {
 public:
  Provider() = default;
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;
  Provider(Provider&&) = delete;
  Provider& operator=(Provider&&) = delete;
  virtual ~Provider() = default;

  [[nodiscard]] virtual std::vector<RequestKind> kinds() const = 0;
  [[nodiscard]] virtual http::Headers headers(const std::string& key) const = 0;
  // `request` has passed check_request(). An error means an invalid task and names the field.
  [[nodiscard]] virtual Result<BackendRequest> encode(RequestKind kind, std::string_view request) const = 0;
  // One piece of the answer: well-formed JSON, which is no error.
  virtual void decode(RequestKind kind, std::string_view piece, Answer& answer) const = 0;
  // Paths to GET for a listing, and their answers, in this order.
  [[nodiscard]] virtual std::vector<std::string> listing_paths() const = 0;
  virtual void read_listing(std::size_t path, const Json& body, Listing& listing) const = 0;
};

std::unique_ptr<Provider> make_openai(const Config& config);
std::unique_ptr<Provider> make_groq(const Config& config);
std::unique_ptr<Provider> make_ollama(const Config& config);
std::unique_ptr<Provider> make_gemini(const Config& config);
std::unique_ptr<Provider> make_provider(const Config& config);

}  // namespace edgefleet::agent::llm
