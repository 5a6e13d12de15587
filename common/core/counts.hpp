// Numbers as people read them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace edgefleet {

std::string grouped(std::uint64_t number);                                              // "1,234,567"
std::string counted(std::uint64_t number, std::string_view one, std::string_view many);  // "1 task", "2 tasks"
std::string show_bytes(std::uint64_t bytes);                                            // "1 byte", "1.5 KiB"

}  // namespace edgefleet
