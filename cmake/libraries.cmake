# The libraries, as Debian 12 and 13 package them. Every difference between the two releases is in this file;
# differences of source code are in common/runtime/log.hpp and tests/support/catch.hpp.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(CURL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)
find_package(ZLIB REQUIRED)
pkg_check_modules(TOMLPP REQUIRED IMPORTED_TARGET tomlplusplus)

# Third-party headers come in as system headers, so that our warnings are about our code.
function(edgefleet_imported name)
  cmake_parse_arguments(arg "" "HEADER" "LIBRARIES" ${ARGN})
  find_path(${name}_INCLUDE ${arg_HEADER} REQUIRED)
  add_library(${name} INTERFACE)
  target_include_directories(${name} SYSTEM INTERFACE ${${name}_INCLUDE})
  foreach(library ${arg_LIBRARIES})
    find_library(${name}_${library} ${library} REQUIRED)
    target_link_libraries(${name} INTERFACE ${${name}_${library}})
  endforeach()
endfunction()

edgefleet_imported(lib_paho HEADER mqtt/async_client.h LIBRARIES paho-mqttpp3 paho-mqtt3as)
# Headers only. Beast's parser and Asio's sockets need no Boost.System library, nor its CMake files.
find_path(BOOST_BEAST_INCLUDE boost/beast/version.hpp REQUIRED)
add_library(lib_boost INTERFACE)
if(NOT BOOST_BEAST_INCLUDE STREQUAL "/usr/include")  # as -isystem it would hide the compiler's own headers
  target_include_directories(lib_boost SYSTEM INTERFACE ${BOOST_BEAST_INCLUDE})
endif()
target_compile_definitions(lib_boost INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE)
edgefleet_imported(lib_sqlitecpp HEADER SQLiteCpp/SQLiteCpp.h LIBRARIES SQLiteCpp)
target_link_libraries(lib_sqlitecpp INTERFACE SQLite::SQLite3)
