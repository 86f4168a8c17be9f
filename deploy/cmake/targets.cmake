# One folder, one library: the functions every CMakeLists.txt below uses.

# stockpot_library(NAME SOURCES … DEPS … [TORCH])
function(stockpot_library name)
  cmake_parse_arguments(arg "TORCH" "" "SOURCES;DEPS" ${ARGN})
  if(arg_TORCH AND NOT STOCKPOT_WITH_TORCH)
    return()
  endif()
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${arg_DEPS})
  stockpot_precompile(${name} ${arg_TORCH})
  stockpot_unity(${name})
endfunction()

# A target's sources compile together: in their headers goes most of the time. Two files of one folder cannot have a name of
# file scope in common then. The debug preset compiles each alone: every file must include what it uses.
function(stockpot_unity name)
  if(STOCKPOT_UNITY)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
  endif()
endfunction()

# stockpot_program(NAME SOURCES … DEPS … [TORCH] [INSTALL])
function(stockpot_program name)
  cmake_parse_arguments(arg "TORCH;INSTALL" "" "SOURCES;DEPS" ${ARGN})
  if(arg_TORCH AND NOT STOCKPOT_WITH_TORCH)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  stockpot_precompile(${name} ${arg_TORCH})
  stockpot_unity(${name})
  if(arg_INSTALL)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endfunction()

# stockpot_test(NAME SOURCES … DEPS … [TORCH] [TIMEOUT seconds])
function(stockpot_test name)
  cmake_parse_arguments(arg "TORCH" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(arg_TORCH AND NOT STOCKPOT_WITH_TORCH)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)  # a third less to compile than with -O2
  stockpot_precompile(${name} ${arg_TORCH})
  stockpot_unity(${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(STOCKPOT_SANITIZE STREQUAL thread)
    math(EXPR arg_TIMEOUT "3 * ${arg_TIMEOUT}")
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  # Those that may take longest begin first, so that none is left alone at the end.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} COST ${arg_TIMEOUT})
endfunction()

# Every target of a sanitizer's build shares one precompiled header, which took 40% off the time to compile of six typical
# units (clang 14). The release build has none of the kind: there a unit must include what it uses.
function(stockpot_precompile name torch)
  if(torch)
    stockpot_use_torch(${name})
  elseif(STOCKPOT_SANITIZE AND STOCKPOT_BUILD_TESTS)
    if(NOT TARGET stockpot_headers)
      file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/headers.cc CONTENT "// holds the precompiled headers\n")
      add_library(stockpot_headers STATIC ${PROJECT_BINARY_DIR}/headers.cc)
      target_link_libraries(stockpot_headers PRIVATE
        CLI11::CLI11 GTest::gmock nlohmann_json::nlohmann_json PkgConfig::GRPCPP)
      target_precompile_headers(stockpot_headers PRIVATE
        <algorithm> <chrono> <deque> <filesystem> <fstream> <functional> <map> <memory> <optional> <random> <set>
        <sstream> <string> <thread> <vector> <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h>
        <absl/status/statusor.h> <absl/strings/str_cat.h> <absl/strings/str_format.h> <absl/strings/str_join.h>
        <absl/strings/str_split.h> <absl/synchronization/mutex.h> <absl/time/time.h> <CLI/CLI.hpp>
        <gmock/gmock.h> <google/protobuf/util/json_util.h> <grpcpp/grpcpp.h> <nlohmann/json.hpp>)
    endif()
    stockpot_fit_precompiled(${name})
    target_precompile_headers(${name} REUSE_FROM stockpot_headers)
  endif()
endfunction()

# A precompiled header serves only units with its own flags: programs too get -fPIC, not -fPIE.
function(stockpot_fit_precompiled name)
  get_target_property(type ${name} TYPE)
  if(type STREQUAL EXECUTABLE)
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${name} PRIVATE -fPIC)
  endif()
endfunction()

# The torch headers take about 25 s to compile: one precompiled header is shared by all that see them.
function(stockpot_use_torch name)
  if(NOT TARGET stockpot_torch_headers)
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/torch_headers.cc CONTENT "// holds the precompiled torch headers\n")
    add_library(stockpot_torch_headers STATIC ${PROJECT_BINARY_DIR}/torch_headers.cc)
    target_link_libraries(stockpot_torch_headers PUBLIC stockpot_torch)
    target_precompile_headers(stockpot_torch_headers PRIVATE <torch/torch.h> <torch/script.h>)
    # GCC 12 reports false positives inside libstdc++ once torch's inline code is expanded.
    target_compile_options(stockpot_torch_headers PRIVATE -Wno-shadow -fopenmp)
  endif()
  target_link_libraries(${name} PUBLIC stockpot_torch)
  # Without OpenMP at::parallel_for, which is inline, is a loop on the calling thread.
  target_compile_options(${name} PRIVATE -Wno-shadow -fopenmp)
  stockpot_fit_precompiled(${name})
  target_precompile_headers(${name} REUSE_FROM stockpot_torch_headers)
endfunction()

# Adds every folder below `root` that has a CMakeLists.txt of its own, in any depth.
function(stockpot_add_folders root)
  file(GLOB_RECURSE lists RELATIVE ${PROJECT_SOURCE_DIR}/${root} CONFIGURE_DEPENDS
       ${PROJECT_SOURCE_DIR}/${root}/*/CMakeLists.txt)
  list(SORT lists)
  foreach(file IN LISTS lists)
    get_filename_component(folder ${file} DIRECTORY)
    if(NOT STOCKPOT_ONLY OR folder IN_LIST STOCKPOT_ONLY)
      add_subdirectory(${PROJECT_SOURCE_DIR}/${root}/${folder} ${PROJECT_BINARY_DIR}/${root}/${folder})
    endif()
  endforeach()
endfunction()
