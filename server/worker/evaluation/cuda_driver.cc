#include "server/worker/evaluation/cuda_driver.h"

#include <dlfcn.h>

namespace stockpot {
namespace {

// From cuda.h, which is not needed to build: values of CUdevice_attribute.
constexpr int kComputeCapabilityMajor = 75;
constexpr int kComputeCapabilityMinor = 76;
constexpr int kCudaSuccess = 0;

// The driver stays open until the process ends: it does not survive being closed and opened again.
class Driver {
 public:
  Driver() : library_(dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) {
    const auto initialize = Find<int (*)(unsigned)>("cuInit");
    if (initialize == nullptr || initialize(0) != kCudaSuccess) return;
    const auto get_count = Find<int (*)(int*)>("cuDeviceGetCount");
    if (get_count == nullptr || get_count(&count_) != kCudaSuccess) count_ = 0;
  }

  int count() const { return count_; }

  CudaCard Describe(int index) const {
    CudaCard card;
    const auto get = Find<int (*)(int*, int)>("cuDeviceGet");
    const auto get_name = Find<int (*)(char*, int, int)>("cuDeviceGetName");
    const auto get_attribute = Find<int (*)(int*, int, int)>("cuDeviceGetAttribute");
    int device = 0;
    if (get == nullptr || get_name == nullptr || get_attribute == nullptr ||
        get(&device, index) != kCudaSuccess) {
      return card;
    }
    char name[256] = "";
    if (get_name(name, sizeof(name), device) == kCudaSuccess) card.name = name;
    get_attribute(&card.major, kComputeCapabilityMajor, device);
    get_attribute(&card.minor, kComputeCapabilityMinor, device);
    return card;
  }

 private:
  template <typename Function>
  Function Find(const char* name) const {
    return library_ == nullptr ? nullptr : reinterpret_cast<Function>(dlsym(library_, name));
  }

  void* const library_;
  int count_ = 0;
};

const Driver& TheDriver() {
  static const Driver driver;
  return driver;
}

// Another release found by the loader's search would not fit libtorch_cpu.so.
bool OpenBesideTorch(const std::string& library) {
  void* const known = dlsym(RTLD_DEFAULT, "_ZN2at13globalContextEv");
  Dl_info info;
  if (known == nullptr || dladdr(known, &info) == 0 || info.dli_fname == nullptr) return false;
  const std::string cpu_library = info.dli_fname;
  const std::string path = cpu_library.substr(0, cpu_library.rfind('/') + 1) + library;
  return dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr;
}

}  // namespace

bool CudaDriverFindsACard() { return TheDriver().count() > 0; }

bool OpenTorchCuda() {
  return OpenBesideTorch("libtorch_cuda.so") || dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
}

void OpenTorchShell() { OpenBesideTorch("libtorch.so"); }

CudaCard DescribeCard(int index) { return TheDriver().Describe(index); }

}  // namespace stockpot
