#include "coordinator/shell/texts.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "common/protocol/artifacts.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t piece_bytes = 1024 * 1024;

// Exactly `bytes`; empty: the file cannot be read, or has another size.
std::string read_exactly(const std::string& path, std::size_t bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text(bytes, '\0');
  std::size_t have = 0;
  ssize_t got = 0;
  while (have < bytes && (got = ::read(fd, text.data() + have, bytes - have)) > 0)
    have += static_cast<std::size_t>(got);
  char more = 0;
  const bool exact = have == bytes && ::read(fd, &more, 1) == 0;
  ::close(fd);
  if (!exact) text.clear();
  return text;
}

}  // namespace

Result<TextFile> keep_text(Artifacts& artifacts, std::string_view text, const Uploader& who) {
  TextFile file{{}, text.size(), protocol::artifacts_in(text)};
  std::erase_if(file.artifacts, [&](const std::string& id) { return !artifacts.lease(id); });
  if (file.artifacts.size() > limits::text_artifacts) {
    return Error{"it names " + std::to_string(file.artifacts.size()) +
                     " artifacts; the maximum of a text of this size is " + std::to_string(limits::text_artifacts),
                 ErrorKind::too_large};
  }
  const auto upload = artifacts.upload(who);
  for (std::size_t at = 0; at < text.size(); at += piece_bytes) {
    const auto piece = text.substr(at, piece_bytes);
    if (auto written = upload->write(piece.data(), piece.size()); !written) return written.error();
  }
  auto stored = upload->finish();
  if (!stored) return stored.error();
  file.artifact = std::move(stored->id);
  return file;
}

Result<JsonText> read_text(const Artifacts& artifacts, const TextFile& file) {
  const auto path = artifacts.find(file.artifact);
  if (!path) return path.error();
  auto text = read_exactly(*path, file.bytes);
  if (text.empty()) return Error{"artifact " + file.artifact + " cannot be read", ErrorKind::internal};
  if (json::well_formed(text) && json::part_is_shallow(text)) return text;
  return Error{"artifact " + file.artifact + " is not the JSON text that its agent promised", ErrorKind::internal};
}

bool has_large_input(const TaskSpec& spec) { return spec.input.size() > limits::input_bytes; }

Status keep_large_input(Artifacts& artifacts, TaskSpec& spec, const Uploader& who) {
  if (!has_large_input(spec)) return success();
  auto file = keep_text(artifacts, spec.input, who);
  if (!file) return file.error();
  spec.input_at = std::move(*file);
  spec.input = "null";
  return success();
}

Status load_output(const Artifacts& artifacts, TaskRecord& record) {
  if (!record.output_at) return success();
  auto text = read_text(artifacts, *record.output_at);
  if (!text) return text.error();
  record.output = std::move(*text);
  return success();
}

}  // namespace edgefleet::coordinator
