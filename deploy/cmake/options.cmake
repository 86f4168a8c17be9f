# Language, warnings and build options, the same for every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

option(STOCKPOT_BUILD_TESTS "Build the tests" ON)
option(STOCKPOT_UNITY "Compile the sources of a target together" ON)
option(STOCKPOT_WITH_TORCH "Build stockpot-worker and all else that needs LibTorch" ON)
set(STOCKPOT_SANITIZE "" CACHE STRING "Sanitizers for every target, such as address,undefined or thread")
set(STOCKPOT_ONLY "" CACHE STRING "Only these folders below server/, client/, deploy/ and tests/ (default: all)")

find_program(STOCKPOT_CCACHE ccache)
if(STOCKPOT_CCACHE)
  # A precompiled header changes its time stamp with every build folder; its content is what counts.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${STOCKPOT_CCACHE})
endif()
find_program(STOCKPOT_LLD ld.lld)
if(STOCKPOT_LLD)
  add_link_options(-fuse-ld=lld)
endif()

# -O3 is for the folders whose loops over numbers need it.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
add_compile_options(-Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
if(STOCKPOT_SANITIZE)
  # What costs is compiling: AddressSanitizer with -O1 takes twice as long as with -O0, ThreadSanitizer hardly longer.
  # Fuzzers run for longer than they compile.
  set(sanitize_level -O0)
  if(STOCKPOT_SANITIZE MATCHES "thread|fuzzer")
    set(sanitize_level -O1)
  endif()
  add_compile_options(${sanitize_level} -g1 -fsanitize=${STOCKPOT_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${STOCKPOT_SANITIZE})
endif()
