# Settings and the three kinds of target of this project. Dependencies of targets point inward (design:
# docs/architecture.md); tests/unit/architecture checks that the includes do too.
option(EDGEFLEET_TESTS "build the tests" ON)
option(EDGEFLEET_BENCH "build the benchmarks" ON)
option(EDGEFLEET_FUZZ "build the fuzzers (clang only; ./dev fuzz)" OFF)
set(EDGEFLEET_SANITIZE "" CACHE STRING "sanitizers, as for -fsanitize=")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
# Symbols cost disk and link time on a Pi: line tables are enough for a stack trace.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")

find_program(EDGEFLEET_CCACHE ccache)
if(EDGEFLEET_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${EDGEFLEET_CCACHE})
endif()

add_library(edgefleet_options INTERFACE)
target_include_directories(edgefleet_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(edgefleet_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wconversion -Wsign-conversion -Wshadow -Wnon-virtual-dtor
  -Wold-style-cast -Woverloaded-virtual -Wimplicit-fallthrough -Wswitch-enum)
target_compile_definitions(edgefleet_options INTERFACE EDGEFLEET_VERSION="${PROJECT_VERSION}")
if(EDGEFLEET_SANITIZE)
  # g++ 12 sees uninitialised values within its own library once it instruments it.
  target_compile_options(edgefleet_options INTERFACE
    -fsanitize=${EDGEFLEET_SANITIZE} -fno-omit-frame-pointer -Wno-maybe-uninitialized -Wno-array-bounds)
  target_link_options(edgefleet_options INTERFACE -fsanitize=${EDGEFLEET_SANITIZE})
endif()
if(EDGEFLEET_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # Asio has fences, which g++ reports as not checked; g++ 12 sees long texts copied to and from short ones' places.
  target_compile_options(edgefleet_options INTERFACE -Wno-tsan -Wno-stringop-overread -Wno-stringop-overflow)
endif()
if(EDGEFLEET_FUZZ)
  # All code is instrumented for coverage; a finding of a sanitizer or an assertion of libstdc++ ends the program.
  target_compile_options(edgefleet_options INTERFACE
    -fsanitize=fuzzer-no-link -fno-sanitize-recover=all -Wno-unknown-warning-option)
  target_compile_definitions(edgefleet_options INTERFACE _GLIBCXX_ASSERTIONS)
endif()

# edgefleet_library(NAME SOURCES a.cpp ... [DEPENDS targets...] [PRIVATE targets...])
function(edgefleet_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC edgefleet_options ${arg_DEPENDS} PRIVATE ${arg_PRIVATE})
endfunction()

# edgefleet_program(NAME SOURCES main.cpp ... DEPENDS targets...): lands in build/<preset>/bin
function(edgefleet_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE edgefleet_options ${arg_DEPENDS})
  install(TARGETS ${name} RUNTIME)
endfunction()

# edgefleet_test(NAME SOURCES *_test.cpp ... DEPENDS targets...): a Catch2 program, run as one test
function(edgefleet_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE edgefleet_options edgefleet_catch ${arg_DEPENDS})
  target_compile_definitions(${name} PRIVATE
    EDGEFLEET_SOURCE_DIR="${CMAKE_SOURCE_DIR}" EDGEFLEET_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_precompile_headers(${name} REUSE_FROM edgefleet_catch_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()
