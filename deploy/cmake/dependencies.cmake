# Where everything from outside comes from. Versions are pinned by deploy/install-dependencies.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
pkg_check_modules(GRPCPP REQUIRED IMPORTED_TARGET grpc++)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
find_library(STOCKPOT_GRPCPP_REFLECTION grpc++_reflection REQUIRED)
find_program(STOCKPOT_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)
if(STOCKPOT_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()

set(dependencies "$ENV{STOCKPOT_DEPENDENCIES}")
if(NOT dependencies)
  set(dependencies "$ENV{HOME}/.cache/stockpot/deps")
endif()
set(STOCKPOT_DEPENDENCIES "${dependencies}" CACHE PATH
    "Where deploy/install-dependencies unpacked LibTorch")
# Object stores and Parquet. Arrow's headers are C++20; its libraries keep their own dependencies to themselves.
set(arrow_lib ${STOCKPOT_DEPENDENCIES}/pyarrow)
if(NOT EXISTS ${arrow_lib}/libarrow.so.2600)
  message(FATAL_ERROR "no Arrow below ${STOCKPOT_DEPENDENCIES}: run deploy/install-dependencies")
endif()
foreach(library arrow arrow_s3 parquet)
  add_library(stockpot_${library} SHARED IMPORTED)
  set_target_properties(stockpot_${library} PROPERTIES IMPORTED_LOCATION ${arrow_lib}/lib${library}.so.2600)
  target_include_directories(stockpot_${library} SYSTEM INTERFACE ${arrow_lib}/include)
endforeach()
target_link_libraries(stockpot_arrow_s3 INTERFACE stockpot_arrow)
target_link_libraries(stockpot_parquet INTERFACE stockpot_arrow)
if(STOCKPOT_SANITIZE STREQUAL thread)
  # Abseil of Debian's version and ABI, instrumented: without it absl::Mutex is no lock to ThreadSanitizer. An
  # RPATH, unlike a RUNPATH, holds for Debian's gRPC as well, so that the process has this Mutex only.
  set(abseil_lib ${STOCKPOT_DEPENDENCIES}/abseil-tsan/lib)
  if(NOT EXISTS ${abseil_lib}/libabsl_synchronization.so.20220623)
    message(FATAL_ERROR "no instrumented Abseil in ${abseil_lib}: run deploy/install-dependencies --sanitize")
  endif()
  add_link_options(-Wl,--disable-new-dtags "-Wl,-rpath,${abseil_lib}")
endif()
if(STOCKPOT_WITH_TORCH)
  # libtorch_cpu and libc10 only: the GPU is opened at run time where its libraries are found, so one
  # binary serves both (DESIGN.md section 6). TorchConfig.cmake would insist on CUDA.
  set(torch_lib ${STOCKPOT_DEPENDENCIES}/torch/lib)
  if(NOT EXISTS ${torch_lib}/libtorch_cpu.so)
    message(FATAL_ERROR "no LibTorch below ${STOCKPOT_DEPENDENCIES}: run deploy/install-dependencies, "
                        "or configure with -DSTOCKPOT_WITH_TORCH=OFF to build all but the worker")
  endif()
  add_library(stockpot_torch INTERFACE)
  target_include_directories(stockpot_torch SYSTEM INTERFACE
    ${STOCKPOT_DEPENDENCIES}/torch/include
    ${STOCKPOT_DEPENDENCIES}/torch/include/torch/csrc/api/include)
  target_link_directories(stockpot_torch INTERFACE ${torch_lib})
  target_link_options(stockpot_torch INTERFACE
    -Wl,--no-as-needed "-Wl,-rpath,${torch_lib}" "-Wl,-rpath-link,${torch_lib}"
    "-Wl,-rpath-link,${STOCKPOT_DEPENDENCIES}/nvidia/cu13/lib")
  # The OpenMP runtime of what stockpot_use_torch compiles.
  if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    # LLVM's runtime, found before LibTorch's GNU one, which it stands in for by the same entry points. With ThreadSanitizer
    # it loads Archer, which tells of every fork, join and barrier.
    set(openmp_lib /usr/lib/llvm-14/lib)
    if(NOT EXISTS ${openmp_lib}/libarcher.so)
      message(FATAL_ERROR "no libarcher.so in ${openmp_lib}: run deploy/install-dependencies --sanitize")
    endif()
    target_link_options(stockpot_torch INTERFACE "-Wl,-rpath,${openmp_lib}") # where it looks for Archer, too
    target_link_libraries(stockpot_torch INTERFACE ${openmp_lib}/libomp.so)
  else()
    target_link_libraries(stockpot_torch INTERFACE ${torch_lib}/libgomp.so.1)
  endif()
  target_link_libraries(stockpot_torch INTERFACE torch_cpu c10)
endif()
