#include "common/http/client.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "common/core/error_text.hpp"
#include "common/http/part_file.hpp"
#include "common/http/transfer.hpp"
#include "common/http/url.hpp"

namespace edgefleet::http {
namespace {

// More connections than this are closed after use.
constexpr std::size_t most_idle = 4;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

struct Upload {
  File file;
  std::uint64_t bytes = 0;
};

Result<Upload> open_upload(const std::string& path) {
  const auto failure = [&](const std::string& why) {
    return Error{"cannot read " + path + ": " + why, ErrorKind::invalid};
  };
  File file(std::fopen(path.c_str(), "rbe"));
  struct stat info{};
  if (!file || fstat(fileno(file.get()), &info) != 0) return failure(error_text(errno));
  if (!S_ISREG(info.st_mode)) return failure("not a regular file");
  return Upload{std::move(file), static_cast<std::uint64_t>(info.st_size)};
}

}  // namespace

Options file_options(std::stop_token stop) {
  Options options;
  options.timeout = Duration{0};
  options.stall_timeout = std::chrono::seconds(30);
  options.stop = std::move(stop);
  return options;
}

struct Client::Impl {
  std::string base_url;
  Peer peer;
  Credentials credentials;
  std::mutex mutex;
  std::vector<std::unique_ptr<Transfer>> idle;

  Result<std::unique_ptr<Transfer>> borrow() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        auto transfer = std::move(idle.back());
        idle.pop_back();
        return transfer;
      }
    }
    const auto curl = libcurl();
    if (!curl) return curl.error();
    return std::make_unique<Transfer>(**curl);
  }

  void give_back(std::unique_ptr<Transfer> transfer) {
    const std::lock_guard lock(mutex);
    if (idle.size() < most_idle) idle.push_back(std::move(transfer));
  }

  Result<Response> run(Call& call) {
    if (!credentials.bearer.empty() && !base_url.starts_with("https://") && !is_loopback(base_url)) {
      return Error{"a key is not sent to " + base_url + " in the clear: use https://", ErrorKind::invalid};
    }
    if (credentials.unverified && (!credentials.bearer.empty() || !credentials.certificate.empty())) {
      return Error{"no credential is sent to " + base_url + ", whose certificate is not verified", ErrorKind::invalid};
    }
    call.credentials = &credentials;
    auto transfer = borrow();
    if (!transfer) return transfer.error();
    auto answer = (*transfer)->run(call, peer);
    give_back(std::move(*transfer));
    return answer;
  }
};

Client::Client(const std::string& base_url, Peer peer, Credentials credentials) : impl_(std::make_unique<Impl>()) {
  impl_->base_url = normal_base(base_url);
  impl_->peer = std::move(peer);
  impl_->credentials = std::move(credentials);
}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

const std::string& Client::base_url() const { return impl_->base_url; }

Result<Response> Client::send(const Request& request, const Options& options, const Sink& sink) {
  // A view without data would make libcurl read the body from a callback.
  const auto body = request.body.data() == nullptr ? std::string_view("") : request.body;
  Call call{.method = request.method,
            .base_url = impl_->base_url,
            .path = request.path,
            .body = body,
            .headers = &request.headers,
            .options = options,
            .sink = sink ? &sink : nullptr};
  return impl_->run(call);
}

Result<Response> Client::get(const std::string& path, const Options& options) {
  Call call{.base_url = impl_->base_url, .path = path, .options = options};
  return impl_->run(call);
}

Result<Response> Client::post(const std::string& path, std::string_view json_body, const Options& options) {
  return send({Method::post, path, {}, json_body}, options);
}

Result<Response> Client::put_file(const std::string& path, const std::string& file_path, const Options& options,
                                  const Progress& progress) {
  const auto upload = open_upload(file_path);
  if (!upload) return upload.error();
  Call call{.method = Method::put,
            .base_url = impl_->base_url,
            .path = path,
            .upload = upload->file.get(),
            .upload_bytes = upload->bytes,
            .options = options,
            .progress = &progress};
  return impl_->run(call);
}

Result<Response> Client::get_stream(const std::string& path, const Sink& sink, const Options& options,
                                    const Progress& progress) {
  Call call{.base_url = impl_->base_url, .path = path, .options = options, .sink = &sink, .progress = &progress};
  return impl_->run(call);
}

Result<Response> Client::get_file(const std::string& path, const std::string& to_path, const Options& options,
                                  const Progress& progress) {
  auto part = PartFile::create(to_path);
  if (!part) return part.error();
  auto answer = get_stream(path, [&](std::string_view piece) { return part->write(piece); }, options, progress);
  if (!answer || !answer->ok()) return answer;
  const auto committed = part->commit();
  if (!committed) return committed.error();
  return answer;
}

}  // namespace edgefleet::http
