#include "coordinator/access/join_requests.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/core/ids.hpp"
#include "common/files/text_digest.hpp"
#include "common/pki/request.hpp"
#include "coordinator/access/secret.hpp"

namespace edgefleet::coordinator {
namespace {

Error unknown() {
  return Error{"there is no such request to join, or it has waited for an hour; ask again", ErrorKind::not_found};
}

// A machine has many addresses of its network of IPv6.
std::string source_of(const std::string& address) {
  in6_addr bytes{};
  if (inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), &bytes) != 1 || IN6_IS_ADDR_V4MAPPED(&bytes))
    return address;
  std::memset(&bytes.s6_addr[8], 0, 8);
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(AF_INET6, &bytes, text.data(), text.size());
}

Error too_many() {
  return Error{
      "too many machines ask to join already; accept or refuse those that `edgefleet agents waiting` lists, "
      "or wait an hour",
      ErrorKind::busy};
}

}  // namespace

void JoinRequests::forget_old(Time now) {
  std::erase_if(all_, [&](const auto& entry) {
    return now - entry.second.at >= (entry.second.key ? patience : opening_patience);
  });
}

// Answered ones stay for their machines, and take no place.
bool JoinRequests::has_room(const std::string& source) const {
  std::size_t waiting = 0;
  std::size_t here = 0;
  for (const auto& [id, one] : all_) {
    if (!one.key || !std::holds_alternative<Waiting>(one.answer)) continue;
    ++waiting;
    if (one.source == source) ++here;
  }
  return waiting < most && here < most_of_source;
}

// Makes room for one more of `source`.
void JoinRequests::end_unopened(const std::string& source) {
  std::map<std::string, std::size_t> of_source;
  std::size_t unopened = 0;
  for (const auto& [id, one] : all_) {
    if (one.key) continue;
    ++unopened;
    ++of_source[one.source];
  }
  if (unopened < most_unopened && of_source[source] < most_of_source) return;
  std::string from = source;
  if (of_source[source] < most_of_source) {
    from = std::ranges::max_element(of_source, {}, [](const auto& entry) { return entry.second; })->first;
  }
  auto oldest = all_.end();
  for (auto it = all_.begin(); it != all_.end(); ++it) {
    const bool candidate = !it->second.key && it->second.source == from;
    if (candidate && (oldest == all_.end() || it->second.at < oldest->second.at)) oldest = it;
  }
  if (oldest != all_.end()) all_.erase(oldest);
}

Result<join::Challenge> JoinRequests::begin(const std::string& address, join::Commitment commitment, Time now) {
  if (!valid_name(commitment.machine.name)) return invalid("`name` is not valid: " + std::string(name_rule));
  const std::string nonce = sha256(make_secret("").text);
  const std::string id = sha256(make_secret("").text).substr(0, 32);
  const std::lock_guard lock(mutex_);
  forget_old(now);
  const std::string source = source_of(address);
  if (!has_room(source)) {
    return too_many();
  }
  end_unopened(source);
  One one;
  one.address = address;
  one.source = source;
  one.machine = std::move(commitment.machine);
  one.commitment = std::move(commitment.commitment);
  one.nonce = nonce;
  one.at = now;
  all_.emplace(id, std::move(one));
  return join::Challenge{id, nonce, ca_pem_};
}

Status JoinRequests::open(const std::string& id, const join::Opening& opening, Time now) {
  const auto key = pki::read_request(opening.request);
  const std::lock_guard lock(mutex_);
  forget_old(now);
  const auto found = all_.find(id);
  if (found == all_.end()) return unknown();
  One& one = found->second;
  if (one.key) {
    if (key && *key == *one.key) return success();
    return Error{"this request has been opened already", ErrorKind::conflict};
  }
  if (!key || join::commitment_of(key->sha256(), opening.nonce) != one.commitment) {
    all_.erase(found);
    return invalid("the key or the nonce is not the one that was committed to; the request has ended");
  }
  if (!has_room(one.source)) return too_many();
  one.key = *key;
  one.code = join::code_of(ca_sha256_, key->sha256(), opening.nonce, one.nonce);
  return success();
}

Result<JoinRequests::Answer> JoinRequests::look(const std::string& id, Time now) {
  const std::lock_guard lock(mutex_);
  forget_old(now);
  const auto found = all_.find(id);
  if (found == all_.end() || !found->second.key) return unknown();
  return found->second.answer;
}

std::vector<JoinRequests::Listed> JoinRequests::waiting(Time now) {
  std::vector<Listed> listed;
  const std::lock_guard lock(mutex_);
  forget_old(now);
  for (const auto& [id, one] : all_) {
    if (!one.key || !std::holds_alternative<Waiting>(one.answer)) continue;
    listed.push_back({one.machine.name, one.address, one.machine.id, now - one.at});
  }
  std::ranges::sort(listed, std::greater{}, &Listed::age);
  return listed;
}

Result<JoinRequests::Asking> JoinRequests::find(const std::string& typed, Time now) {
  const std::string code = join::normal_code(typed);
  if (code.empty()) return invalid("a code has eight letters and digits, as the new machine shows them: abcd-2345");
  const std::lock_guard lock(mutex_);
  forget_old(now);
  const auto shows = [&](const auto& entry) {
    return entry.second.code == code && std::holds_alternative<Waiting>(entry.second.answer);
  };
  const auto found = std::ranges::find_if(all_, shows);
  // Two with one code are an attack, or bad luck that comes once in 10^12.
  if (found != all_.end() && std::ranges::count_if(all_, shows) == 1) {
    wrong_codes_ = 0;
    return Asking{found->first, *found->second.key, found->second.machine};
  }
  if (++wrong_codes_ < most_wrong_codes) {
    return Error{"no machine that waits shows this code; compare it with the new machine's screen",
                 ErrorKind::not_found};
  }
  wrong_codes_ = 0;
  for (auto& [id, one] : all_) one.answer = Refused{};
  return Error{
      "no machine that waits shows this code, the third time: everything that waited is refused. Begin again "
      "on the new machine; if its code is never known here, somebody is between the two",
      ErrorKind::not_found};
}

void JoinRequests::accept(const std::string& id, EnrolledAgent agent) {
  const std::lock_guard lock(mutex_);
  const auto found = all_.find(id);
  if (found != all_.end()) found->second.answer = std::move(agent);
}

void JoinRequests::refuse(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = all_.find(id);
  if (found != all_.end()) found->second.answer = Refused{};
}

}  // namespace edgefleet::coordinator
